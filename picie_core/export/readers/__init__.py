"""Masks of other tools read back: one file a format, and the detection of what a file or folder holds."""
