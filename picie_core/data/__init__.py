"""Image files and labelled sets: found, read, resized, cached, sampled."""
