"""Distillation: a segmentation network that learns from exported masks, and the files that carry it elsewhere."""
