"""Names that people give: kept at every edit, by anyone, through anything, and never moved to another cluster."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from picie_core.colors import IGNORE_COLOR, next_color
from picie_core.data.class_names import IGNORE_ID, MAX_CLASSES
from picie_core.errors import SettingError
from picie_core.labels.classes import Class
from picie_core.labels.label_map import LabelMap
from tests.factories import name_in_order, names_of

KEY = "k27-digest"


# -- reading and naming


def test_reading_makes_no_file(label_map):
    """A label map without edits is empty, and reading it writes nothing to the disk."""
    assert label_map.classes() == [] and label_map.classes_of(KEY) == {} and label_map.version() == 0
    assert label_map.get_choice("run") is None and label_map.history(5) == []
    assert label_map.export_map(KEY) == {"classes": [], "clusters": {}}
    assert not label_map.path.parent.exists()


def test_names_survive_reopening(label_map):
    """What one session named, the next one reads; nothing but the one file is left."""
    name_in_order(label_map, KEY, "road sky")
    label_map.name_clusters(KEY, [3], "IGNORE")
    label_map.name_clusters("other", [0], "sky")
    again = LabelMap(label_map.path)
    assert [(item.id, item.name) for item in again.classes()] == [(0, "road"), (1, "sky")]
    assert again.classes_of(KEY) == {0: 0, 1: 1, 3: IGNORE_ID, 10: 0, 11: 1}
    assert again.classes_of("other") == {0: 1}
    assert [path.name for path in label_map.path.parent.iterdir()] == ["labels ü?.sqlite"]


def test_naming_again_and_unnaming(label_map):
    """A cluster has one name, the last; unnamed it is absent, and its class stays."""
    name_in_order(label_map, KEY, "road sky")
    label_map.name_clusters(KEY, [0], "sky")
    label_map.name_clusters(KEY, [11], None)
    assert names_of(label_map, KEY) == {0: "sky", 1: "sky", 10: "road"}
    assert len(label_map.classes()) == 2


def test_spelling_of_a_known_name_does_not_matter(label_map):
    """Case, space around it and composition of accents lead to the class that is there."""
    label_map.name_clusters(KEY, [0], "Grün fläche")
    label_map.name_clusters(KEY, [1], "  GRÜN fla\u0308che ")
    assert names_of(label_map, KEY) == {0: "Grün fläche", 1: "Grün fläche"}


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("", "1 to 60"),
        ("  ", "1 to 60"),
        ("x" * 61, "1 to 60"),
        ("a\nb", "control"),
        ("Unnamed", "reserved"),
        (3, "1 to 60"),
    ],
)
def test_impossible_names_are_refused(label_map, name, rule):
    """A name that no mask format could hold is refused with the rule, and nothing is written."""
    with pytest.raises(SettingError, match=rule):
        label_map.name_clusters(KEY, [0], name)
    assert label_map.version() == 0


@pytest.mark.parametrize("cluster", [-1, 1 << 16, 1.5, True])
def test_impossible_clusters_are_refused(label_map, cluster):
    """A cluster is a number that a mask of clusters can hold."""
    with pytest.raises(SettingError, match="must be a whole number"):
        label_map.name_clusters(KEY, [0, cluster], "road")
    assert label_map.version() == 0 and label_map.classes() == []


def test_at_most_254_classes(label_map):
    """The 255th class is refused, as id 255 is ignore and 254 would be beside it; a known one still works."""
    classes = [{"name": f"c{index}"} for index in range(MAX_CLASSES)]
    label_map.import_map(KEY, {"classes": classes, "clusters": {}}, k=4)
    assert [item.id for item in label_map.classes()] == list(range(254))
    with pytest.raises(SettingError, match="a mask holds 254"):
        label_map.name_clusters(KEY, [0], "one more")
    label_map.name_clusters(KEY, [0], "c253")
    assert label_map.classes_of(KEY) == {0: 253}
    colors = {item.color for item in label_map.classes()}
    assert len(colors) == 254 and IGNORE_COLOR not in colors


# -- classes


def test_rename_moves_nothing(label_map):
    """A renamed class keeps its id and clusters; a taken, reserved or unknown one is refused."""
    name_in_order(label_map, KEY, "road sky tree car")
    before = label_map.classes_of(KEY)
    label_map.rename_class(1, " Heaven ")
    label_map.rename_class(1, "HEAVEN")
    assert label_map.classes()[1].name == "HEAVEN" and label_map.classes_of(KEY) == before
    for class_id, name, rule in ((1, "Road", "taken by class 0"), (1, "Ignore", "reserved"), (4, "x", "no class 4")):
        with pytest.raises(SettingError, match=rule):
            label_map.rename_class(class_id, name)


def test_colours_are_unique(label_map):
    """A colour is #rrggbb, kept in lower case, and belongs to one class."""
    name_in_order(label_map, KEY, "road sky tree car")
    label_map.recolor_class(0, " #AABBCC ")
    label_map.recolor_class(0, "#aabbcc")
    assert label_map.classes()[0] == Class(0, "road", "#aabbcc")
    for color, rule in (
        ("#aabbcc", "is the one of 'road'"),
        (IGNORE_COLOR, "ignore"),
        ("red", "#rrggbb"),
        (7, "#rrggbb"),
    ):
        with pytest.raises(SettingError, match=rule):
            label_map.recolor_class(1, color)


def test_default_colours_never_repeat_and_are_far_apart():
    """However many classes there are, no two have one colour; the first twenty differ for anybody."""
    used: list[str] = []
    for _ in range(300):
        used.append(next_color(used))
    assert len(set(used)) == 300
    rgb = [tuple(bytes.fromhex(color[1:])) for color in used[:20]]
    assert min(sum((a - b) ** 2 for a, b in zip(*pair, strict=True)) ** 0.5 for pair in combinations(rgb, 2)) > 40


@settings(max_examples=10, deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=4))
def test_deleting_classes_changes_no_other_name(tmp_path_factory, order):
    """Ids move down so that they stay dense; every cluster that keeps its class keeps its name and colour."""
    label_map = LabelMap(tmp_path_factory.mktemp("map") / "labels.sqlite")
    clusters = {**{str(index): name for index, name in enumerate("abcdefabcdef")}, "30": "ignore"}
    label_map.import_map(KEY, {"classes": [{"name": name} for name in "abcdef"], "clusters": clusters}, k=31)
    label_map.name_clusters("other", [5], "f")
    expected, colors = names_of(label_map, KEY), {item.name: item.color for item in label_map.classes()}
    for position in order:
        classes = label_map.classes()
        gone = classes[position % len(classes)]
        label_map.delete_class(gone.id)
        expected = {cluster: name for cluster, name in expected.items() if name != gone.name}
        assert names_of(label_map, KEY) == expected
        assert [item.id for item in label_map.classes()] == list(range(len(classes) - 1))
        assert all(colors[item.name] == item.color for item in label_map.classes())
        assert names_of(label_map, "other") == (
            {5: "f"} if any(item.name == "f" for item in label_map.classes()) else {}
        )
    assert label_map.classes_of(KEY)[30] == IGNORE_ID


# -- merging classes


@pytest.fixture
def named(tmp_path: Path) -> LabelMap:
    """A label map with three classes and clusters of two clusterings."""
    label_map = LabelMap(tmp_path / "labels.sqlite")
    for key, clusters, name in (("a", [0], "sea"), ("a", [1, 2], "road"), ("b", [5], "sea"), ("a", [3], "lake")):
        label_map.name_clusters(key, clusters, name)
    return label_map


def test_a_merge_moves_every_cluster_of_the_class_and_no_other(named: LabelMap) -> None:
    """Clusters of every clustering go over; ids are dense; colours of the others stay."""
    colors = {item.name: item.color for item in named.classes()}
    named.merge_class(0, into=2)
    assert names_of(named, "a") == {0: "lake", 1: "road", 2: "road", 3: "lake"}
    assert names_of(named, "b") == {5: "lake"}
    assert [item.id for item in named.classes()] == [0, 1]
    assert {item.name: item.color for item in named.classes()} == {one: colors[one] for one in ("road", "lake")}


def test_a_merge_can_be_undone(named: LabelMap) -> None:
    """The exact inverse, and the words of the history say what it was."""
    before = named.classes(), named.classes_of("a"), named.classes_of("b")
    named.merge_class(2, into=0)
    undone = named.undo()
    assert undone is not None and undone.words == "merged lake into sea"
    assert (named.classes(), named.classes_of("a"), named.classes_of("b")) == before


def test_impossible_merges_are_refused(named: LabelMap) -> None:
    """A class with itself, or one that is not there: nothing changes."""
    with pytest.raises(SettingError, match="into itself"):
        named.merge_class(1, into=1)
    with pytest.raises(SettingError, match="no class 7"):
        named.merge_class(1, into=7)
    assert named.history(1)[0].kind == "name"


# -- versions, history, choices


def test_version_grows_with_every_edit_and_with_nothing_else(label_map):
    """Each edit raises the version by anyone's hand; refusals and choices do not."""
    seen = [label_map.version()]
    other = LabelMap(label_map.path)
    for edit in (
        lambda: label_map.name_clusters(KEY, [0], "road"),
        lambda: other.rename_class(0, "street"),
        lambda: other.recolor_class(0, "#010203"),
        lambda: other.import_map(KEY, {"classes": [{"name": "street"}], "clusters": {"1": "street"}}, 2),
        lambda: other.delete_class(0),
    ):
        edit()
        seen.append(label_map.version())
    assert seen == sorted(set(seen))
    label_map.set_choice("run", "r1")
    with pytest.raises(SettingError):
        label_map.delete_class(0)
    assert label_map.version() == seen[-1]
    history = label_map.history(3)
    assert [event.kind for event in history] == ["delete", "import", "recolor"]
    assert history[0].payload["before"]["name"] == "street" and history[0].payload["clusters"] == [[KEY, 1]]


def test_choices(label_map):
    """The last choice counts, for whoever asks."""
    label_map.set_choice("clustering", "k27-s0")
    label_map.set_choice("clustering", "k60-s0")
    assert LabelMap(label_map.path).get_choice("clustering") == "k60-s0"
