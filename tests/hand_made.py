"""The former home of what is in `tests/factories.py`."""

from tests.factories import clustering_of, unit

__all__ = ["clustering_of", "unit"]
