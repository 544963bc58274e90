"""In which order the cards come, and which of them are shown."""

from __future__ import annotations

from app.clusters import cluster_facts
from app.clusters.focus import SHOW_ALL, by_area, looking_at
from app.shared.naming import class_names
from picie_core.data.class_names import IGNORE_ID
from picie_core.workspace.workspace import StoredClustering, Workspace

ORDERS = {
    "area": "Largest first",
    "doubt": "Most worth naming",
    "tightness": "Loosest first",
    "tree": "Alike together",
}
ORDER_HELP = (
    "Most worth naming: the largest without a name, then named ones by pixels × doubt. Loosest: the ones that may "
    "want a split. Alike together: in the order of the tree."
)
ALL, UNNAMED, NAMED = SHOW_ALL, "not named", "named"


def filter_names(workspace: Workspace) -> dict[str, str]:
    """Returns the filters and what they are called: all, not named, named, and one for each class."""
    classes = {str(number): name for number, name in class_names(workspace).items() if number != IGNORE_ID}
    return {ALL: "All", UNNAMED: "Not named", NAMED: "Named", **classes, str(IGNORE_ID): "Ignored"}


def cards_listed(clustering: StoredClustering, order: str, shown: str) -> list[int]:
    """Returns the cards to draw; naming moves none of them, until another order, filter or clustering is chosen."""
    here, made_for = looking_at(clustering), (clustering.digest, order, shown)
    if here.listed_for != made_for:
        here.listed, here.listed_for = _fresh(clustering, order, shown), made_for
    return here.listed


def moved_since(clustering: StoredClustering, shown: str) -> int:
    """Returns how many of the cards would not be shown any more if the list were made anew."""
    listed = looking_at(clustering).listed
    named = clustering.classes_of()
    return len(listed) - sum(_is_shown(cluster, named, shown) for cluster in listed)


def list_anew(clustering: StoredClustering) -> None:
    """Forgets the order of the cards, so that it is made from the names as they are now."""
    looking_at(clustering).listed_for = ()


def _fresh(clustering: StoredClustering, order: str, shown: str) -> list[int]:
    named = clustering.classes_of()
    return [cluster for cluster in _ordered(clustering, order, named) if _is_shown(cluster, named, shown)]


def _is_shown(cluster: int, named: dict[int, int], shown: str) -> bool:
    if shown in (ALL, UNNAMED, NAMED):
        return shown == ALL or (cluster in named) == (shown == NAMED)
    return str(named.get(cluster)) == shown


def _ordered(clustering: StoredClustering, order: str, named: dict[int, int]) -> list[int]:
    area = by_area(clustering)
    if order == "doubt":
        from picie_core.clustering.uncertainty import next_clusters

        first = next_clusters(clustering, cluster_facts.uncertainty(clustering), named)
        return [*first, *(cluster for cluster in area if cluster not in set(first))]
    if order == "tightness":
        figures = cluster_facts.cluster_metrics(clustering)
        return sorted(area, key=lambda cluster: (clustering.counts[cluster] == 0, figures[cluster].tightness))
    return cluster_facts.tree(clustering, "average").order.tolist() if order == "tree" else area
