"""Who answers a row whose group has no model: a coarser family, then the model of all rows, then nobody."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from model_samples import Group, asked, fitted, publish, sample_groups, sample_label, sample_rows
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.tree import DecisionTreeRegressor

import modelfactory as mf
from modelfactory.diagnostics import InputError

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


# A chain ----------------------------------------------------------------------------------------------------------

FINE = {"k": pa.string(), "day": pa.int32()}


def chained(root: Path) -> tuple[mf.Family, dict[str, list[Group]]]:
    """A family by two columns, one by the first of them, and the model of all rows behind that."""
    own = [*sample_groups(LinearRegression(), [("a", 1), ("b", 1)]), Group(key=("a", 2), status="too_few_rows")]
    coarse = [*sample_groups(DecisionTreeRegressor(max_depth=3), ["a", "c"]), Group(key=("d",), status="failed")]
    publish(root, "coarse", TEXT, [])
    publish(root, "coarse", TEXT, coarse, fallback="global", global_model=ALL)
    publish(root, "fine", FINE, own, fallback="coarse")
    return mf.open_store(root).family("fine"), {"own": own, "coarse": coarse}


ROWS = sample_rows(6, seed=4).assign(k=["a", "a", "c", "d", "q", "b"], day=[1, 2, 1, 1, 9, 1])


def test_each_row_is_answered_by_the_first_that_has_a_model(tmp_path: Path) -> None:
    family, groups = chained(tmp_path)
    answers = family.predict(ROWS)
    own, coarse = groups["own"], groups["coarse"]
    models = [own[0].model, coarse[0].model, coarse[1].model, ALL, ALL, own[1].model]
    want = [asked(model, ROWS.iloc[[i]])[0] for i, model in enumerate(models)]
    np.testing.assert_allclose(answers["prediction"], want, rtol=1e-12)
    whole = "fallback:global"
    assert answers["served_by"].tolist() == ["group", "fallback:coarse", "fallback:coarse", whole, whole, "group"]
    assert answers["reason"].tolist() == [None, "too_few_rows", "unseen", "unseen", "unseen", None]
    assert answers["model_version"].tolist() == [1, 2, 2, 2, 2, 1]


def test_nobody_stands_in_where_that_is_not_wanted(tmp_path: Path) -> None:
    family, _ = chained(tmp_path)
    answers = family.predict(ROWS, fallback=False)
    assert answers["served_by"].tolist() == ["group", *["none"] * 4, "group"]
    assert answers["reason"].tolist() == [None, "too_few_rows", "unseen", "unseen", "unseen", None]
    assert answers["prediction"].isna().tolist() == [False, *[True] * 4, False]


def test_a_row_that_its_own_model_cannot_answer_is_not_given_to_another(tmp_path: Path) -> None:
    family, _ = chained(tmp_path)
    rows = ROWS.assign(x0=np.nan)
    answers = family.predict(rows)
    whole = "fallback:global"
    expected = ["none", "fallback:coarse", "fallback:coarse", whole, whole, "none"]
    assert answers["served_by"].tolist() == expected, "trees take what is missing, lines do not"
    assert answers["reason"].tolist()[::5] == ["missing_values"] * 2


def test_the_family_that_stands_in_may_see_other_features(tmp_path: Path) -> None:
    own = sample_groups(LinearRegression(), ["a"])
    other = sample_groups(LinearRegression(), ["x", "y"], features=["x1", "x9"])
    publish(tmp_path, "wide", {"big": pa.string()}, other, features=["x1", "x9"])
    publish(tmp_path, "f", TEXT, own, fallback="wide")
    family = mf.open_store(tmp_path).family("f")
    rows = sample_rows(3, ["x9", "x1", "x0"], seed=2).assign(k=["a", "b", "b"], big=["x", "x", "y"])
    answers = family.predict(rows)
    want = [
        asked(own[0].model, rows.iloc[[0]])[0],
        asked(other[0].model, rows.iloc[[1]], ["x1", "x9"])[0],
        asked(other[1].model, rows.iloc[[2]], ["x1", "x9"])[0],
    ]
    np.testing.assert_allclose(answers["prediction"], want, rtol=1e-12)
    with pytest.raises(InputError) as caught:
        family.predict(rows[["k", "x0", "x1"]])
    assert [d.message.split(" is ")[0] for d in caught.value.diagnostics] == [
        "group column `big`",
        "numeric feature `x9`",
    ]
    assert len(family.predict(rows[["k", "x0", "x1"]], fallback=False)) == 3


def test_probabilities_of_the_family_that_stands_in_are_its_own(tmp_path: Path) -> None:
    record = {"task": "classification", "label_type": "string"}
    publish(
        tmp_path,
        "wide",
        {"big": pa.string()},
        sample_groups(LogisticRegression(), ["x"], classes=lambda _: ["p", "q", "r"]),
        classes=["p", "q", "r"],
        **record,
    )
    own = sample_groups(LogisticRegression(), ["a"], classes=lambda _: ["p", "q"])
    publish(tmp_path, "f", TEXT, own, classes=["p", "q"], fallback="wide", **record)
    rows = sample_rows(2).assign(k=["a", "b"], big="x")
    answers = mf.open_store(tmp_path).family("f").predict(rows)
    assert [list(probability) for probability in answers["probability"]] == [["p", "q"], ["p", "q", "r"]]


def test_a_family_of_another_kind_of_prediction_cannot_stand_in(tmp_path: Path) -> None:
    record = {"task": "classification", "label_type": "string"}
    publish(tmp_path, "wide", TEXT, sample_groups(LogisticRegression(), ["a"], classes=lambda _: ["p", "q"]), **record)
    publish(tmp_path, "f", TEXT, sample_groups(LinearRegression(), ["a"]), fallback="wide")
    with pytest.raises(InputError, match="`f` predicts double, its fallback `wide` string"):
        mf.open_store(tmp_path).family("f").predict(ROWS)


def test_a_family_that_was_never_built_cannot_stand_in(tmp_path: Path) -> None:
    publish(tmp_path, "f", TEXT, sample_groups(LinearRegression(), ["a"]), fallback="wide")
    family = mf.open_store(tmp_path).family("f")
    with pytest.raises(InputError, match=r"(?s)MF503.*`wide`, which stands in for `f`, was never built.*mf build"):
        family.predict(ROWS)
    assert family.predict(ROWS, fallback=False)["served_by"].tolist() == ["group", "group", *["none"] * 4]


def test_families_that_stand_in_for_each_other_do_not_hang(tmp_path: Path) -> None:
    for name, other in (("f", "g"), ("g", "f")):
        publish(tmp_path, name, TEXT, sample_groups(LinearRegression(), [name]), fallback=other)
    rows = sample_rows(3).assign(k=["f", "g", "q"])
    answers = mf.open_store(tmp_path).family("f").predict(rows)
    assert answers["served_by"].tolist() == ["group", "fallback:g", "none"]


def test_a_global_model_that_was_not_trained_answers_nothing(tmp_path: Path) -> None:
    publish(tmp_path, "f", TEXT, sample_groups(LinearRegression(), ["a"]), fallback="global")
    answers = mf.open_store(tmp_path).family("f").predict(ROWS)
    assert answers["served_by"].tolist() == ["group", "group", *["none"] * 4]


def test_a_group_without_any_own_model_still_has_the_global_one(tmp_path: Path) -> None:
    none = Group(key=("a",), status="too_few_rows")
    publish(tmp_path, "f", TEXT, [none], fallback="global", global_model=ALL)
    answers = mf.open_store(tmp_path).family("f").predict(ROWS)
    np.testing.assert_allclose(answers["prediction"], asked(ALL, ROWS), rtol=1e-12)
    assert set(answers["served_by"]) == {"fallback:global"}


def test_the_family_that_stands_in_is_the_one_of_when_the_store_was_asked(tmp_path: Path) -> None:
    family, _ = chained(tmp_path)
    assert family.predict(ROWS)["model_version"].tolist()[1] == 2
    publish(tmp_path, "coarse", TEXT, sample_groups(LinearRegression(), ["a", "q"]))
    assert family.predict(ROWS)["model_version"].tolist()[1] == 2, "a family is as it was when it was opened"
    anew = mf.open_store(tmp_path).family("fine").predict(ROWS)
    assert anew["model_version"].tolist()[1] == 3
    assert anew["served_by"].tolist() == ["group", "fallback:coarse", "none", "none", "fallback:coarse", "group"]
