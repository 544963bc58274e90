"""The students: scores of the size of any image, and backbones that hold the weights they were given."""

from __future__ import annotations

import dataclasses

import pytest
import torch
import torchvision

from picie_core.distillation.settings import NETWORKS, DistilSettings, StudentSettings
from picie_core.distillation.student.networks import make_student
from picie_core.errors import PicieError, SettingError

LIGHT = ("fpn_resnet18", "lraspp_mobilenet_v3_large")


@pytest.mark.parametrize("name", NETWORKS)
def test_scores_have_the_size_of_the_image(name):
    """Odd sizes too, of a class each."""
    network = make_student(StudentSettings(network=name, weights="none"), 3).eval()
    with torch.inference_mode():
        assert network(torch.zeros(1, 3, 65, 98)).shape == (1, 3, 65, 98)


@pytest.mark.parametrize(("name", "backbone"), list(zip(LIGHT, ("resnet18", "mobilenet_v3_large"), strict=True)))
def test_weights_from_a_file_are_in_the_backbone(tmp_path, name, backbone):
    """A state dict of torchvision: its backbone gives the very maps."""
    torch.manual_seed(1)
    published = torchvision.models.get_model(backbone, weights=None).eval()
    torch.save(published.state_dict(), tmp_path / "weights.pth")
    student = make_student(StudentSettings(network=name, weights=str(tmp_path / "weights.pth")), 3).eval()
    x = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        maps = student.backbone(x)
        if backbone == "resnet18":
            wanted = torch.nn.Sequential(*list(published.children())[:-2])(x)
            torch.testing.assert_close(maps[-1], wanted)
        else:
            wanted = published.features[:5](x)
            torch.testing.assert_close(maps["low"], wanted)


@pytest.mark.parametrize("name", LIGHT)
def test_weights_of_another_network_are_refused(tmp_path, name):
    """A missing file, no state dict, another network: what to give."""
    with pytest.raises(PicieError, match=r"weights=.*none.pth is no file: give a state dict"):
        make_student(StudentSettings(network=name, weights=str(tmp_path / "none.pth")), 3)
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(PicieError, match=r"give the state dict of a torchvision"):
        make_student(StudentSettings(network=name, weights=str(tmp_path / "other.pth")), 3)


def test_every_pixel_of_the_pyramid_sees_the_whole_image():
    """The gradient of the score in one corner reaches the opposite one."""
    network = make_student(StudentSettings(weights="none"), 3).eval()
    image = torch.randn(1, 3, 128, 192, requires_grad=True)
    network(image)[0, :, 0, 0].sum().backward()
    assert image.grad is not None and image.grad[0, :, -16:, -16:].abs().sum() > 0


def test_settings_outside_their_range_are_refused():
    """The crop has to be a multiple of the stride; names of networks are known."""
    with pytest.raises(SettingError, match=r"crop=100 must be a multiple of 32.*: give 96"):
        DistilSettings(crop_px=100)
    with pytest.raises(SettingError, match=r"network='unet' is unknown: choose one of fpn_resnet18"):
        StudentSettings(network="unet")
    assert dataclasses.replace(StudentSettings(), network="lraspp_mobilenet_v3_large").size_px == 360
