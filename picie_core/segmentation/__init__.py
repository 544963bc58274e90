"""From embeddings to masks and pictures: upsampling, post-processing, overlays, contact sheets."""
