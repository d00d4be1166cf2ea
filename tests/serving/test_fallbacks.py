"""Who answers a row whose group has no model: a coarser family, then the model of all rows, then nobody."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
from model_samples import Group, asked, fitted, publish, sample_groups, sample_label, sample_rows
from sklearn.linear_model import LinearRegression
from sklearn.tree import DecisionTreeRegressor

import modelfactory as mf

TEXT = {"k": pa.string()}
ALL = fitted(DecisionTreeRegressor(random_state=0), sample_rows(seed=99), sample_label(sample_rows(seed=99)))


def test_the_global_model_answers_where_a_group_has_none(tmp_path: Path) -> None:
    groups = sample_groups(LinearRegression(), ["a", None])
    none = Group(key=("c",), status="failed")
    publish(tmp_path, "f", TEXT, [*groups, none], fallback="global", global_model=ALL)
    rows = sample_rows(4, seed=5)
    rows["k"] = ["a", "c", None, "unheard-of"]
    answers = mf.open_store(tmp_path).family("f").predict(rows)

    models = [groups[0].model, ALL, groups[1].model, ALL]
    want = [asked(model, rows.iloc[[i]])[0] for i, model in enumerate(models)]
    np.testing.assert_allclose(answers["prediction"], want, rtol=1e-12)
    assert answers["served_by"].tolist() == ["group", "fallback:global", "group", "fallback:global"]
    assert answers["reason"].tolist() == [None, "failed", None, "unseen"]
    assert answers["model_version"].tolist() == [1, 1, 1, 1]
