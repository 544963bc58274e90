"""The named clustering that tests of exports and imports start from."""

from __future__ import annotations

import pytest

from picie_core.workspace.workspace import StoredClustering, Workspace


@pytest.fixture
def clustering(finished_copy: Workspace) -> StoredClustering:
    """Six clusters of six scenes of 96 x 64 pixels, four of them named."""
    found = finished_copy.current_run().clustering()
    for name, clusters in {"smooth & blue": [0, 3], "Straße": [1], "ignore": [4]}.items():
        finished_copy.label_map.name_clusters(found.key, clusters, name)
    return found
