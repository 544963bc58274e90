"""The version of the package; also stored in every workspace record that a reader may need it for."""

__version__ = "0.5.0"
