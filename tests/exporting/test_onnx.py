"""One ONNX file for each model that can be converted, and a row for every group."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from model_samples import Group, fitted, publish, sample_groups, sample_label, sample_rows
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder, SplineTransformer, StandardScaler

import modelfactory as mf
from modelfactory.exporting.onnx_files import MATRIX, write_onnx

TEXT = {"k": pa.string()}
SPLINES = Pipeline([("splines", SplineTransformer()), ("model", Ridge())])
"""What skl2onnx cannot convert."""


def run(file: Path, given: dict[str, Any]) -> list[Any]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(file), options).run(None, given)


def exported(root: Path, out: Path) -> tuple[Any, list[dict[str, Any]]]:
    done = write_onnx(mf.open_store(root).family("f").chain(), out)
    return done, pq.read_table(out / "index.parquet").to_pylist()


@pytest.mark.parametrize(
    "estimator",
    [Pipeline([("scale", StandardScaler()), ("model", Ridge())]), HistGradientBoostingRegressor(max_iter=5)],
    ids=["ridge", "boosting"],
)
def test_the_files_predict_what_the_models_do(estimator: Any, tmp_path: Path) -> None:
    groups = sample_groups(estimator, ["a/../b", None])
    publish(tmp_path / "store", "f", TEXT, groups)
    _, index = exported(tmp_path / "store", tmp_path / "out")
    rows = sample_rows(20, seed=7).astype(np.float32)
    for group, row in zip(groups, index, strict=True):
        file = tmp_path / "out" / row["model"]
        assert row["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
        (found,) = run(file, {MATRIX: rows.to_numpy()})
        np.testing.assert_allclose(found[:, 0], group.model.predict(rows.astype(float)), rtol=1e-4, atol=1e-5)


def test_classifiers_give_label_and_probabilities(tmp_path: Path) -> None:
    groups = sample_groups(LogisticRegression(), ["a"], classes=lambda _: ("no", "yes"))
    publish(tmp_path / "store", "f", TEXT, groups, task="classification", label_type="string", classes=["no", "yes"])
    exported(tmp_path / "store", tmp_path / "out")
    rows = sample_rows(20, seed=7)
    label, probability = run(tmp_path / "out" / "000000.onnx", {MATRIX: rows.to_numpy(np.float32)})
    assert label.tolist() == groups[0].model.predict(rows).tolist()
    np.testing.assert_allclose(probability, groups[0].model.predict_proba(rows), atol=1e-5)


def test_categorical_features_are_inputs_of_their_own(tmp_path: Path) -> None:
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    steps = ColumnTransformer([("n", StandardScaler(), ["x 0"]), ("c", encoder, ["c"])])
    rows = pd.DataFrame({"x 0": np.linspace(0, 1, 10), "c": ["x", "y"] * 5})
    model = fitted(Pipeline([("p", steps), ("m", LinearRegression())]), rows, np.arange(10.0), container="frame")
    features = [("x 0", "numeric"), ("c", "categorical")]
    publish(tmp_path / "store", "f", TEXT, [Group(key=("a",), model=model)], features=features, container="frame")
    exported(tmp_path / "store", tmp_path / "out")
    given = pd.DataFrame({"x 0": [0.25, 3], "c": ["y", "unheard-of"]})
    names = [i.name for i in onnxruntime.InferenceSession(str(tmp_path / "out" / "000000.onnx")).get_inputs()]
    values = [given[["x 0"]].to_numpy(np.float32), given[["c"]].to_numpy(object)]
    (found,) = run(tmp_path / "out" / "000000.onnx", dict(zip(names, values, strict=True)))
    np.testing.assert_allclose(found[:, 0], model.predict(given), rtol=1e-4)


def test_every_group_has_a_row_whatever_became_of_it(tmp_path: Path) -> None:
    groups = [
        *sample_groups(LinearRegression(), ["fine"]),
        Group(key=("few",), status="too_few_rows"),
        *sample_groups(SPLINES, ["curved"]),
    ]
    whole = fitted(SPLINES, sample_rows(), sample_label(sample_rows()))
    publish(tmp_path / "store", "f", TEXT, groups, fallback="global", global_model=whole)
    done, index = exported(tmp_path / "store", tmp_path / "out")
    assert [(row["k"], row["status"], row["model_version"], row["model"]) for row in index] == [
        ("fine", "trained", 1, "000000.onnx"),
        ("few", "too_few_rows", None, None),
        ("curved", "trained", 1, None),
    ]
    assert "SplineTransformer" in index[2]["error"]
    assert (done.exported, done.without_model, done.refused) == (1, 1, {index[2]["error"]: 1})
    assert "SplineTransformer" in (done.global_refused or "")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["000000.onnx", "index.parquet"]


def test_groups_of_different_classes_are_files_of_their_own(tmp_path: Path) -> None:
    """As a search leaves them: what cannot be converted is told for its groups alone."""
    groups = [
        *sample_groups(Ridge(), ["a"]),
        *sample_groups(HistGradientBoostingRegressor(max_iter=3), ["b"]),
        *sample_groups(SPLINES, ["c", "d"]),
    ]
    publish(tmp_path / "store", "f", TEXT, groups)
    done, index = exported(tmp_path / "store", tmp_path / "out")
    assert (done.exported, list(done.refused.values())) == (2, [2])
    rows = sample_rows(20, seed=7).astype(np.float32)
    for group, row in zip(groups[:2], index[:2], strict=True):
        (found,) = run(tmp_path / "out" / row["model"], {MATRIX: rows.to_numpy()})
        np.testing.assert_allclose(found[:, 0], group.model.predict(rows.astype(float)), rtol=1e-4, atol=1e-5)


def test_the_model_of_all_rows_has_a_file(tmp_path: Path) -> None:
    whole = fitted(Ridge(), sample_rows(), sample_label(sample_rows()))
    publish(tmp_path / "store", "f", TEXT, [Group(key=("a",), status="failed")], fallback="global", global_model=whole)
    done, _ = exported(tmp_path / "store", tmp_path / "out")
    assert (done.exported, done.global_refused) == (0, None)
    rows = sample_rows(5, seed=3)
    (found,) = run(tmp_path / "out" / "global.onnx", {MATRIX: rows.to_numpy(np.float32)})
    np.testing.assert_allclose(found[:, 0], whole.predict(rows), rtol=1e-4, atol=1e-5)
