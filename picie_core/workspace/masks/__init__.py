"""Full-size masks of a workspace: made, exported, and taken back when they were corrected elsewhere."""
