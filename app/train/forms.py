"""The two forms of the Train screen: settings of a frozen embedder, and method, recipe and settings of a training."""

from __future__ import annotations

from typing import Any

import streamlit as st

from app.session.weights import USUAL, default_weights
from app.train.backbone_choice import choose_backbone, words_of_backbone
from app.train.settings_form import arguments_of, draw_settings
from picie_core.settings import EmbedderSettings, SampleSettings
from picie_core.training.recipes import RECIPES, recipe_values, usual_recipe
from picie_core.training.settings import TrainSettings
from picie_core.workspace.workspace import Workspace

FROZEN, TRAINED = "Embed with a frozen backbone", "Train on these images"
MAIN = {
    FROZEN: ("size_px", "weights", "seed"),
    TRAINED: ("k", "overcluster", "epochs", "size_px", "batch"),
}
SETTINGS = {FROZEN: (SampleSettings, EmbedderSettings), TRAINED: (TrainSettings, SampleSettings, EmbedderSettings)}
METHODS = {
    "picie": "PiCIE: clusters of two views agree",
    "mdc": "MDC: clusters of one view, learnt",
    "iic": "IIC: mutual information of two views",
}
RECIPE_TITLES = {
    "default": "Default: the best that we know",
    "paper": "The paper's, step for step",
    "vit": "Transformer: its last blocks, at low rates",
}
METHOD_HELP = (
    "PiCIE is the one to use; the others are what it was compared with. Supervised training and the linear probe "
    "learn from masks, on the command line: `train --method supervised --masks DIR`."
)
RECIPE_HELP = (
    "What the settings start from. The paper's trains in large batches and in float32: it wants a GPU, and is there "
    "for comparison."
)


def draw_frozen(workspace: Workspace) -> tuple[dict[str, Any], list[str]]:
    """Draws the settings of the frozen embedder; returns them, and the arguments of `embed`."""
    backbone = choose_backbone("frozen", USUAL)
    below = st.container()
    defaults = {"weights": default_weights(backbone)}
    values = draw_settings(SETTINGS[FROZEN], MAIN[FROZEN], "frozen", defaults=defaults, backbone=backbone)
    below.caption(words_of_backbone(backbone, values["weights"]))
    options = arguments_of(SETTINGS[FROZEN], values, ("size_px", "weights"))
    return values, [str(workspace.images_root), *options]


def draw_training(workspace: Workspace) -> tuple[dict[str, Any], list[str]]:
    """Draws method, recipe and settings of a training; returns the settings, and the arguments of `train`."""
    left, right = st.columns(2)
    method = left.selectbox(
        "Method",
        list(METHODS),
        format_func=METHODS.__getitem__,
        key="method",
        help=METHOD_HELP,
        persist_state="session",
    )
    recipe = right.selectbox(
        "Recipe",
        RECIPES,
        format_func=RECIPE_TITLES.__getitem__,
        key="recipe",
        help=RECIPE_HELP,
        persist_state="session",
    )
    start = recipe_values(recipe).get("backbone", USUAL)
    backbone = choose_backbone("picie" if start == USUAL else f"picie_{recipe}", start)
    starts = recipe_values(recipe, method, backbone=backbone)
    below = st.container()
    defaults = {"weights": default_weights(backbone)}
    values = draw_settings(
        SETTINGS[TRAINED], MAIN[TRAINED], "picie", defaults=defaults, recipe=starts, backbone=backbone
    )
    below.caption(words_of_backbone(backbone, values["weights"]))
    usual = usual_recipe(backbone)
    if recipe == RECIPES[0] != usual:
        st.info(f"The recipe “{RECIPE_TITLES[usual]}” fits this backbone.", icon=":material/lightbulb:")
    chosen = ["--method", method, *(["--recipe", recipe] if {recipe, usual} != {RECIPES[0]} else [])]
    options = arguments_of(SETTINGS[TRAINED], values, ("size_px", "weights"), starts)
    return values, [str(workspace.images_root), *chosen, *options]
