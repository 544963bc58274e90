"""Masks in the formats that other tools read: one file a format, and one table that lists them."""
