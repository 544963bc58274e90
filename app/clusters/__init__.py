"""Clusters screen: pick K, look at crops, name."""
