"""The other views of the Clusters screen: hierarchy, classes, choosing K, ground truth."""
