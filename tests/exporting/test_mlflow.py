"""One MLflow model of a whole family: it answers what `Family.predict` answers, and needs no other store."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from model_samples import Group, fitted, publish, sample_groups, sample_label, sample_rows
from sklearn.cluster import DBSCAN
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder
from sklearn.tree import DecisionTreeRegressor

import modelfactory as mf
from modelfactory.diagnostics import InputError
from modelfactory.exporting.exported import Exported
from modelfactory.exporting.mlflow_model import requirements, write_mlflow
from modelfactory.store.store import store_at
from modelfactory.store.verifying import verify_store

TEXT = {"k": pa.string()}
ROWS = sample_rows(6, seed=4).assign(k=["a", "b", "few", None, "q", "a"])


def exported(family: mf.Family, folder: Path, **options: Any) -> Any:
    """Export a family, take its store away, and load what was exported by MLflow."""
    fallback = options.get("fallback", True)
    chain = family.chain(fallback=fallback)
    write_mlflow(chain, folder, **{"fallback": fallback, "allow_version_mismatch": False} | options)
    return loaded(folder)


def loaded(uri: Path | str) -> Any:
    import mlflow.pyfunc

    return mlflow.pyfunc.load_model(str(uri))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


def test_it_routes_rows_and_lets_others_stand_in(root: Path, tmp_path: Path) -> None:
    whole = fitted(DecisionTreeRegressor(), sample_rows(seed=9), sample_label(sample_rows(seed=9)))
    fine = [*sample_groups(LinearRegression(), [("a", 1), ("b", 2)]), Group(key=("few", 1), status="too_few_rows")]
    publish(root, "coarse", TEXT, sample_groups(LinearRegression(), ["a"]), fallback="global", global_model=whole)
    publish(root, "fine", {"k": pa.string(), "day": pa.int32()}, fine, fallback="coarse")
    rows = ROWS.assign(day=[1, 2, 1, 1, None, 7])
    family = mf.open_store(root).family("fine")
    want, alone = family.predict(rows), family.predict(rows, fallback=False)
    assert set(want["served_by"]) == {"group", "fallback:coarse", "fallback:global"}

    models = exported(family, tmp_path / "out"), exported(family, tmp_path / "alone", fallback=False)
    shutil.rmtree(root)
    pd.testing.assert_frame_equal(models[0].predict(rows), want)
    pd.testing.assert_frame_equal(models[1].predict(rows), alone)
    assert "coarse" not in {path.name for path in (tmp_path / "alone" / "artifacts" / "store").iterdir()}


def test_it_holds_the_versions_that_it_needs_byte_for_byte(root: Path, tmp_path: Path) -> None:
    old = sample_groups(LinearRegression(), ["a", "b"])
    publish(root, "f", TEXT, old)
    publish(root, "f", TEXT, sample_groups(LinearRegression(), ["a"]))
    reused = Group(key=("b",), status="reused", model_version=1)
    publish(root, "f", TEXT, [*sample_groups(LinearRegression(), ["a"]), reused])
    publish(root, "f", TEXT, sample_groups(LinearRegression(), ["later"]))
    family = mf.open_store(root).family("f", version=3)
    want = family.predict(ROWS)
    model = exported(family, tmp_path / "out")

    copy = tmp_path / "out" / "artifacts" / "store"
    found = verify_store(store_at(str(copy), base=tmp_path))
    assert (found.damages, found.leftovers, found.versions) == ((), (), 2)
    for file in copy.rglob("*.parquet"):
        assert file.read_bytes() == (root / file.relative_to(copy)).read_bytes()
    assert {file.parts[-3].split("-")[0] for file in copy.rglob("models/*")} == {"v000001", "v000003"}
    shutil.rmtree(root)
    pd.testing.assert_frame_equal(model.predict(ROWS), want)


def test_numbers_of_any_kind_and_nulls_get_through(root: Path, tmp_path: Path) -> None:
    """MLflow's own checks of types would refuse what `predict` takes."""
    publish(root, "f", {"k": pa.int64()}, sample_groups(LinearRegression(), [1, 2, None]))
    family = mf.open_store(root).family("f")
    model = exported(family, tmp_path / "out")
    rows = pd.DataFrame({"x0": [1, 2, 3], "x1": [0.5, np.nan, 2], "k": [1.0, 2.0, np.nan], "more": ["", "", ""]})
    pd.testing.assert_frame_equal(model.predict(rows), family.predict(rows))
    rows = pd.DataFrame({"x0": [5, 2**60 + 1], "x1": [True, False], "k": np.array([1, 2], dtype=np.int32)})
    pd.testing.assert_frame_equal(model.predict(rows), family.predict(rows))
    assert family.predict(rows)["reason"].tolist() == [None, "inexact_numbers"]


def test_classifiers_give_a_probability_for_each_class(root: Path, tmp_path: Path) -> None:
    groups = sample_groups(LogisticRegression(), ["a", "b"], classes=lambda i: (["u", "v"], ["v", "w"])[i])
    publish(root, "f", TEXT, groups, task="classification", label_type="string", classes=["u", "v", "w"])
    family = mf.open_store(root).family("f")
    model = exported(family, tmp_path / "out")
    pd.testing.assert_frame_equal(model.predict(ROWS), family.predict(ROWS))
    first, second, *_ = model.metadata.signature.outputs
    assert (first.name, first.type.name, second.name) == ("prediction", "string", "probability")


def test_categorical_features_are_texts(root: Path, tmp_path: Path) -> None:
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    pipeline = Pipeline([("p", ColumnTransformer([("c", encoder, ["c"])])), ("m", LinearRegression())])
    rows = pd.DataFrame({"c": ["x", "y"] * 5})
    model = fitted(pipeline, rows, np.arange(10.0), container="frame")
    publish(root, "f", TEXT, [Group(key=("a",), model=model)], features=[("c", "categorical")], container="frame")
    family = mf.open_store(root).family("f")
    given = pd.DataFrame({"c": ["x", None, "z"], "k": "a"})
    pd.testing.assert_frame_equal(exported(family, tmp_path / "out").predict(given), family.predict(given))


def test_it_says_what_it_is_and_what_it_needs(root: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    libraries = {"scikit-learn": "1.2.3", "numpy": "2.0", "python": "3.12.1", "pyspark": "4.1.0"}
    publish(root, "f", TEXT, sample_groups(LinearRegression(), ["a"]), libraries=libraries)
    family = mf.open_store(root, allow_version_mismatch=True).family("f")
    write_mlflow(family.chain(), tmp_path / "out", fallback=True, allow_version_mismatch=True)
    assert capfd.readouterr() == ("", "")  # MLflow would write beside the lines of the console
    model = loaded(tmp_path / "out")
    assert model.predict(ROWS)["served_by"].tolist() == ["group", "none", "none", "none", "none", "group"]
    metadata = model.metadata.metadata
    assert (metadata["family"], metadata["version"], metadata["run_id"]) == ("f", 1, "run1")
    assert metadata["fingerprints"] == family.record.fingerprints.model_dump()
    assert metadata["features"][0] == {"name": "x0", "kind": "numeric", "type": "double"}
    assert model.metadata.signature.inputs.input_names() == ["k", "x0", "x1"]
    needed = (tmp_path / "out" / "requirements.txt").read_text(encoding="utf-8").split()
    assert [line for line in needed if not line.startswith("mlflow")] == [
        "numpy==2.0",
        "scikit-learn==1.2.3",
        f"modelfactory-spark=={mf.__version__}",
    ]


def test_a_manifest_does_not_tell_others_what_to_install(root: Path) -> None:
    libraries = {
        "scikit-learn": "1.2.3",
        "evil": "1",
        "--index-url=http://evil": "",
        "numpy": "1 --pre",
        "scipy": "1.0\nx",
    }
    publish(root, "f", TEXT, sample_groups(LinearRegression(), ["a"]), libraries=libraries)
    family = mf.open_store(root, allow_version_mismatch=True).family("f")
    assert requirements(family.record) == ["scikit-learn==1.2.3", f"modelfactory-spark=={mf.__version__}"]


def test_a_run_of_a_local_tracking_store_holds_it(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow

    publish(root, "f", TEXT, sample_groups(LinearRegression(), ["a", "b"]))
    family = mf.open_store(root).family("f")
    exported(family, tmp_path / "out")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri((tmp_path / "runs").as_uri())
    try:
        with mlflow.start_run() as run:
            mlflow.log_artifacts(str(tmp_path / "out"), "model")
        model = loaded(f"runs:/{run.info.run_id}/model")
    finally:
        mlflow.set_tracking_uri(before)
    pd.testing.assert_frame_equal(model.predict(ROWS), family.predict(ROWS))


def test_a_damaged_store_is_not_exported(root: Path, tmp_path: Path) -> None:
    publish(root, "f", TEXT, sample_groups(LinearRegression(), ["a"]))
    family = mf.open_store(root).family("f")
    chain = family.chain()
    assert chain.links[0].models.form
    file = next(root.rglob("models/*.parquet"))
    good = file.read_bytes()
    file.write_bytes(good[:-1] + b"!")
    assert hashlib.sha256(good).digest() != hashlib.sha256(file.read_bytes()).digest()
    with pytest.raises(InputError, match="another SHA-256"):
        write_mlflow(chain, tmp_path / "out", fallback=True, allow_version_mismatch=False)
    file.unlink()
    with pytest.raises(InputError, match="is missing"):
        write_mlflow(chain, tmp_path / "out", fallback=True, allow_version_mismatch=False)
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_models_that_do_not_predict_are_refused(root: Path, tmp_path: Path) -> None:
    groups = sample_groups(DBSCAN(), ["a"], supervised=False)
    publish(root, "f", TEXT, groups, task="unsupervised")
    chain = mf.open_store(root).family("f").chain()
    with pytest.raises(InputError, match="DBSCAN has no `predict`"):
        write_mlflow(chain, tmp_path / "out", fallback=True, allow_version_mismatch=False)
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_every_group_is_counted(root: Path, tmp_path: Path) -> None:
    publish(root, "f", TEXT, [*sample_groups(LinearRegression(), ["a"]), Group(key=("b",), status="failed")])
    chain = mf.open_store(root).family("f").chain()
    done = write_mlflow(chain, tmp_path / "out", fallback=True, allow_version_mismatch=False)
    assert done == Exported(exported=1, without_model=1)


NOBODY_IS_TOLD = """
import socket, sys
asked = []
socket.socket.connect = lambda *_: asked.append("connect")
socket.getaddrinfo = lambda *_, **__: asked.append("look-up") or []
from pathlib import Path
import modelfactory as mf
from modelfactory.exporting.mlflow_model import write_mlflow
store, out = map(Path, sys.argv[1:])
write_mlflow(mf.open_store(store).family("f").chain(), out, fallback=True, allow_version_mismatch=False)
from mlflow.telemetry.client import get_telemetry_client
assert get_telemetry_client() is None
assert not asked, asked
"""


def test_nobody_is_told_of_an_export(root: Path, tmp_path: Path) -> None:
    publish(root, "f", TEXT, sample_groups(LinearRegression(), ["a"]))
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}  # without what keeps MLflow quiet in tests and in CI
    done = subprocess.run(
        [sys.executable, "-c", NOBODY_IS_TOLD, str(root), str(tmp_path / "out")],
        env=environ,
        cwd=Path(mf.__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
