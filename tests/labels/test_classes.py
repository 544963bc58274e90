"""Label maps that go out as a record and come in again: equal, or refused with key, rule and value."""

from __future__ import annotations

import json

import pytest

from picie_core.errors import SettingError
from picie_core.labels.classes import Class
from picie_core.labels.label_map import LabelMap
from tests.factories import name_in_order, names_of

KEY = "k27-digest"


def test_import_is_the_inverse_of_export(label_map, tmp_path):
    """A record goes through JSON into an empty map and comes back the same, ids and all."""
    name_in_order(label_map, KEY, "road sky tree car")
    label_map.name_clusters(KEY, [20], "ignore")
    label_map.recolor_class(2, "#123456")
    record = json.loads(json.dumps(label_map.export_map(KEY)))
    assert record["clusters"] == {str(cluster): name for cluster, name in names_of(label_map, KEY).items()}
    other = LabelMap(tmp_path / "other.sqlite")
    other.import_map("another key", record, k=27)
    assert other.export_map("another key") == record
    label_map.import_map(KEY, record, k=27)
    assert label_map.export_map(KEY) == record


def test_import_takes_dense_ids_over(label_map):
    """A record that lists all classes with ids 0 to C-1 decides the order, and names follow."""
    name_in_order(label_map, KEY, "road sky")
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
    assert names_of(label_map, KEY) == {5: "new", 6: "Road", 7: "ignore"}
    assert names_of(label_map, "other") == {4: "sky"}


def test_import_beside_other_classes_keeps_their_ids(label_map):
    """Classes that the record does not know keep id and colour; new ones follow; old names of the clustering go."""
    name_in_order(label_map, KEY, "road sky")
    record = {"classes": [{"id": 0, "name": "tree", "color": "#00ff01"}], "clusters": {"1": "tree"}}
    label_map.import_map(KEY, record, k=27)
    assert [(item.id, item.name) for item in label_map.classes()] == [(0, "road"), (1, "sky"), (2, "tree")]
    assert names_of(label_map, KEY) == {1: "tree"}


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
    name_in_order(label_map, KEY, "road")
    before, version = label_map.export_map(KEY), label_map.version()
    with pytest.raises(SettingError, match=message):
        label_map.import_map(KEY, record, k=9)
    assert label_map.export_map(KEY) == before and label_map.version() == version
