"""Logistic regression: scikit-learn's solution, weights as repetitions, classes that never occur, an honest solver."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from picie_core.models.classifier_head import Head, without_classes
from picie_core.models.logistic_regression import fit_head
from tests.factories import unit

NAMES = ("sky", "road", "tree", "pole")


def labelled_rows(
    classes: tuple[int, ...] = (0, 1, 3), rows: int = 300, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Unit embeddings (N, 6) around one direction a class, wide enough to overlap, and their classes."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(classes, rows)
    return unit(rng.normal(size=(4, 6))[labels] + 0.8 * rng.normal(size=(rows, 6))), labels


def scores(head: Head, rows: np.ndarray) -> np.ndarray:
    return rows @ head.weight.T + head.bias


def test_equals_scikit_learn():
    """On rows of unit variance in uncorrelated directions, where both penalise the same: the same probabilities."""
    rows, labels = labelled_rows()
    found = fit_head(rows, labels, NAMES, l2=1e-3)
    values, vectors = np.linalg.eigh(np.cov(rows.T))
    white = (rows - rows.mean(0)) @ (vectors / np.sqrt(values))
    expected = LogisticRegression(C=1 / (2 * 1e-3 * len(rows)), tol=1e-8, max_iter=1000).fit(white, labels)
    logits = scores(found.head, rows)[:, [0, 1, 3]]
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert found.converged
    np.testing.assert_allclose(shares, expected.predict_proba(white), atol=2e-3)


def test_a_weight_is_a_repetition():
    """Rows that count twice and rows that are there twice give one classifier."""
    rows, labels = labelled_rows()
    twice = labels == 1
    order = np.concatenate([np.arange(len(rows)), np.flatnonzero(twice)])
    weighted = fit_head(rows, labels, NAMES, weights=1.0 + twice)
    repeated = fit_head(rows[order], labels[order], NAMES)
    np.testing.assert_allclose(scores(weighted.head, rows), scores(repeated.head, rows), atol=0.1)
    agree = scores(weighted.head, rows).argmax(1) == scores(repeated.head, rows).argmax(1)
    assert agree.mean() > 0.99


def test_many_rows_start_from_a_tenth_and_end_alike():
    """With 4,000 rows the solver starts from every tenth one: as good, and the same each time."""
    rows, labels = labelled_rows(rows=4000)
    one, two = (fit_head(rows, labels, NAMES, seed=3) for _ in range(2))
    assert np.array_equal(one.head.weight, two.head.weight) and np.array_equal(one.head.bias, two.head.bias)
    other = fit_head(rows, labels, NAMES, seed=4)
    np.testing.assert_allclose(scores(one.head, rows), scores(other.head, rows), atol=0.1)


def test_a_class_without_a_row_is_never_predicted():
    """Its score is the lowest for any unit embedding, finite, and the fit says which class it is."""
    rows, labels = labelled_rows()
    found = fit_head(rows, labels, NAMES)
    assert found.absent == ("tree",) and found.head.class_names == NAMES
    anywhere = scores(found.head, unit(np.random.default_rng(1).normal(size=(2000, 6))))
    assert np.isfinite(anywhere).all()
    assert (anywhere.argmin(1) == 2).all()
    assert found.news == ["no labelled pixel shows tree: the classifier never predicts it"]


def test_a_direction_without_variance_does_no_harm():
    """Embeddings that all lack a dimension: finite weights, and the classes are found as without it."""
    rows, labels = labelled_rows()
    flat = np.pad(rows, [(0, 0), (0, 2)])
    one, two = fit_head(rows, labels, NAMES), fit_head(flat, labels, NAMES)
    assert np.isfinite(two.head.weight).all()
    np.testing.assert_allclose(scores(one.head, rows)[:, :2], scores(two.head, flat)[:, :2], atol=0.1)


def test_a_solver_that_ran_out_of_iterations_says_so():
    """Two iterations are too few: the classifier is there, and the news names the gradient that is left."""
    found = fit_head(*labelled_rows(), NAMES, iterations=2)
    assert not found.converged and found.iterations <= 2
    assert f"has not converged in {found.iterations} iterations (gradient" in found.news[-1]


@pytest.mark.parametrize("absent", [[], [1], [0, 3]])
def test_a_head_without_classes_keeps_the_others(absent):
    """Rows of the other classes stay as they are."""
    rng = np.random.default_rng(0)
    head = Head(rng.normal(size=(4, 6)).astype(np.float32), rng.normal(size=4).astype(np.float32), NAMES)
    found, others = without_classes(head, absent), np.setdiff1d(range(4), absent)
    assert np.array_equal(found.weight[others], head.weight[others])
    assert np.array_equal(found.bias[others], head.bias[others])
    said = scores(found, unit(rng.normal(size=(500, 6)))).argmax(1)
    assert not np.isin(said, absent).any()
