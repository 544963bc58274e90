"""Exports: what is written is read back equal, whatever the images are; a failed export leaves nothing."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import VOCSegmentation

from picie_core.clusters import Clustering, cluster_workspace
from picie_core.commands.embed import embed
from picie_core.errors import PicieError, SettingError
from picie_core.exports import FORMATS, ExportReport, export_masks, pictures
from picie_core.exports.pictures import flat_stems, folder_stems
from picie_core.exports.pipeline import network_cells
from picie_core.exports.voc import split, voc_palette
from picie_core.images import read_image, resize_image
from picie_core.masks import class_mask, cluster_mask
from picie_core.progress import Progress
from picie_core.settings import EmbedderSettings, SampleSettings
from picie_core.workspace import Workspace

SIZE_PX = 64


def draw_scene(seed: int, width: int = 100, height: int = 76) -> np.ndarray:
    """A picture with a striped lower part and a plain upper one, uint8 (H, W, 3)."""
    rng = np.random.default_rng(seed)
    image = np.full((height, width, 3), rng.integers(90, 250, 3), np.uint8)
    image[height // 2 :] = (np.arange(width) // 3 % 2 * 120 + 40)[None, :, None]
    return np.clip(image + rng.normal(0, 6, image.shape), 0, 255).astype(np.uint8)


def save(path: Path, image: np.ndarray | Image.Image, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture.save(path, **options)
    return path


def odd_images(folder: Path) -> int:
    """Writes one image of every kind that has to be exported, in several sizes; returns how many."""
    scene = Image.fromarray(draw_scene(0))
    turned = Image.Exif()
    turned[0x0112] = 6
    save(folder / "plain.jpg", scene, quality=90)
    save(folder / "grey.png", scene.convert("L"))
    save(folder / "alpha.png", scene.convert("RGBA"))
    save(folder / "palette.png", scene.convert("P"))
    save(folder / "cmyk.jpg", scene.convert("CMYK"))
    save(folder / "deep.png", Image.fromarray(draw_scene(1)[..., 0].astype(np.uint16) * 256))
    save(folder / "turned.jpg", scene, exif=turned)
    save(folder / "turned.png", scene, exif=turned)
    save(folder / "moving.gif", scene, save_all=True, append_images=[Image.fromarray(draw_scene(2))])
    save(folder / "wide.bmp", draw_scene(3, 333, 41))
    save(folder / "straße 日本" / "bild mit raum.tif", draw_scene(4, 65, 90))
    save(folder / "a" / "same.png", draw_scene(5))
    save(folder / "b" / "same.png", draw_scene(6))
    save(folder / "b" / "same.jpg", draw_scene(7))
    save(folder / "liar.png", scene, format="JPEG")
    return 15


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, str, Clustering]:
    """A real workspace of odd images with random weights and six clusters, four of them named."""
    folder = tmp_path_factory.mktemp("exports")
    odd_images(folder / "images")
    (folder / "images" / "broken.jpg").write_bytes(b"not an image")
    settings = SampleSettings(size_px=SIZE_PX, pixels=3000, batch=4)
    embed(folder / "w", EmbedderSettings(weights="none", dim=16), settings, folder / "images", "cpu")
    workspace = Workspace.open(folder / "w")
    run = workspace.current_run()
    clustering = cluster_workspace(workspace, run, 6)
    for name, clusters in {"sky & sea": [0, 3], "Straße": [1], "ignore": [4]}.items():
        workspace.label_map.name_clusters(clustering.key, clusters, name)
    return workspace, run, clustering


@pytest.fixture(scope="module")
def png_export(made, tmp_path_factory) -> tuple[Path, ExportReport, list[Progress]]:
    out, events = tmp_path_factory.mktemp("png") / "out", []
    report = export_masks(*made, "png", out, report=events.append, command_line="picie export X", device="cpu")
    return out, report, events


@pytest.fixture(scope="module")
def voc_export(made, tmp_path_factory) -> tuple[Path, ExportReport]:
    out = tmp_path_factory.mktemp("voc") / "out"
    return out, export_masks(*made, "voc", out, val_share=0.3, split_seed=4, device="cpu")


def image_paths(workspace: Workspace) -> dict[str, Path]:
    return {record.path: workspace.images_root / record.path for record in workspace.image_list().readable}


def expected_mask(workspace: Workspace, run: str, clustering: Clustering, source: Path) -> np.ndarray:
    """The class mask of one image, computed by itself."""
    image = read_image(source)
    cells = network_cells(workspace, run, "cpu")(resize_image(image, SIZE_PX)[None])[0]
    return class_mask(cells, clustering, workspace.label_map.classes_of(clustering.key), *image.shape[:2])


def no_network(images: np.ndarray) -> np.ndarray:
    """Cells that need no network: the mean colours of 4 x 4 pixels, in the first of 16 dimensions."""
    batch, height, width, _ = images.shape
    cells = np.zeros((batch, -(-height // 4), -(-width // 4), 16), np.float32)
    cells[..., :3] = images[:, ::4, ::4] / 255 - 0.5
    return cells


# -- index PNG


def test_every_image_has_its_mask(made, png_export):
    """Same relative stem, mode L, the upright size, ids of the label map or 255; the broken file is listed."""
    workspace, _, _ = made
    out, report, _ = png_export
    record = json.loads((out / "export.json").read_text())
    sources = image_paths(workspace)
    assert report.images == record["images"] == len(sources) == 15
    for path, source in sources.items():
        stem = record["renamed"].get(path, path.rsplit(".", 1)[0])
        with Image.open(out / "masks" / f"{stem}.png") as mask:
            assert mask.mode == "L" and mask.size == read_image(source).shape[1::-1]
            assert set(np.unique(np.asarray(mask))) <= {0, 1, 255}
    assert [one.path for one in report.problems] == ["broken.jpg"] == [one["path"] for one in record["problems"]]
    assert (
        len(list((out / "masks").rglob("*.png"))) == len([p for p in (out / "images").rglob("*") if p.is_file()]) == 15
    )


def test_masks_are_the_argmax_of_upsampled_scores(made, png_export):
    """Against masks computed one image at a time; the batch changes nothing but rounding."""
    workspace, run, clustering = made
    out, report, _ = png_export
    same = total = ignored = 0
    for path, source in image_paths(workspace).items():
        stem = (
            "b/same_png" if path == "b/same.png" else "turned_png" if path == "turned.png" else path.rsplit(".", 1)[0]
        )
        mask = np.asarray(Image.open(out / "masks" / f"{stem}.png"))
        expected = expected_mask(workspace, run, clustering, source)
        same, total = same + (mask == expected).sum(), total + mask.size
        ignored += (mask == 255).sum()
    assert same / total > 0.99
    assert report.ignored_share == pytest.approx(ignored / total) and 0 < report.ignored_share < 1


def test_exported_images_are_upright_and_plain(made, png_export):
    """Whoever opens an exported image naively sees what the mask was made from; plain files are copied byte by byte."""
    workspace, _, _ = made
    out, _, _ = png_export
    renamed = json.loads((out / "export.json").read_text())["renamed"]
    for path, source in image_paths(workspace).items():
        stem = renamed.get(path, path.rsplit(".", 1)[0])
        exported = next((out / "images" / stem).parent.glob(f"{Path(stem).name}.*"))
        with Image.open(exported) as picture:
            assert picture.mode in ("L", "RGB") and picture.getexif().get(0x0112, 1) == 1
            np.testing.assert_array_equal(np.asarray(picture.convert("RGB")), read_image(source))
    for path in ("plain.jpg", "grey.png", "wide.bmp", "a/same.png", "straße 日本/bild mit raum.tif"):
        assert (out / "images" / path).read_bytes() == (workspace.images_root / path).read_bytes()
    assert (out / "images" / "turned.png").exists() and not (out / "images" / "turned.jpg").exists()
    assert not (out / "images" / "cmyk.jpg").exists() and not (out / "images" / "moving.gif").exists()


def test_equal_stems_are_both_kept(png_export):
    """Of two images with one relative stem the later gets its suffix into the name, and export.json says so."""
    out, _, _ = png_export
    renamed = json.loads((out / "export.json").read_text())["renamed"]
    assert renamed == {"b/same.png": "b/same_png", "turned.png": "turned_png"}
    for stem in ("a/same", "b/same", "b/same_png"):
        assert (out / "masks" / f"{stem}.png").exists()


def test_export_json_says_what_the_masks_mean(made, png_export):
    """Classes with colours and clusters, ignore id, digest, command; label map and names beside it."""
    workspace, run, clustering = made
    out, report, _ = png_export
    record = json.loads((out / "export.json").read_text())
    classes = [(one["id"], one["name"], one["clusters"]) for one in record["classes"]]
    assert classes == [(0, "sky & sea", [0, 3]), (1, "Straße", [1])]
    assert record["format"] == "png" and record["ignore_id"] == 255 and record["command"] == "picie export X"
    assert record["run"] == run and record["clustering"] == clustering.name and len(record["digest"]) == 64
    assert (out / "classes.txt").read_text() == "sky & sea\nStraße\n"
    assert json.loads((out / "labelmap.json").read_text()) == workspace.label_map.export_map(clustering.key)
    assert json.loads(json.dumps(report.record()))["classes"] == ["sky & sea", "Straße"]


def test_previews_and_progress(png_export):
    """Twelve pictures to look at; the progress ends with all images, broken ones were never counted."""
    out, _, events = png_export
    previews = sorted((out / "previews").glob("*.jpg"))
    assert len(previews) == 12 and all(Image.open(path).format == "JPEG" for path in previews)
    assert (events[0].done, events[-1].done, events[-1].total) == (0, 15, 15) and events[-1].phase == "export"


def test_a_repeated_export_is_equal(made, png_export, tmp_path):
    """The same command gives the same files, byte by byte."""
    out, _, _ = png_export
    export_masks(*made, "png", tmp_path / "again", command_line="picie export X", device="cpu")
    files = sorted(path.relative_to(out) for path in out.rglob("*") if path.is_file())
    again = sorted(path.relative_to(tmp_path / "again") for path in (tmp_path / "again").rglob("*") if path.is_file())
    assert files == again
    assert all((out / path).read_bytes() == (tmp_path / "again" / path).read_bytes() for path in files)


# -- Pascal VOC


def test_torchvision_reads_voc_pixel_for_pixel(made, voc_export, png_export):
    """Every mask of the VOC lists, read by torchvision, equals the one of the png export; no image is in both lists."""
    out, _ = voc_export
    masks = [np.asarray(Image.open(path)) for path in sorted((png_export[0] / "masks").rglob("*.png"))]
    seen = 0
    for name in ("train", "val"):
        data = VOCSegmentation(str(out), year="2012", image_set=name, download=False)
        for image, mask in data:
            assert mask.mode == "P" and image.mode in ("RGB", "L") and image.size == mask.size
            seen += 1
            twin = [i for i, other in enumerate(masks) if np.array_equal(other, np.asarray(mask))]
            assert twin, "every VOC mask is one of the png masks"
            masks.pop(twin[0])
    assert seen == 15 and masks == []


def test_voc_label_map_names_the_palette(voc_export):
    """Names in the order of the ids with the colours that the palette has at them, and a line for 255."""
    out, _ = voc_export
    root = out / "VOCdevkit" / "VOC2012"
    lines = (root / "labelmap.txt").read_text().splitlines()
    assert lines == ["sky & sea:0,0,0::", "Straße:128,0,0::", "ignored:224,224,192::"]
    with Image.open(next((root / "SegmentationClass").glob("*.png"))) as mask:
        np.testing.assert_array_equal(np.reshape(mask.getpalette(), (256, 3)), voc_palette())


def test_voc_palette_is_the_known_one():
    """The first colours and the last ones of the published list."""
    known = {0: (0, 0, 0), 1: (128, 0, 0), 2: (0, 128, 0), 3: (128, 128, 0), 4: (0, 0, 128), 8: (64, 0, 0),
             15: (192, 128, 128), 20: (0, 64, 128), 255: (224, 224, 192)}  # fmt: skip
    assert all(tuple(voc_palette()[number].tolist()) == color for number, color in known.items())


def test_voc_names_are_flat_and_without_spaces(made, voc_export):
    """Folders are joined into the name and white space goes, as lists of names need; JPEGs are copied."""
    out, _ = voc_export
    root = out / "VOCdevkit" / "VOC2012"
    names = {path.stem for path in (root / "JPEGImages").iterdir()}
    assert {"straße_日本__bild_mit_raum", "a__same", "b__same", "b__same_png", "plain"} <= names
    assert (root / "JPEGImages" / "plain.jpg").read_bytes() == (made[0].images_root / "plain.jpg").read_bytes()
    assert (root / "JPEGImages" / "liar.jpg").read_bytes() == (made[0].images_root / "liar.png").read_bytes()
    for path in (root / "JPEGImages").iterdir():
        with Image.open(path) as picture:
            assert picture.format == "JPEG" and picture.mode in ("L", "RGB")


def test_the_split_is_seeded():
    """The share holds, repeats agree, seeds differ, both lists get an image when both are wanted."""
    stems = [f"{i:03d}" for i in range(100)]
    assert len(split(stems, 0.25, 1)) == 25 and split(stems, 0.25, 1) == split(stems, 0.25, 1) != split(stems, 0.25, 2)
    assert [len(split(["a", "b"], share, 0)) for share in (0, 0.01, 0.99, 1)] == [0, 1, 1, 2]


@pytest.mark.parametrize("name, rule", [("a:b", "must not contain ':'"), ("#1", "must not begin with '#'"),
                                        ("Ignored", "must not be 'ignored'")])  # fmt: skip
def test_names_that_voc_cannot_hold_are_refused(made, tmp_path, name, rule):
    """The message names class, rule and remedy; the png format takes them."""
    workspace, run, _ = made
    other = cluster_workspace(workspace, run, 5)
    workspace.label_map.name_clusters(other.key, [0], name)
    try:
        with pytest.raises(SettingError, match=f"class name '{name}' {rule}.*rename the class or use --format png"):
            export_masks(workspace, run, other, "voc", tmp_path / "out", cells_source=no_network)
        assert export_masks(workspace, run, other, "png", tmp_path / "png", cells_source=no_network).images == 15
    finally:
        workspace.label_map.delete_class(max(item.id for item in workspace.label_map.classes()))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["png"]


# -- raw, other folders


def test_raw_masks_are_cluster_ids(made, tmp_path):
    """Raw masks need no names; every value is the best cluster of its pixel."""
    workspace, run, _ = made
    other = cluster_workspace(workspace, run, 7)
    export_masks(workspace, run, other, "png", tmp_path / "out", raw=True, cells_source=no_network)
    image = read_image(workspace.images_root / "wide.bmp")
    expected = cluster_mask(no_network(resize_image(image, SIZE_PX)[None])[0], other, *image.shape[:2])
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out" / "masks" / "wide.png")), expected)
    record = json.loads((tmp_path / "out" / "export.json").read_text())
    assert [one["clusters"] for one in record["classes"]] == [[i] for i in range(7)] and record["mask_mode"] == "L"


def test_more_than_255_clusters_are_written_in_16_bits(made, tmp_path):
    """Raw ids above 254 do not fit beside 255; export.json says so, and voc refuses."""
    workspace, run, _ = made
    many = cluster_workspace(workspace, run, 300)
    source = save(tmp_path / "in" / "x.png", draw_scene(9)).parent
    export_masks(workspace, run, many, "png", tmp_path / "out", images=source, raw=True, cells_source=no_network)
    with Image.open(tmp_path / "out" / "masks" / "x.png") as mask:
        assert mask.mode == "I;16" and np.asarray(mask).max() < 300
    assert json.loads((tmp_path / "out" / "export.json").read_text())["mask_mode"] == "I;16"
    with pytest.raises(SettingError, match="voc masks hold 255 ids at most, k300-s0 has 300 clusters"):
        export_masks(workspace, run, many, "voc", tmp_path / "voc", raw=True)


def test_another_folder_with_broken_files(made, tmp_path):
    """The clusters and names apply to any images; what cannot be read is listed and ends nothing."""
    odd_images(tmp_path / "in")
    (tmp_path / "in" / "empty.png").touch()
    (tmp_path / "in" / "text.jpg").write_text("hello")
    cut = (tmp_path / "in" / "plain.jpg").read_bytes()
    (tmp_path / "in" / "cut.jpg").write_bytes(cut[: len(cut) // 2])
    report = export_masks(*made, "png", tmp_path / "out", images=tmp_path / "in", device="cpu")
    assert report.images == 15
    assert [one.path for one in report.problems] == ["cut.jpg", "empty.png", "text.jpg"]
    assert not list((tmp_path / "out").rglob("cut.*"))


def test_an_image_that_vanishes_is_listed(made, tmp_path):
    """A file that is deleted between listing and reading becomes a problem, the others are written."""
    first = save(tmp_path / "in" / "a.png", draw_scene(0))
    save(tmp_path / "in" / "b.png", draw_scene(1, 90, 70))

    def deleting(images: np.ndarray) -> np.ndarray:
        first.unlink(missing_ok=True)
        return no_network(images)

    report = export_masks(*made, "png", tmp_path / "out", images=tmp_path / "in", cells_source=deleting)
    assert report.images == 1 and [one.path for one in report.problems] == ["a.png"]


def test_many_shapes_are_all_written(made, tmp_path):
    """Images of ever other sizes do not wait for mates that never come."""
    for i in range(45):
        save(tmp_path / "in" / f"{i:02d}.png", draw_scene(i, 70 + 3 * i, 64))
    report = export_masks(*made, "png", tmp_path / "out", images=tmp_path / "in", cells_source=no_network)
    assert report.images == 45


# -- refusals and failures


def test_without_names_there_is_nothing_to_write(made, tmp_path):
    """The error says how to name or to go without names."""
    workspace, run, _ = made
    unnamed = cluster_workspace(workspace, run, 3)
    with pytest.raises(PicieError, match=r"no cluster of k3-s0 has a name.*label --import.*--raw"):
        export_masks(workspace, run, unnamed, "png", tmp_path / "out")
    workspace.label_map.name_clusters(unnamed.key, [0], "ignore")
    with pytest.raises(PicieError, match="has a name"):
        export_masks(workspace, run, unnamed, "png", tmp_path / "out")


def test_wrong_settings_are_refused(made, tmp_path):
    """Format, share and folders: what is wrong, and what to give instead."""
    save(tmp_path / "full" / "x.png", draw_scene(0))
    (tmp_path / "empty").mkdir()
    cases = [
        ({"fmt": "coco"}, "format='coco' is unknown: choose one of png, voc"),
        ({"val_share": 1.5}, "val-share=1.5 must be from 0 to 1"),
        ({"out": tmp_path / "full"}, "exists and is not an empty folder"),
        ({"out": tmp_path / "full" / "x.png"}, "exists and is not an empty folder"),
        ({"out": made[0].images_root / "masks"}, "lies in the folder of images"),
        ({"images": tmp_path / "nowhere"}, "is not a folder"),
        ({"images": tmp_path / "empty"}, "no images under"),
    ]
    for changes, message in cases:
        arguments = {"fmt": "png", "out": tmp_path / "out", **changes}
        with pytest.raises(PicieError, match=message):
            export_masks(*made, **arguments, cells_source=no_network)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "full"]


def test_an_empty_folder_may_be_filled(made, tmp_path):
    """A person may make the folder first."""
    (tmp_path / "out").mkdir()
    export_masks(*made, "png", tmp_path / "out", cells_source=no_network)
    assert (tmp_path / "out" / "export.json").exists()


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("after", [0, 7])
def test_a_full_disk_leaves_nothing(made, tmp_path, monkeypatch, fmt, after):
    """The error names folder and remedy, and neither the folder nor a part of it stays."""
    real, calls = Path.write_bytes, []

    def full(path: Path, data: bytes) -> int:
        calls.append(path)
        if len(calls) > after:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, data)

    monkeypatch.setattr(pictures.Path, "write_bytes", full)
    with pytest.raises(PicieError, match=r"cannot write .*out: No space left on device; free some space"):
        export_masks(*made, fmt, tmp_path / "out", cells_source=no_network)
    assert list(tmp_path.iterdir()) == []


def test_a_stop_leaves_nothing(made, tmp_path):
    """Ctrl-C in the middle takes the half-written folder away."""

    def stopping(images: np.ndarray) -> np.ndarray:
        if list(tmp_path.rglob("*.png")):
            raise KeyboardInterrupt
        return no_network(images)

    for i in range(40):
        save(tmp_path / "in" / f"{i}.jpg", draw_scene(i))
    with pytest.raises(KeyboardInterrupt):
        export_masks(*made, "png", tmp_path / "sub" / "out", images=tmp_path / "in", cells_source=stopping)
    assert list((tmp_path / "sub").iterdir()) == []


def test_only_broken_images_is_an_error(made, tmp_path):
    """An export of nothing is no success; the first reason is told."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "x.jpg").write_text("hello")
    with pytest.raises(PicieError, match=r"none of the 1 images of .* can be read; the first: x.jpg: not an image"):
        export_masks(*made, "png", tmp_path / "out", images=tmp_path / "in", cells_source=no_network)
    assert not (tmp_path / "out").exists()


# -- names


def test_stems_stay_unless_they_clash():
    """Folders keep equal names apart; a clash takes the suffix, never the name of a third image."""
    paths = ["a.jpg", "a.png", "a_png.jpg", "d/a.jpg", "x.png/a.jpg", "x.jpg", "c.tar.gif"]
    assert folder_stems(paths) == ["a", "a_png_2", "a_png", "d/a", "x.png/a", "x_jpg", "c.tar"]


def test_flat_stems_are_unique_and_short():
    """Joined names may clash with others and may be too long for a disk."""
    assert flat_stems(["a/b.jpg", "a__b.jpg", "a b.png", "a_b.png"]) == ["a__b", "a__b_jpg", "a_b", "a_b_png"]
    long = flat_stems(["ü" * 150 + "/x.jpg", "ü" * 150 + "/y.jpg"])
    assert len(set(long)) == 2 and all(len(stem.encode()) <= 200 for stem in long)
