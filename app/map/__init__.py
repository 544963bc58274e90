"""Map screen: sampled pixels as points, lasso, crops."""
