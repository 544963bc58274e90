"""Comparing methods on data sets: the metrics of each run, their table and their curves."""
