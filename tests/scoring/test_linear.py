"""The numbers of many linear models, read out of their bytes, say what the models say."""

from __future__ import annotations

import importlib
import pickle
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_samples import asked, fitted, sample_label, sample_rows
from sklearn.compose import TransformedTargetRegressor
from sklearn.linear_model import ElasticNet, LinearRegression, PoissonRegressor, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.tree import DecisionTreeRegressor

from modelfactory.plan.steps import Feature
from modelfactory.scoring.forms import ModelForm, StoredModel
from modelfactory.scoring.linear import LINEAR, LinearModels, linear_models
from modelfactory.scoring.loading import UnsafeModel, load_model
from modelfactory.scoring.rows import Rows
from modelfactory.training.encoding import encode_model

FEATURES = tuple(Feature(name, "numeric") for name in ("x0", "x1"))
FORM = ModelForm(task="regression", features=FEATURES, container="matrix", answer="double")
ROWS = sample_rows(20, seed=77)


def stored_as(models: Iterable[Any], persistence: Any = "pickle") -> pa.Table:
    encoded = [encode_model(model, persistence) for model in models]
    return pa.table(
        {
            "model": pa.array([model.data for model in encoded], pa.binary()),
            "format": [model.format for model in encoded],
            "sha256": [model.sha256 for model in encoded],
        }
    )


class Loader:
    """Loads, and counts."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, stored: StoredModel) -> Any:
        self.count += 1
        return load_model(stored.data, format=stored.format, sha256=stored.sha256)


def read(models: Sequence[Any], *, chunk: int = 1000, persistence: Any = "pickle") -> tuple[LinearModels | None, int]:
    """Read models out of their bytes; return also how many of them had to be loaded for that."""
    table, load = stored_as(models, persistence), Loader()
    numbers = np.arange(len(models))[::-1]  # any order will do
    chunks = [
        (numbers[i : i + chunk], table.take(pa.array(numbers[i : i + chunk]))) for i in range(0, len(models), chunk)
    ]
    return linear_models(chunks, len(models), load), load.count


def check(found: LinearModels | None, models: Sequence[Any]) -> None:
    """See that what was read answers as the models do."""
    assert found is not None
    assert len(found) == len(models)
    rows = Rows({feature: ROWS[feature.name].to_numpy() for feature in FEATURES})
    for number, model in enumerate(models):
        answers = found.answer(FORM, rows, np.full(len(ROWS), number))
        assert answers.fault is None
        np.testing.assert_allclose(answers.prediction, asked(model, ROWS), rtol=1e-9, atol=1e-12)


def fit(estimator: Any, seed: int, *, scale: float = 1.0, label: Any = None) -> Any:
    rows = sample_rows(30, seed=seed) * scale
    return fitted(estimator, rows, sample_label(rows, seed=seed) if label is None else label)


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("path", sorted(LINEAR))
def test_every_class_that_is_taken_for_linear_is(path: str, scaled: bool) -> None:
    module, _, name = path.rpartition(".")
    estimator = getattr(importlib.import_module(module), name)()
    if "max_iter" in estimator.get_params():
        estimator.set_params(max_iter=10_000)
    if "random_state" in estimator.get_params():
        estimator.set_params(random_state=0)
    models = [fit(make_pipeline(StandardScaler(), estimator) if scaled else estimator, seed) for seed in range(3)]
    check(read(models)[0], models)


@pytest.mark.parametrize(
    "estimator",
    [
        DecisionTreeRegressor(),
        PoissonRegressor(),
        make_pipeline(MinMaxScaler(), Ridge()),
        make_pipeline(StandardScaler(), StandardScaler(), Ridge()),
        make_pipeline(StandardScaler(), DecisionTreeRegressor()),
        TransformedTargetRegressor(LinearRegression(), func=np.sqrt, inverse_func=np.square),
    ],
    ids=lambda e: type(e).__name__,
)
def test_what_is_not_the_plain_formula_is_not_taken_for_it(estimator: Any) -> None:
    label = np.arange(1.0, 31.0)
    assert read([fit(estimator, 0, label=label)])[0] is None
    assert read([fit(LinearRegression(), 1), fit(LinearRegression(), 2), fit(estimator, 0, label=label)])[0] is None


def test_nothing_is_no_model() -> None:
    assert linear_models([], 3, Loader()) is None


@pytest.mark.parametrize("chunk", [7, 1000])
@pytest.mark.parametrize(
    "estimator",
    [LinearRegression(), Ridge(), make_pipeline(StandardScaler(), Ridge())],
    ids=["plain", "ridge", "scaled"],
)
def test_models_that_differ_in_their_numbers_are_not_loaded(estimator: Any, chunk: int) -> None:
    models = [fit(estimator, seed) for seed in range(60)]
    found, loads = read(models, chunk=chunk)
    check(found, models)
    assert loads == 1


def test_models_that_took_other_rounds_are_loaded_a_few_times() -> None:
    models = [fit(ElasticNet(alpha=0.001), seed, scale=10.0 ** (seed % 4)) for seed in range(80)]
    rounds = {model.n_iter_ for model in models}
    assert len(rounds) > 3
    found, loads = read(models, chunk=30)
    check(found, models)
    assert loads <= len(rounds) + 3


def test_models_whose_numbers_stand_twice_are_read_right() -> None:
    flat = np.full(30, 5.0)
    same = np.where(np.arange(30) % 2, 1.0, -1.0)  # mean 0, variance 1, scale 1
    estimator = make_pipeline(StandardScaler(), LinearRegression())
    models = [fit(estimator, seed, label=flat * seed) for seed in range(4)]
    for seed in range(4):
        rows = pd.DataFrame({"x0": same, "x1": same})
        models.append(fitted(estimator, rows, seed * same))
        models.append(fit(LinearRegression(), seed, label=flat * 0) if seed == 9 else fit(estimator, seed + 10))
    check(read(models)[0], models)
    check(read(models[::-1])[0], models[::-1])
    zeros = [fit(LinearRegression(), seed, label=flat * (seed % 2)) for seed in range(6)]
    check(read(zeros)[0], zeros)


@pytest.mark.parametrize("persistence", ["pickle", "skops"])
def test_models_of_any_form_are_read(persistence: str) -> None:
    models = [fit(Ridge(), seed) for seed in range(4)]
    check(read(models, persistence=persistence)[0], models)


def test_a_model_that_was_changed_is_found_among_those_that_are_not_loaded() -> None:
    table = stored_as([fit(Ridge(), seed) for seed in range(9)])
    stored = table["model"].to_pylist()
    at = stored[5].index(pickle.loads(stored[5]).coef_.tobytes())
    stored[5] = stored[5][:at] + bytes(8) + stored[5][at + 8 :]
    with pytest.raises(UnsafeModel, match="SHA-256 differs"):
        linear_models([(np.arange(9), table.set_column(0, "model", pa.array(stored)))], 9, Loader())


NUMBERS = st.floats(-1e9, 1e9) | st.sampled_from([0.0, -0.0, 1.0, 1e-300])


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS), min_size=1, max_size=12), st.integers(1, 12), st.booleans())
def test_any_numbers_are_read_as_they_are(numbers: list[Any], chunk: int, scaled: bool) -> None:
    models = []
    for first, second, third in numbers:
        model = fit(make_pipeline(StandardScaler(), Ridge()) if scaled else Ridge(), 0)
        final = model.steps[-1][1] if scaled else model
        final.coef_, final.intercept_ = np.array([first, second]), third
        if scaled:
            model.steps[0][1].mean_ = np.array([second, third])
            model.steps[0][1].scale_ = np.array([1.0 if value == 0 else value for value in (third, first)])
        models.append(model)
    found, _ = read(models, chunk=chunk)
    assert found is not None
    for number, (first, second, third) in enumerate(numbers):
        assert found.coef[number].tobytes() == np.array([first, second]).tobytes()
        assert found.intercept[number] == third
        if scaled:
            assert found.mean is not None
            assert found.mean[number].tobytes() == np.array([second, third]).tobytes()


def test_an_answer_that_overflows_is_an_answer() -> None:
    models = [fit(LinearRegression(), 0)]
    models[0].coef_ = np.array([1e300, 1.0])
    found, _ = read(models)
    assert found is not None
    rows = Rows(
        {FEATURES[0]: np.array([1e300, 1.0, np.nan, np.inf]), FEATURES[1]: np.array([0.0, 1.0, np.inf, np.nan])}
    )
    answers = found.answer(FORM, rows, np.zeros(4, dtype=int))
    assert answers.fault is not None
    assert answers.fault.tolist() == [None, None, "infinite_values", "infinite_values"]
    assert answers.prediction[0] == np.inf
