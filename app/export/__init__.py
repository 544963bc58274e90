"""Export screen: format, preview, write, download."""
