"""Classes as text, as Spark casts labels to string."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from training_samples import PlainMean, call, fit, make_step, sample_group

from modelfactory.training.classes import class_text, class_texts, known_classes


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (np.False_, "false"),
        (3, "3"),
        (np.int64(-7), "-7"),
        ("New York", "New York"),
        ("", ""),
        (1.0, "1.0"),
        (-0.0, "-0.0"),
        (0.1, "0.1"),
        (1234567.5, "1234567.5"),
        (9999999.0, "9999999.0"),
        (1e7, "1.0E7"),
        (1.5e-300, "1.5E-300"),
        (-123456789.25, "-1.2345678925E8"),
        (0.001, "0.001"),
        (0.00099, "9.9E-4"),
        (5e-324, "5.0E-324"),
        (np.float64(2.5), "2.5"),
        (float("inf"), "Infinity"),
        (float("-inf"), "-Infinity"),
    ],
)
def test_a_class_is_written_as_spark_casts_it(value: Any, text: str) -> None:
    assert class_text(value) == text


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        (np.array([False, True]), ("false", "true")),
        (np.array([2, 10]), ("2", "10")),
        (np.array([0.5, 1e9]), ("0.5", "1.0E9")),
        (np.array(["b", "a"], dtype=object), ("b", "a")),
        (np.array(["b", "a"]), ("b", "a")),
        ([True], ("true",)),
        ([], ()),
    ],
)
def test_classes_keep_their_order(values: Any, texts: tuple[str, ...]) -> None:
    assert class_texts(values) == texts


def test_a_model_that_does_not_tell_its_classes_knows_those_it_was_fitted_on() -> None:
    x, label = np.arange(4.0)[:, None], np.array([3, 1, 3, 1])
    assert known_classes(make_pipeline(GaussianNB()).fit(x, label), label) == ("1", "3")
    assert known_classes(PlainMean(), label) == ("1", "3")


@pytest.mark.parametrize(
    ("task", "classes", "known"),
    [("classification", (False, True), ("false", "true")), ("classification", ("b", "a"), ("a", "b"))],
)
def test_outcomes_of_classifiers_tell_classes(task: str, classes: tuple[Any, ...], known: tuple[str, ...]) -> None:
    step = make_step(call("sklearn.naive_bayes.GaussianNB"), task=task)
    assert fit(step, sample_group(classes=classes)).classes == known


def test_outcomes_of_others_tell_none() -> None:
    assert fit(make_step(call("sklearn.tree.DecisionTreeRegressor")), sample_group()).classes == ()
