"""The screens. They draw and decide nothing: what they show is on disk, what they do is in picie_core."""
