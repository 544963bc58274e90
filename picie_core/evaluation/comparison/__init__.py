"""Comparing methods on data sets: the plan, the figures of each run, the table and the curves."""
