"""The folder of a student: ONNX equals torch, predict.py needs three packages, and a kill leaves something usable."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image

from picie_core.data.labelled_sets.datasets import open_labelled_set
from picie_core.distillation.comparison import Truth
from picie_core.distillation.distil_run import distil_export
from picie_core.distillation.student.onnx_export import metadata, write_onnx
from picie_core.distillation.student.prediction import to_input
from picie_core.distillation.student.result import StudentMasks, load_student
from picie_core.distillation.student.student_folder import read_history, read_report, training_folder
from picie_core.errors import PicieError, Stopped
from tests.small_exports import CLASSES, QUICK, STUDENT, write_export


def no_onnx(path: Path, network: object, facts: object) -> None:
    """Stands in for the export to ONNX, which takes seconds."""
    path.write_text("onnx")


FILES = ("student.safetensors", "student.json", "model.onnx", "labelmap.json", "predict.py", "report.json", "curve.png")


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export of six scenes; no test writes there."""
    return write_export(tmp_path_factory.mktemp("export") / "out")


@pytest.fixture(scope="module")
def student(export, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a student of two epochs, measured on the export's own masks."""
    out = tmp_path_factory.mktemp("student") / "net"
    truth = open_labelled_set(export / "images", export / "masks", [one["name"] for one in CLASSES])
    distil_export(export, out, STUDENT, QUICK, truth=Truth(truth), device="cpu")
    return out


def test_the_folder_is_whole_and_the_training_is_gone(student):
    """Every file, readable for whom all are, pictures of held-out images, no checkpoint beside it."""
    assert len({(student / name).stat().st_mode for name in FILES}) == 1
    assert all((student / name).stat().st_size for name in FILES)
    assert len(list((student / "pictures").glob("*.jpg"))) == 2
    assert not training_folder(student).exists()
    assert sorted(path.name for path in student.parent.iterdir()) == ["net"]


def test_the_report_says_what_was_measured(student):
    """Agreement, scores of both, where the teacher's masks are the truth: the teacher is perfect."""
    report = read_report(student)
    assert report is not None
    assert report["images"] == {"train": 4, "held_out": 2} and report["epochs"] == len(report["history"]) == 2
    assert report["truth"]["teacher"]["accuracy"] == report["truth"]["teacher"]["miou"] == 100
    assert 0 < report["truth"]["student"]["accuracy"] <= 100 and report["truth"]["student"]["images"] == 6
    assert set(report["held_out"]["iou"]) == {one["name"] for one in CLASSES}
    assert sum(report["held_out"]["teacher_share"].values()) == pytest.approx(100, abs=0.1)
    assert read_history(student) == report["history"]


@pytest.mark.parametrize("size", [(64, 96), (75, 50)])
def test_onnx_equals_torch(student, size):
    """Two sizes, one of them odd: scores agree to 1e-4, and so does every class."""
    network, _, classes = load_student(student)
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    x = to_input(image, torch.device("cpu"))
    with torch.inference_mode():
        wanted = network(x).numpy()
    session = onnxruntime.InferenceSession(student / "model.onnx", providers=["CPUExecutionProvider"])
    (scores,) = session.run(None, {"image": x.contiguous().numpy()})
    assert scores.shape == (1, len(classes), *size)
    np.testing.assert_allclose(scores, wanted, atol=1e-4, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lraspp_mobilenet_v3_large", "deeplabv3_resnet18"])
def test_onnx_of_the_other_networks(tmp_path, name):
    """Those that torchvision makes, at another size than the traced one."""
    from picie_core.distillation.student.networks import make_student

    network = make_student(dataclasses.replace(STUDENT, network=name), 3).eval()
    write_onnx(tmp_path / "model.onnx", network, metadata((), 64))
    x = torch.randn(1, 3, 80, 112, generator=torch.Generator().manual_seed(0))
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    with torch.inference_mode():
        np.testing.assert_allclose(session.run(None, {"image": x.numpy()})[0], network(x).numpy(), atol=1e-4, rtol=0)


def test_the_onnx_file_knows_its_label_map(student):
    """Classes with colours, mean and deviation, the rule of the size, what the output is."""
    session = onnxruntime.InferenceSession(student / "model.onnx", providers=["CPUExecutionProvider"])
    facts = session.get_modelmeta().custom_metadata_map
    classes = [{name: one[name] for name in ("id", "name", "color")} for one in CLASSES]
    assert json.loads(facts["classes"]) == classes
    assert json.loads((student / "labelmap.json").read_text()) == {"classes": classes, "ignore_id": 255}
    assert json.loads(facts["mean"]) == [0.485, 0.456, 0.406]
    assert json.loads(facts["size"])["shorter_side"] == STUDENT.size_px
    assert "softmax" in facts["output"]


@pytest.mark.parametrize("size", [(90, 130), (48, 80)])
def test_the_script_gives_the_same_mask_with_three_packages(student, tmp_path, size):
    """In a process that refuses every import of torch, torchvision and this project: larger and smaller images."""
    image = tmp_path / "image.png"
    y, x = np.mgrid[: size[0], : size[1]]
    picture = np.stack([90 + y, 60 + 120 * (x // 4 % 2), 220 - y], -1).clip(0, 255).astype(np.uint8)
    Image.fromarray(picture).save(image)
    (tmp_path / "guard.py").write_text(
        "import runpy, sys\n"
        "for name in ('torch', 'torchvision', 'picie_core', 'scipy', 'onnx', 'onnxscript', 'safetensors'):\n"
        "    sys.modules[name] = None\n"
        "script = sys.argv[1]\n"
        "sys.argv = sys.argv[1:]\n"
        "runpy.run_path(script, run_name='__main__')\n"
    )
    command = [sys.executable, tmp_path / "guard.py", student / "predict.py", image, tmp_path / "mask.png"]
    done = subprocess.run([str(one) for one in command], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "mask.png") as mask:
        assert mask.mode == "L" and mask.size == size[::-1]
        found = np.array(mask)
    network, settings, _ = load_student(student)
    wanted = StudentMasks(network, settings.size_px, "cpu")(image)
    assert len(np.unique(wanted)) > 1
    assert (found == wanted).mean() > 0.999  # a tie may fall either way


# -- stops and kills


def test_a_stop_writes_the_best_and_the_same_command_goes_on(export, tmp_path):
    """Stopped in its second epoch: a student of the first one; then the rest of the second."""
    out = tmp_path / "net"
    asked = iter([False, False, True])
    first = distil_export(export, out, STUDENT, QUICK, device="cpu", to_onnx=no_onnx, stop=lambda: next(asked, True))
    assert first["stopped"] and first["epochs"] == 1
    assert all((out / name).exists() for name in FILES) and training_folder(out).exists()
    notes: list[str] = []
    second = distil_export(export, out, STUDENT, QUICK, device="cpu", to_onnx=no_onnx, note=notes.append)
    assert not second["stopped"] and second["epochs"] == 2 and "going on after epoch 1" in notes[0]
    assert not training_folder(out).exists()
    assert second["history"][0] == first["history"][0]


def test_a_stop_before_the_first_epoch_says_how_to_go_on(export, tmp_path):
    """There is no student yet, but a checkpoint."""
    with pytest.raises(Stopped, match=r"before the end of its first epoch; the same command goes on"):
        distil_export(export, tmp_path / "net", STUDENT, QUICK, device="cpu", to_onnx=no_onnx, stop=lambda: True)
    assert not (tmp_path / "net").exists() and (training_folder(tmp_path / "net") / "checkpoint.pt").exists()


KILLED = """
import os, signal, sys
from pathlib import Path
from picie_core.distillation.student import result
from picie_core.distillation.distil_run import distil_export
from tests.small_exports import QUICK, STUDENT

def half(folder, labels, masks):
    folder.mkdir()
    os.kill(os.getpid(), signal.SIGKILL)

result.write_pictures = half
export, out = map(Path, sys.argv[1:])
distil_export(export, out, STUDENT, QUICK, device="cpu", to_onnx=lambda path, *more: path.touch())
"""


@pytest.mark.slow
def test_killed_while_it_writes_leaves_no_half_folder(export, tmp_path):
    """SIGKILL between two files of the result: no folder; the same command writes it without training again."""
    out = tmp_path / "net"
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-c", KILLED, str(export), str(out)]
    assert subprocess.run(command, cwd=root, capture_output=True).returncode == -9
    assert not out.exists()
    notes: list[str] = []
    report = distil_export(export, out, STUDENT, QUICK, device="cpu", to_onnx=no_onnx, note=notes.append)
    assert report["epochs"] == 2 and "after epoch 2" in notes[0]
    assert all((out / name).exists() for name in FILES) and not training_folder(out).exists()


@pytest.mark.slow
def test_a_second_round_learns_from_its_own_masks(export, tmp_path):
    """Two rounds of one epoch; annotated images keep their masks; the report counts both."""
    settings = dataclasses.replace(QUICK, epochs=1, rounds=2, keep_confidence=0.0)
    report = distil_export(export, tmp_path / "net", STUDENT, settings, device="cpu", to_onnx=no_onnx)
    assert [one["round"] for one in report["history"]] == [1, 2]


# -- refusals


def test_folders_that_are_in_use_are_refused(export, student, tmp_path):
    """A finished student, and the export itself."""
    with pytest.raises(PicieError, match=r"exists and is not an empty folder: give a new --out"):
        distil_export(export, student, STUDENT, QUICK)
    with pytest.raises(PicieError, match=r"lies in the export that is learnt from: choose another --out"):
        distil_export(export, export / "images" / "net", STUDENT, QUICK)
    with pytest.raises(PicieError, match=r"holds no student .*: give the --out of `distil`"):
        load_student(tmp_path)


def test_ground_truth_of_other_classes_is_refused_before_the_training(export, tmp_path):
    """No name in common: both lists and the remedy; nothing was started."""
    truth = open_labelled_set(export / "images", export / "masks", ["sky", "road", "tree"])
    with pytest.raises(PicieError, match=r"no class of the ground truth \(sky, road, tree\) .*: put classes.txt"):
        distil_export(export, tmp_path / "net", STUDENT, QUICK, truth=Truth(truth))
    assert not training_folder(tmp_path / "net").exists()
