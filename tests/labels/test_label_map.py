"""Names that people give: kept at every edit, by anyone, through anything, and never moved to another cluster."""

from __future__ import annotations

import json
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

KEY = "k27-digest"


@pytest.fixture
def label_map(tmp_path: Path) -> LabelMap:
    """A label map whose file does not exist yet."""
    return LabelMap(tmp_path / "a folder #1" / "labels ü?.sqlite")


def names_of(label_map: LabelMap, key: str = KEY) -> dict[int, str]:
    """Cluster -> class name, as a person sees it."""
    names = {item.id: item.name for item in label_map.classes()} | {IGNORE_ID: "ignore"}
    return {cluster: names[class_id] for cluster, class_id in label_map.classes_of(key).items()}


def fill(label_map: LabelMap, names: str = "road sky tree car") -> None:
    """Names cluster 0, 1, 2... and again 10, 11, 12... by the words of `names`."""
    for index, name in enumerate(names.split()):
        label_map.name_clusters(KEY, [index, index + 10], name)


# -- reading and naming


def test_reading_makes_no_file(label_map):
    """A label map that nobody edited is empty, and looking at it leaves no trace on the disk."""
    assert label_map.classes() == [] and label_map.classes_of(KEY) == {} and label_map.version() == 0
    assert label_map.get_choice("run") is None and label_map.history(5) == []
    assert label_map.export_map(KEY) == {"classes": [], "clusters": {}}
    assert not label_map.path.parent.exists()


def test_names_survive_reopening(label_map):
    """What one session named, the next one reads; nothing but the one file is left."""
    fill(label_map, "road sky")
    label_map.name_clusters(KEY, [3], "IGNORE")
    label_map.name_clusters("other", [0], "sky")
    again = LabelMap(label_map.path)
    assert [(item.id, item.name) for item in again.classes()] == [(0, "road"), (1, "sky")]
    assert again.classes_of(KEY) == {0: 0, 1: 1, 3: IGNORE_ID, 10: 0, 11: 1}
    assert again.classes_of("other") == {0: 1}
    assert [path.name for path in label_map.path.parent.iterdir()] == ["labels ü?.sqlite"]


def test_naming_again_and_unnaming(label_map):
    """A cluster has one name, the last; unnamed it is absent, and its class stays."""
    fill(label_map, "road sky")
    label_map.name_clusters(KEY, [0], "sky")
    label_map.name_clusters(KEY, [11], None)
    assert names_of(label_map) == {0: "sky", 1: "sky", 10: "road"}
    assert len(label_map.classes()) == 2


def test_spelling_of_a_known_name_does_not_matter(label_map):
    """Case, space around it and composition of accents lead to the class that is there."""
    label_map.name_clusters(KEY, [0], "Grün fläche")
    label_map.name_clusters(KEY, [1], "  GRÜN fla\u0308che ")
    assert names_of(label_map) == {0: "Grün fläche", 1: "Grün fläche"}


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
    """A name that no mask format could carry is refused with the rule, and nothing is written."""
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
    fill(label_map)
    before = label_map.classes_of(KEY)
    label_map.rename_class(1, " Heaven ")
    label_map.rename_class(1, "HEAVEN")
    assert label_map.classes()[1].name == "HEAVEN" and label_map.classes_of(KEY) == before
    for class_id, name, rule in ((1, "Road", "taken by class 0"), (1, "Ignore", "reserved"), (4, "x", "no class 4")):
        with pytest.raises(SettingError, match=rule):
            label_map.rename_class(class_id, name)


def test_colours_are_unique(label_map):
    """A colour is #rrggbb, kept in lower case, and belongs to one class."""
    fill(label_map)
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
    expected, colors = names_of(label_map), {item.name: item.color for item in label_map.classes()}
    for position in order:
        classes = label_map.classes()
        gone = classes[position % len(classes)]
        label_map.delete_class(gone.id)
        expected = {cluster: name for cluster, name in expected.items() if name != gone.name}
        assert names_of(label_map) == expected
        assert [item.id for item in label_map.classes()] == list(range(len(classes) - 1))
        assert all(colors[item.name] == item.color for item in label_map.classes())
        assert names_of(label_map, "other") == (
            {5: "f"} if any(item.name == "f" for item in label_map.classes()) else {}
        )
    assert label_map.classes_of(KEY)[30] == IGNORE_ID


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


# -- import and export


def test_import_is_the_inverse_of_export(label_map, tmp_path):
    """A record goes through JSON into an empty map and comes back the same, ids and all."""
    fill(label_map)
    label_map.name_clusters(KEY, [20], "ignore")
    label_map.recolor_class(2, "#123456")
    record = json.loads(json.dumps(label_map.export_map(KEY)))
    assert record["clusters"] == {str(cluster): name for cluster, name in names_of(label_map).items()}
    other = LabelMap(tmp_path / "other.sqlite")
    other.import_map("another key", record, k=27)
    assert other.export_map("another key") == record
    label_map.import_map(KEY, record, k=27)
    assert label_map.export_map(KEY) == record


def test_import_takes_dense_ids_over(label_map):
    """A record that lists all classes with ids 0 to C-1 decides the order, and names follow."""
    fill(label_map, "road sky")
    label_map.name_clusters("other", [4], "sky")
    colors = [item.color for item in label_map.classes()]
    record = {
        "classes": [
            {"id": 1, "name": "Road", "color": colors[1]},
            {"id": 0, "name": "sky", "color": colors[0]},
            {"id": 2, "name": "new", "color": "#000001"},
        ],
        "clusters": {"5": "new", "6": "road", "7": "ignore"},
    }
    label_map.import_map(KEY, record, k=8)
    assert label_map.classes() == [Class(0, "sky", colors[0]), Class(1, "Road", colors[1]), Class(2, "new", "#000001")]
    assert names_of(label_map) == {5: "new", 6: "Road", 7: "ignore"}
    assert names_of(label_map, "other") == {4: "sky"}


def test_import_beside_other_classes_keeps_their_ids(label_map):
    """Classes that the record does not know keep id and colour; new ones follow; old names of the clustering go."""
    fill(label_map, "road sky")
    record = {"classes": [{"id": 0, "name": "tree", "color": "#00ff01"}], "clusters": {"1": "tree"}}
    label_map.import_map(KEY, record, k=27)
    assert [(item.id, item.name) for item in label_map.classes()] == [(0, "road"), (1, "sky"), (2, "tree")]
    assert names_of(label_map) == {1: "tree"}


GOOD = {"classes": [{"id": 0, "name": "a", "color": "#000001"}], "clusters": {"0": "a"}}


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ([], r'"classes" must be a list'),
        ({"classes": []}, r'"clusters" must be an object'),
        ({**GOOD, "classes": ["a"]}, r'"classes"\[0\] must be an object.*got \'a\''),
        ({**GOOD, "classes": [{"name": "x" * 99}]}, r'"classes"\[0\].*1 to 60'),
        ({**GOOD, "classes": [{"name": "a", "id": 254}]}, r'"classes"\[0\]\.id must be a whole number from 0 to 253'),
        ({**GOOD, "classes": [{"name": "a", "id": "0"}]}, r"got '0'"),
        ({**GOOD, "classes": [{"name": "a", "color": "red"}]}, r'"classes"\[0\].*#rrggbb'),
        ({**GOOD, "classes": [{"name": "a"}, {"name": "A"}]}, r'"classes"\[1\]\.name must be there once'),
        ({**GOOD, "classes": [{"name": "a", "id": 0}, {"name": "b", "id": 0}]}, r'"classes"\[1\]\.id must'),
        ({**GOOD, "clusters": {"9": "a"}}, r"cluster from 0 to 8, got '9'"),
        ({**GOOD, "clusters": {"01": "a"}}, r"got '01'"),
        ({**GOOD, "clusters": {"x": "a"}}, r"got 'x'"),
        ({**GOOD, "clusters": {"0": "b"}}, r'"clusters"\["0"\] must name a class of "classes", got \'b\''),
        ({**GOOD, "clusters": {"0": None}}, r"got None"),
        ({**GOOD, "classes": [{"name": f"n{i}"} for i in range(255)]}, r"254 at most, got 255"),
        ({**GOOD, "classes": [{"name": "a", "color": "#e69f00"}]}, r"#e69f00 is the one of 'road'"),
    ],
)
def test_wrong_records_change_nothing(label_map, record, message):
    """A wrong label map is refused with key, rule and value, before anything is written."""
    fill(label_map, "road")
    before, version = label_map.export_map(KEY), label_map.version()
    with pytest.raises(SettingError, match=message):
        label_map.import_map(KEY, record, k=9)
    assert label_map.export_map(KEY) == before and label_map.version() == version
