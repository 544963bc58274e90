"""Estimators in scikit-learn's manner: arrays in, clusters and masks out, without a workspace."""
