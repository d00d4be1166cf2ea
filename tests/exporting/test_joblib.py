"""All models in one file, which loads where this package is not installed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pyarrow as pa
from model_samples import Group, fitted, publish, sample_groups, sample_label, sample_rows
from sklearn.linear_model import LinearRegression, Ridge

import modelfactory as mf
from modelfactory.exporting.exported import Exported
from modelfactory.exporting.joblib_file import write_joblib

KEYS = {"k": pa.string(), "day": pa.int32()}
ROWS = sample_rows(5, seed=3)
WITHOUT_US = """
import json, sys, joblib, pandas
content = joblib.load(sys.argv[1])
rows = pandas.read_json(sys.argv[2])
assert "modelfactory" not in sys.modules
print(json.dumps(content["models"][("a", 1)].predict(rows).tolist()))
"""


def test_a_dict_of_models_loads_without_this_package(tmp_path: Path) -> None:
    groups = [*sample_groups(LinearRegression(), [("a", 1), (None, 2)]), Group(key=("b", 1), status="failed")]
    publish(tmp_path / "store", "f", KEYS, groups)
    file = tmp_path / "f.joblib"
    assert write_joblib(mf.open_store(tmp_path / "store").family("f").chain(), file) == Exported(
        exported=2, without_model=1
    )
    content = joblib.load(file)
    assert list(content["models"]) == [("a", 1), (None, 2)]
    assert (content["family"], content["version"], content["global_model"]) == ("f", 1, None)
    assert (content["group_by"], content["features"]) == (["k", "day"], ["x0", "x1"])
    assert content["libraries"].keys() == {"scikit-learn"}
    for key, model in content["models"].items():
        own = next(group.model for group in groups if group.key == key)
        np.testing.assert_array_equal(model.predict(ROWS), own.predict(ROWS))

    ROWS.to_json(tmp_path / "rows.json", double_precision=15)
    done = subprocess.run(
        [sys.executable, "-I", "-c", WITHOUT_US, str(file), str(tmp_path / "rows.json")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    np.testing.assert_allclose(json.loads(done.stdout), groups[0].model.predict(ROWS))


def test_the_model_of_all_rows_comes_along(tmp_path: Path) -> None:
    whole = fitted(Ridge(), sample_rows(), sample_label(sample_rows()))
    publish(tmp_path, "f", KEYS, sample_groups(Ridge(), [("a", 1)]), fallback="global", global_model=whole)
    write_joblib(mf.open_store(tmp_path).family("f").chain(), tmp_path / "f.joblib")
    found = joblib.load(tmp_path / "f.joblib")["global_model"]
    np.testing.assert_array_equal(found.predict(ROWS), whole.predict(ROWS))
