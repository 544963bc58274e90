"""The network: backbones, their weights, the decoder, inference, and a learned classifier head."""
