"""Image files: found, indexed, read, resized, cached."""
