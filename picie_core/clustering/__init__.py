"""Clusters of pixel embeddings: k-means, splits, hierarchy, exemplars, uncertainty, projection."""
