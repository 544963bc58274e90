"""The two forms of the Train screen: settings of a frozen embedder, and method, recipe and settings of a training."""

from __future__ import annotations

from typing import Any

import streamlit as st

from app.session.estimates import default_weights
from app.train.settings_form import arguments_of, draw_settings
from picie_core.settings import EmbedderSettings, SampleSettings, TrainSettings
from picie_core.training.recipes import RECIPES, recipe_values
from picie_core.workspace.workspace import Workspace

FROZEN, TRAINED = "Embed with a frozen backbone", "Train on these images"
MAIN = {
    FROZEN: ("size_px", "backbone", "weights", "seed"),
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
    values = draw_settings(SETTINGS[FROZEN], MAIN[FROZEN], "frozen", defaults={"weights": default_weights()})
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
    starts = recipe_values(recipe)
    defaults = {"weights": default_weights()}
    values = draw_settings(SETTINGS[TRAINED], MAIN[TRAINED], "picie", defaults=defaults, recipe=starts)
    chosen = ["--method", method, *(["--recipe", recipe] if recipe != RECIPES[0] else [])]
    options = arguments_of(SETTINGS[TRAINED], values, ("size_px", "weights"), starts)
    return values, [str(workspace.images_root), *chosen, *options]
