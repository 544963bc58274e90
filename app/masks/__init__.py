"""Masks screen: one image with its mask, brush to name."""
