"""Train screen: embed or train in the background, watch, stop, resume."""
