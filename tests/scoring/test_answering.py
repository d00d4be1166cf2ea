"""Asking one model: a row that it cannot answer costs no other row, and answers are gathered row for row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_samples import asked, fitted, sample_label, sample_rows
from sklearn.cross_decomposition import PLSRegression
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from modelfactory.plan.steps import Feature
from modelfactory.scoring.answering import Answers, ask, ready
from modelfactory.scoring.forms import ModelForm
from modelfactory.scoring.gathering import Gathered
from modelfactory.scoring.rows import Rows

FEATURES = tuple(Feature(name, "numeric") for name in ("x0", "x1"))


def form(task: Any = "regression", answer: Any = "double", **more: Any) -> ModelForm:
    return ModelForm(**{"task": task, "features": FEATURES, "container": "matrix", "answer": answer, **more})


def rows_of(x0: Any, x1: Any = None) -> Rows:
    x0 = np.asarray(x0, dtype=np.float64)
    return Rows({FEATURES[0]: x0, FEATURES[1]: np.zeros(len(x0)) if x1 is None else np.asarray(x1, dtype=np.float64)})


class Picky:
    """Doubles the first feature, and raises where it is negative; counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def predict(self, x: Any) -> Any:
        self.calls += 1
        if (x[:, 0] < 0).any():
            raise ValueError("negative")
        return 2 * x[:, 0]


@settings(deadline=None)
@given(st.lists(st.integers(-3, 20), min_size=1, max_size=60))
def test_only_rows_that_a_model_refuses_fail(values: list[int]) -> None:
    answers = ask(form(), Picky(), rows_of(values))
    for i, value in enumerate(values):
        fault = None if answers.fault is None else answers.fault[i]
        if value < 0:
            assert fault == "predict_failed: ValueError: negative"
        else:
            assert (fault, answers.prediction[i]) == (None, 2 * value)


def test_a_model_that_refuses_everything_is_not_asked_for_ever() -> None:
    model = Picky()
    answers = ask(form(), model, rows_of(np.full(100_000, -1.0)))
    assert model.calls < 300
    assert answers.fault is not None
    assert all(fault.startswith("predict_failed: ValueError: negative") for fault in answers.fault)
    assert "among" in answers.fault[-1]


def test_an_interrupt_is_no_fault_of_a_row() -> None:
    class Interrupted:
        def predict(self, x: Any) -> Any:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ask(form(), Interrupted(), rows_of([1.0]))


@pytest.mark.parametrize("answer", [[1.0, 2.0, 3.0, 4.0], [[1.0, 2.0, 3.0]], 5.0, [[1.0, 2.0]] * 3, ["a", "b", "c"]])
def test_an_answer_of_another_shape_or_type_is_a_fault(answer: Any) -> None:
    class Odd:
        def predict(self, x: Any) -> Any:
            return np.array(answer)

    answers = ask(form(), Odd(), rows_of([1.0, 2.0, 3.0]))
    assert answers.fault is not None
    assert all(fault.startswith("predict_failed: ValueError: ") for fault in answers.fault)


def test_probabilities_of_another_shape_are_a_fault() -> None:
    class Odd:
        classes_ = np.array(["p", "q"])

        def predict(self, x: Any) -> Any:
            return np.array(["p"] * len(x))

        def predict_proba(self, x: Any) -> Any:
            return np.ones((len(x), 3))

    answers = ask(form("classification", "string"), Odd(), rows_of([1.0]))
    assert answers.fault is not None
    assert answers.fault[0] == "predict_failed: ValueError: the model said an array of shape (1, 3) for 1 rows"


def test_answers_in_one_column_are_answers() -> None:
    rows = sample_rows(30)
    model = fitted(PLSRegression(1), rows, sample_label(rows))
    said = ask(form(), ready(form(), model), rows_of(rows["x0"], rows["x1"]))
    assert said.fault is None
    np.testing.assert_allclose(said.prediction, np.ravel(asked(model, rows)), rtol=1e-12)


@pytest.mark.parametrize("estimator", [LinearRegression(), make_pipeline(StandardScaler(), LinearRegression())])
def test_a_model_that_is_made_ready_stays_as_it_was_for_its_user(estimator: Any) -> None:
    rows = sample_rows(30)
    model = fitted(estimator, rows, sample_label(rows))
    before = asked(model, rows)
    answers = ask(form(), ready(form(), model), rows_of(rows["x0"], rows["x1"]))
    np.testing.assert_array_equal(asked(model, rows), before)
    assert model.feature_names_in_.tolist() == ["x0", "x1"]
    np.testing.assert_allclose(answers.prediction, before, rtol=1e-12)


def test_rows_that_are_chosen_twice_are_rows() -> None:
    rows = rows_of([1.0, 2.0, 3.0, 4.0]).take(np.array([3, 1, 1, 0])).take(np.array([2, 0]))
    assert len(rows) == 2
    assert ask(form(), Picky(), rows).prediction.tolist() == [4.0, 8.0]


# Gathering --------------------------------------------------------------------------------------------------------


def test_answers_come_out_where_they_belong() -> None:
    gathered = Gathered(5, "bigint")
    gathered.add(np.array([4, 0]), Answers(np.array([40, 2**62 + 1])))
    gathered.add(np.array([2, 1]), Answers(np.array([20, 0]), fault=np.array([None, "no"], dtype=object)))
    assert gathered.predictions().to_pylist() == [2**62 + 1, None, 20, None, 40]
    assert gathered.faults().to_pylist() == [None, "no", None, None, None]
    assert gathered.struct(probability=True).field("probability").to_pylist() == [None] * 5


def test_probabilities_of_models_with_other_classes_are_put_in_line() -> None:
    gathered = Gathered(4, "string")
    said = np.array(["b", "c"], dtype=object)
    gathered.add(
        np.array([3, 1]), Answers(said, np.array([[0.1, 0.9], [0.6, 0.4]]), ("c", "b")), classes=("a", "b", "c")
    )
    gathered.add(np.array([0]), Answers(said[:1], np.array([[0.7]]), ("z",)))
    assert [value and dict(value) for value in gathered.probabilities().to_pylist()] == [
        {"z": 0.7},
        {"a": 0.0, "b": 0.4, "c": 0.6},
        None,
        {"a": 0.0, "b": 0.9, "c": 0.1},
    ]
    assert gathered.predictions().to_pylist() == ["b", "c", None, "b"]


@pytest.mark.parametrize("labels", [[True, False], [1, 2], ["p", "q"], [0.0, 1.0]], ids=str)
def test_predictions_have_the_type_of_the_label(labels: list[Any]) -> None:
    kind = {bool: "boolean", int: "bigint", str: "string", float: "double"}[type(labels[0])]
    rows = sample_rows(30)
    model = fitted(LogisticRegression(), rows, sample_label(rows, classes=labels))
    made = form("classification", kind)
    answers = ask(made, ready(made, model), rows_of(rows["x0"], rows["x1"]))
    gathered = Gathered(30, made.answer)
    gathered.add(None, answers)
    assert gathered.predictions().to_pylist() == asked(model, rows).tolist()
    types = {"boolean": pa.bool_(), "bigint": pa.int64(), "string": pa.string(), "double": pa.float64()}
    assert gathered.predictions().type == types[kind]
    sums = [sum(share for _, share in probability) for probability in gathered.probabilities().to_pylist()]
    assert sums == pytest.approx([1.0] * 30)
