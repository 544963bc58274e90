"""The parts of an epoch: its start, the features that it clusters, and its metrics."""
