"""How sure a pixel is of its cluster or class: one definition for masks, maps and suggestions. Numpy only.

The best channel (cluster or class) of a pixel scores s1, the next best s2, both cosines. The confidence is
tanh((s1 - s2) / 0.2), from 0 (a tie) to almost 1. It is the lead that the best of the two has over the other in a
softmax at temperature 0.1, which is the one that trainings use.
"""

from __future__ import annotations

import numpy as np

TEMPERATURE = 0.1
"""Of the softmax in which the two best channels are compared."""


def confidence_of(lead: np.ndarray) -> np.ndarray:
    """Returns the confidence, float32 in 0 to 1, of pixels whose best channel leads the next best by so much."""
    return np.tanh(np.asarray(lead, np.float32) / np.float32(2 * TEMPERATURE))
