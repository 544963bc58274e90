"""Training of an embedder: views, losses, the epoch loop, several processes, checkpoints."""
