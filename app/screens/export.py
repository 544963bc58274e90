"""Export: placeholder until the formats are there."""
