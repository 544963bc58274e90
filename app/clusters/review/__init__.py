"""The review queue: one step after the other, each answered by a name."""
