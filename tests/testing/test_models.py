"""Tests that look into models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from model_samples import Group, fitted, publish, sample_groups, sample_label, sample_rows
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.ensemble import BaggingClassifier, HistGradientBoostingClassifier
from sklearn.feature_selection import SelectKBest, f_classif
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, LeaveOneOut
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, PolynomialFeatures, StandardScaler
from sklearn.svm import SVR
from sklearn.tree import DecisionTreeRegressor

from modelfactory.plan.steps import DeclaredTest
from modelfactory.serving.models import LoadedModels, Trust, VersionModels
from modelfactory.store.groups import read_groups
from modelfactory.store.store import Store
from modelfactory.testing import models, registry, results, tested

KEYS = {"k": pa.string()}
SIGN = {"feature": "x1", "sign": "positive", "min_share": 1.0}


def judged(folder: Path, kind: str, *, anew: bool = True, **parameters: Any) -> results.TestResult:
    """Run one test on the current version of family `f`."""
    store = Store(folder)
    manifest = store.manifest("f")
    assert manifest is not None
    record = manifest.version()
    assert record is not None
    made = tested.Tested(
        tests=(DeclaredTest(kind=kind, name=kind, severity="error", parameters=tuple(parameters.items())),),
        groups=read_groups(store.files("f", record, "groups")),
        record=record,
        open_models=lambda: VersionModels(store, manifest, record, Trust(), LoadedModels(1 << 20)),
        read_previous=lambda: pytest.fail("no version before is needed"),
        anew=anew,
    )
    (result,) = registry.run_tests(made)
    return result


def with_slope(slope: float, model: Any = None) -> Any:
    """Return a model that was fitted on `y = slope * x1`."""
    rows = sample_rows()
    return fitted(model or LinearRegression(), rows, slope * rows["x1"].to_numpy())


def spoilt(model: Any, attribute: str = "coef_") -> Any:
    """Plant a number that is not finite."""
    final = model.steps[-1][1] if hasattr(model, "steps") else model
    getattr(final, attribute)[..., 0] = np.nan
    return model


class TestFinite:
    @pytest.mark.parametrize(
        "estimator",
        [LinearRegression(), make_pipeline(StandardScaler(), Ridge()), SVR(kernel="linear"), DecisionTreeRegressor()],
        ids=lambda e: type(e).__name__,
    )
    def test_sound_models_pass(self, tmp_path, estimator):
        publish(tmp_path, "f", KEYS, sample_groups(estimator, "abc"))
        assert (judged(tmp_path, "finite_parameters").status, judged(tmp_path, "finite_parameters").message) == (
            "pass",
            "3 models finite",
        )

    @pytest.mark.parametrize("estimator", [Ridge(), make_pipeline(StandardScaler(), Ridge())], ids=["alone", "scaled"])
    def test_the_groups_of_others_are_named(self, tmp_path, estimator):
        groups = [*sample_groups(estimator, "ab"), Group(key=("none",), status="failed")]
        groups.append(Group(key=("c",), model=spoilt(sample_groups(estimator, "c")[0].model)))
        publish(tmp_path, "f", KEYS, groups)
        result = judged(tmp_path, "finite_parameters")
        assert (result.status, result.message, result.failing) == (
            "fail",
            "1 of 3 models not finite",
            ({"k": "c"},),
        )

    def test_one_of_another_class_among_them(self, tmp_path):
        groups = [
            *sample_groups(Ridge(), "a"),
            Group(key=("t",), model=sample_groups(DecisionTreeRegressor(), "t")[0].model),
        ]
        publish(
            tmp_path,
            "f",
            KEYS,
            [*groups, Group(key=("c",), model=spoilt(groups[0].model.__class__().fit(np.eye(2), [1, 2])))],
        )
        assert judged(tmp_path, "finite_parameters").failing == ({"k": "c"},)

    def test_a_build_looks_at_its_own_models_alone(self, tmp_path):
        wrong = spoilt(sample_groups(Ridge(), "a")[0].model)
        publish(tmp_path, "f", KEYS, [Group(key=("a",), model=wrong)])
        reused = Group(key=("a",), status="reused", model_version=1)
        publish(tmp_path, "f", KEYS, [reused, *sample_groups(Ridge(), "b")], model_versions=[1])
        assert judged(tmp_path, "finite_parameters", anew=False).message == "1 model finite"
        assert judged(tmp_path, "finite_parameters").failing == ({"k": "a"},)

    def test_a_model_of_other_bytes_cannot_be_judged(self, tmp_path):
        record = publish(tmp_path, "f", KEYS, sample_groups(SVR(), "a"), files=1)
        (file,) = Store(tmp_path).files("f", record, "models")
        file.write_bytes(b"PAR1")
        result = judged(tmp_path, "finite_parameters")
        assert result.status == "error"
        assert "cannot read the model table" in result.message

    @pytest.mark.parametrize(
        ("model", "inside"),
        [
            (DecisionTreeRegressor().fit([[1.0], [2.0]], [1.0, np.float64(2)]), "tree_"),
            (GridSearchCV(Ridge(), {"alpha": [1.0]}, cv=2).fit(np.eye(4), [1, 2, 3, 4]), "best_estimator_"),
        ],
        ids=["tree", "search"],
    )
    def test_what_is_inside_is_looked_at(self, model, inside):
        assert models.is_finite(model)
        part = getattr(model, inside)
        (part.value if inside == "tree_" else part.coef_)[..., 0] = np.inf
        assert not models.is_finite(model)

    @pytest.mark.parametrize(
        ("model", "learnt"),
        [
            (
                CalibratedClassifierCV(LogisticRegression(), cv=2),
                lambda m: m.calibrated_classifiers_[0].estimator.coef_,
            ),
            (CalibratedClassifierCV(LogisticRegression(), cv=2), lambda m: m.calibrated_classifiers_[0].calibrators),
            (HistGradientBoostingClassifier(max_iter=2), lambda m: m._baseline_prediction),
        ],
        ids=["inside a calibration", "calibration", "what boosting begins with"],
    )
    def test_what_is_kept_under_other_names_is_looked_at(self, model, learnt):
        model.fit(np.eye(8), [0, 1] * 4)
        assert models.is_finite(model)
        part = learnt(model)
        if isinstance(part, list):
            part[0].a_ = float("nan")
        else:
            part[..., 0] = np.nan
        assert not models.is_finite(model)

    @pytest.mark.parametrize(
        "model",
        [
            make_pipeline(SimpleImputer(), Ridge()),
            make_pipeline(OneHotEncoder(handle_unknown="ignore"), Ridge()),
            make_pipeline(SimpleImputer(keep_empty_features=True), SelectKBest(f_classif, k=1), Ridge()),
            make_pipeline(SimpleImputer(), BaggingClassifier(n_estimators=1, oob_score=True, random_state=0)),
            make_pipeline(SimpleImputer(), GridSearchCV(Ridge(), {"alpha": [1.0]}, cv=LeaveOneOut(), scoring="r2")),
        ],
        ids=["a column that is empty", "null as a category", "a constant", "rows in every bag", "undefined"],
    )
    @pytest.mark.filterwarnings("ignore")
    def test_what_says_how_the_fit_went_may_be_nan(self, model):
        rows = np.column_stack([np.full(6, np.nan), np.arange(6.0)])
        assert models.is_finite(model.fit(rows, [0, 1] * 3))

    def test_the_model_of_all_rows_is_looked_at(self, tmp_path):
        wrong = spoilt(sample_groups(Ridge(), "w")[0].model)
        publish(tmp_path, "f", KEYS, sample_groups(Ridge(), "ab"), fallback="global", global_model=wrong)
        result = judged(tmp_path, "finite_parameters", anew=False)
        assert (result.status, result.message, result.n_failing) == (
            "fail",
            "1 of 3 models not finite, the global one among them",
            0,
        )
        sound = sample_groups(Ridge(), "w")[0].model
        publish(tmp_path, "f", KEYS, sample_groups(Ridge(), "ab"), fallback="global", global_model=sound)
        assert judged(tmp_path, "finite_parameters").message == "3 models finite"


class TestSign:
    def test_a_share_of_the_models_has_it(self, tmp_path):
        groups = [Group(key=(k,), model=with_slope(slope)) for k, slope in {"a": 2, "b": 1, "c": -1, "d": 3}.items()]
        publish(tmp_path, "f", KEYS, [*groups, Group(key=("none",), status="failed")])
        failed = judged(tmp_path, "coefficient_sign", **SIGN)
        assert (failed.status, failed.message) == ("fail", "0.75 < 1: 1 group otherwise")
        assert failed.failing == ({"k": "c"},)
        assert judged(tmp_path, "coefficient_sign", **{**SIGN, "min_share": 0.75}).message == "0.75 >= 0.75"
        assert judged(tmp_path, "coefficient_sign", **{**SIGN, "sign": "negative", "min_share": 0.25}).status == "pass"

    def test_a_classifier_is_loaded(self, tmp_path):
        rows = sample_rows()
        label = np.where(rows["x1"] > 0, "yes", "no")
        model = fitted(make_pipeline(StandardScaler(), LogisticRegression()), rows, label)
        publish(tmp_path, "f", KEYS, [Group(key=("a",), model=model)], task="classification")
        assert judged(tmp_path, "coefficient_sign", **SIGN).status == "pass"
        assert judged(tmp_path, "coefficient_sign", **{**SIGN, "sign": "negative"}).status == "fail"

    def test_of_several_classes_there_is_not_one(self, tmp_path):
        rows = sample_rows()
        model = fitted(LogisticRegression(), rows, sample_label(rows, classes=list("abc")))
        publish(tmp_path, "f", KEYS, [Group(key=("a",), model=model)], task="classification")
        result = judged(tmp_path, "coefficient_sign", **SIGN)
        assert (result.status, result.message) == (
            "error",
            "a model has not one coefficient of `x1`: LogisticRegression",
        )

    @pytest.mark.parametrize(
        "estimator",
        [
            SVR(kernel="linear"),
            make_pipeline(PolynomialFeatures(), Ridge()),
            GridSearchCV(Ridge(), {"alpha": [0.1]}, cv=2),
            make_pipeline(StandardScaler(), GridSearchCV(Ridge(), {"alpha": [0.1]}, cv=2)),
        ],
        ids=["kernel", "polynomial", "search", "search in a pipeline"],
    )
    @pytest.mark.parametrize("slope", [3.0, -3.0])
    def test_models_that_hold_it_elsewhere(self, estimator, slope):
        model = with_slope(slope, estimator)
        assert np.sign(models.coefficient_of(model, "x1", ["x0", "x1"])) == np.sign(slope)

    def test_behind_what_mf_makes_of_preprocess(self):
        rows = sample_rows().assign(c=["a", "b"] * 20)
        parts = [("numeric", StandardScaler(), ["x0", "x1"]), ("categorical", OneHotEncoder(), ["c"])]
        model = fitted(make_pipeline(ColumnTransformer(parts), Ridge()), rows, -rows["x1"], container="frame")
        assert models.coefficient_of(model, "x1", ["x0", "x1", "c"]) < -0.5

    @pytest.mark.parametrize("estimator", [make_pipeline(PCA(1), Ridge()), KNeighborsRegressor()])
    def test_there_is_none(self, estimator):
        with pytest.raises(tested.CannotJudge):
            models.coefficient_of(with_slope(1, estimator), "x1", ["x0", "x1"])

    def test_a_version_with_other_features(self, tmp_path):
        publish(tmp_path, "f", KEYS, sample_groups(Ridge(), "a"))
        result = judged(tmp_path, "coefficient_sign", **{**SIGN, "feature": "new"})
        assert (result.status, result.message) == ("error", "version 1 has no feature `new`")
