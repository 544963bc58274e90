"""What a step sees: batches of squares, their augmentations, and two views of the same pixels."""
