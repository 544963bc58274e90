"""Against ground truth: metrics, evaluation of a labelled set, plots, comparison of methods."""
