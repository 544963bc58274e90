"""Recipes: every difference from the default is one named setting, shown and changeable."""

from __future__ import annotations

import re
from dataclasses import asdict, fields
from typing import Any

import pytest

from picie_core.cli.commands import COMMANDS
from picie_core.cli.parser import build_parser, call_arguments
from picie_core.errors import SettingError
from picie_core.settings import METHODS, EmbedderSettings, SampleSettings
from picie_core.training.recipes import PAPER, PAPER_SUPERVISED, RECIPES, SUPERVISED, recipe_settings, recipe_values
from picie_core.training.settings import TrainSettings

KINDS = (TrainSettings, EmbedderSettings, SampleSettings)
DEFAULTS = {one.name: one.default for kind in KINDS for one in fields(kind)}
NAMES = sorted(PAPER)


def values_of(recipe: str, method: str = "picie", **changes: Any) -> dict[str, object]:
    """All settings of a recipe by name."""
    return {name: value for one in recipe_settings(recipe, method, **changes) for name, value in asdict(one).items()}


@pytest.mark.parametrize("name", NAMES)
def test_each_difference_is_a_setting(name):
    """What the paper does otherwise has a name among the settings, a value in its range and another default."""
    kinds = [kind for kind in KINDS if name in {one.name for one in fields(kind)}]
    assert len(kinds) == 1
    assert kinds[0](**{name: PAPER[name]}) != kinds[0]()
    assert type(PAPER[name]) is type(DEFAULTS[name])


@pytest.mark.parametrize("method", METHODS)
def test_both_recipes_exist_for_every_method(method):
    """The default recipe is the defaults; the paper's differs in exactly the named settings; supervised has its own."""
    own, paper_own = (SUPERVISED, PAPER_SUPERVISED) if method == "supervised" else ({}, {})
    assert values_of("default", method) == {**DEFAULTS, **own}
    assert values_of("paper", method) == {**DEFAULTS, **PAPER, **paper_own}
    assert recipe_values("paper", method) == {**PAPER, **paper_own}


def test_supervised_in_the_paper_is_plain():
    """Its rates and optimiser are the paper's; no class weights, no probe to start from, crops as the views are."""
    paper, picie = values_of("paper", "supervised"), values_of("paper")
    assert {name for name in paper if paper[name] != picie[name]} == {"balance", "head_start"}
    assert (paper["balance"], paper["head_start"], paper["crop_scale"]) == (0, "random", 0.5)
    assert paper["held_out"] == 0  # the last epoch is kept


@pytest.mark.parametrize("name", NAMES)
def test_a_single_setting_makes_an_ablation(name):
    """From either recipe one setting can be taken over from the other, and nothing else moves."""
    paper, default = values_of("paper"), values_of("default")
    assert values_of("paper", **{name: DEFAULTS[name]}) == {**paper, name: DEFAULTS[name]}
    assert values_of("default", **{name: PAPER[name]}) == {**default, name: PAPER[name]}


def test_the_paper_as_facts():
    """What the paper and its authors' logs say, number by number."""
    paper = values_of("paper")
    said = {"k": 27, "epochs": 10, "batch": 128, "size_px": 320, "dim": 128, "backbone": "resnet18", "stages": 4}
    assert {name: paper[name] for name in said} == said
    assert paper["lr_decoder"] == paper["lr_backbone"] == paper["lr_head"] == 1e-4
    assert (paper["temperature"], paper["schedule"], paper["batch_norm"]) == (1.0, "constant", "train")
    assert (paper["labels"], paper["centroids"], paper["cluster_images"]) == ("epoch", "anew", 20 * 256)
    assert (paper["clustered"], paper["kmeans"], paper["precision"]) == ("pass", "mini-batch", "32-true")
    assert (paper["views"], paper["square"]) == ("equal", "centre")
    assert recipe_settings("paper")[0].square_px(320) == 640
    assert (paper["stage_norm"], paper["decoder"], paper["pool"], paper["context"]) == ("none", "random", 1, 0)
    assert paper["upsampling"] == "pyramid"
    assert paper["overcluster"] == 0


def test_what_the_paper_does_otherwise_elsewhere():
    """Ten times the rate on Cityscapes, twice the width with a ResNet-50; a change that is asked for comes first."""
    cityscapes, deep = values_of("paper", dataset="cityscapes"), values_of("paper", backbone="resnet50")
    assert cityscapes == {**values_of("paper"), "lr_decoder": 1e-3, "lr_backbone": 1e-3, "lr_head": 1e-3}
    assert deep == {**values_of("paper"), "backbone": "resnet50", "dim": 256}
    assert values_of("paper", backbone="resnet50", dim=64)["dim"] == 64
    assert values_of("default", dataset="cityscapes") == DEFAULTS


def test_the_recipe_hands_out_copies():
    """Whoever changes what a recipe gave changes no later recipe."""
    recipe_values("paper")["batch"] = 1
    assert PAPER["batch"] == 128


def test_an_impossible_change_is_refused():
    """A change is checked like any setting."""
    with pytest.raises(SettingError, match=r"temperature=0.0 is too small: give at least 0.001"):
        recipe_settings("paper", temperature=0.0)


# -- on the command line


def test_help_shows_both_values(say):
    """`train --help` says of every difference what the default is and what the paper's is."""
    said = say("train", "--help")
    text = re.sub(r"\s+", " ", said.out)
    assert said.code == 0
    assert f"--recipe {{{','.join(RECIPES)}}}" in text
    for name in NAMES:
        assert re.search(
            rf"--{name.removesuffix('_px').replace('_', '-')} .*?\(default: {DEFAULTS[name]}; paper: {PAPER[name]}\W",
            text,
        ), name
    assert text.count("; paper: ") == len(NAMES)
    assert "(default: 320; vit: 448)" in text


def called(*words: str) -> dict[str, object]:
    """All settings that `train` would be called with."""
    arguments = build_parser(COMMANDS).parse_args(["train", "--workspace", "w", *words])
    given = call_arguments(COMMANDS["train"], arguments)
    return {name: value for one in ("training", "embedder", "sampling") for name, value in asdict(given[one]).items()}


def test_options_change_single_settings_of_a_recipe():
    """--recipe chooses all of them, an option beside it one; without it they are the defaults."""
    assert called() == DEFAULTS
    assert called("--recipe", "paper") == values_of("paper")
    assert called("--recipe", "paper", "--temperature", "0.1") == values_of("paper", temperature=0.1)
    assert called("--method", "supervised") == values_of("default", "supervised")
    assert called("--method", "supervised", "--epochs", "3") == values_of("default", "supervised", epochs=3)
    assert called("--temperature", "1.0") == values_of("default", temperature=1.0)
    assert called("--recipe", "paper", "--method", "mdc", "--k", "12") == values_of("paper", k=12)
    assert called("--recipe", "paper", "--backbone", "resnet50")["dim"] == 256
    assert called("--recipe", "paper", "--dataset", "cityscapes", "--root", "city")["lr_backbone"] == 1e-3


def test_a_transformer_trains_by_its_own_recipe():
    """`--backbone` of a transformer starts from the recipe `vit`: low rates, the last blocks; another can be named."""
    vit = values_of("vit")
    assert {name for name in DEFAULTS if vit[name] != DEFAULTS[name]} == set(recipe_values("vit"))
    assert (vit["lr_backbone"], vit["lr_decoder"], vit["train_stages"]) == (1e-5, 3e-4, 2)
    assert {vit["size_px"] // view % patch for view in (1, 2) for patch in (8, 14, 16)} == {0}
    assert called("--recipe", "vit") == called("--backbone", "dinov2_s14") == vit
    assert called("--backbone", "timm:vit_base_patch16_224") == {**vit, "backbone": "timm:vit_base_patch16_224"}
    assert called("--backbone", "dino_s16", "--recipe", "default") == values_of("default", backbone="dino_s16")
    assert called("--backbone", "resnet34") == values_of("default", backbone="resnet34")
    supervised = called("--backbone", "dinov2_s14", "--method", "supervised")
    assert (supervised["epochs"], supervised["lr_backbone"], supervised["train_stages"]) == (20, 1e-5, 2)
