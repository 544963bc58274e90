"""The label map: classes, names, splits, edits that can be undone, label transfer, review queue."""
