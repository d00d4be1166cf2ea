"""A fit by the worker is the fit that a user writes by hand; a fault of a group is an outcome."""

from __future__ import annotations

import hashlib
import pickle
import signal
import threading
import time
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from training_samples import (
    MARK,
    Group,
    call,
    fit,
    holdout,
    in_folds,
    loaded,
    make_batch,
    make_step,
    measured_of,
    pipeline,
    rows_of,
    sample_group,
    splits_of,
    train,
)

from modelfactory.plan.outcomes import Status
from modelfactory.plan.steps import EstimatorCall, Feature, FitStep
from modelfactory.training.contenders import Contender, make_contenders
from modelfactory.training.estimators import make_template
from modelfactory.training.fitting import ERROR_LENGTH, WARNINGS_KEPT, FitOutcome, fit_group

SCALER = call("sklearn.preprocessing.StandardScaler")
IMPUTER = call("sklearn.impute.SimpleImputer", strategy="median")
LINEAR = call("sklearn.linear_model.LinearRegression")
FOREST = call("sklearn.ensemble.RandomForestRegressor", n_estimators=4)

REGRESSORS = [
    LINEAR,
    call("sklearn.linear_model.Ridge", alpha=0.5),
    call("sklearn.linear_model.Lasso", alpha=0.01),
    call("sklearn.linear_model.ElasticNet", alpha=0.01),
    call("sklearn.linear_model.HuberRegressor"),
    call("sklearn.linear_model.SGDRegressor"),
    call("sklearn.linear_model.BayesianRidge"),
    call("sklearn.tree.DecisionTreeRegressor", max_depth=4),
    FOREST,
    call("sklearn.ensemble.ExtraTreesRegressor", n_estimators=4),
    call("sklearn.ensemble.GradientBoostingRegressor", n_estimators=5),
    call("sklearn.ensemble.HistGradientBoostingRegressor", max_iter=5),
    call("sklearn.svm.SVR"),
    call("sklearn.svm.LinearSVR"),
    call("sklearn.kernel_ridge.KernelRidge"),
    call("sklearn.isotonic.IsotonicRegression"),
    pipeline(SCALER, LINEAR),
    pipeline(IMPUTER, SCALER, call("sklearn.linear_model.Ridge")),
    pipeline(SCALER, call("sklearn.decomposition.PCA", n_components=2), FOREST),
    pipeline(call("sklearn.preprocessing.PolynomialFeatures"), SCALER, LINEAR),
    pipeline(call("sklearn.preprocessing.QuantileTransformer", n_quantiles=10), LINEAR),
]
CLASSIFIERS = [
    call("sklearn.linear_model.LogisticRegression"),
    call("sklearn.tree.DecisionTreeClassifier"),
    call("sklearn.ensemble.RandomForestClassifier", n_estimators=4),
    call("sklearn.ensemble.HistGradientBoostingClassifier", max_iter=4),
    call("sklearn.naive_bayes.GaussianNB"),
    call("sklearn.svm.SVC"),
    call("sklearn.linear_model.SGDClassifier"),
    call("sklearn.linear_model.Perceptron"),
    pipeline(IMPUTER, SCALER, call("sklearn.linear_model.LogisticRegression")),
]
UNWEIGHTED = [
    call("sklearn.neighbors.KNeighborsRegressor"),
    call("sklearn.cross_decomposition.PLSRegression"),
    call("sklearn.gaussian_process.GaussianProcessRegressor"),
    call("sklearn.linear_model.TheilSenRegressor", max_subpopulation=50),
]
UNSUPERVISED = [
    call("sklearn.cluster.KMeans", n_clusters=3, n_init=2),
    call("sklearn.ensemble.IsolationForest", n_estimators=5),
    call("sklearn.mixture.GaussianMixture", n_components=2),
    call("sklearn.decomposition.PCA"),
    pipeline(SCALER, call("sklearn.cluster.KMeans", n_clusters=2, n_init=1)),
]


def name_of(value: Any) -> str | None:
    if isinstance(value, EstimatorCall):
        steps = dict(value.params).get("steps")
        return "+".join(step.name for _, step in steps) if steps else value.name
    return None


def by_hand(step: FitStep, group: Group, chosen: Any = None) -> Any:
    """Fit as a user does: a DataFrame of the rows, labels, weights; with the seeds of the group."""
    model = make_template(step.estimator, step.seed).for_group(group.group)
    rows = np.arange(len(group)) if chosen is None else chosen
    frame = group.frame(step)
    frame = frame if chosen is None else frame.iloc[chosen]
    arguments = {step.weight_parameter: np.asarray(group.weight)[rows]} if step.has_weight else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if not step.has_label:
            return model.fit(frame, **arguments)
        label = np.asarray(group.label, dtype=object if isinstance(group.label[0], str) else None)
        return model.fit(frame, label[rows], **arguments)


def answers(model: Any, frame: pd.DataFrame) -> dict[str, bytes]:
    """All that a model says of some rows, to the bit; a warning is an error."""
    found = {}
    for name in ("predict", "predict_proba", "decision_function", "transform", "score_samples"):
        if hasattr(model, name):
            said = getattr(model, name)(frame)
            found[name] = pickle.dumps(np.asarray(said).tolist())
    assert found
    return found


def load(outcome: FitOutcome) -> Any:
    assert (outcome.status, outcome.error) == (Status.TRAINED, None)
    return loaded(outcome.model)


# The same fit, to the last bit ------------------------------------------------------------------------------------


@pytest.mark.parametrize("evaluation", [None, holdout(0.3)], ids=["all rows", "holdout"])
@pytest.mark.parametrize("estimator", REGRESSORS + UNWEIGHTED, ids=name_of)
def test_a_regressor_is_the_one_fitted_by_hand(estimator: EstimatorCall, evaluation: Any) -> None:
    features = ("a",) if estimator.name == "IsotonicRegression" else ("b", "a", "weird name é")
    step = make_step(estimator, evaluation=evaluation, features=features)
    group = sample_group(5, 47, len(features))
    chosen = None if evaluation is None else splits_of(evaluation, rows_of(step, group))[0][0]
    model, wanted = load(fit(step, group)), by_hand(step, group, chosen)
    assert answers(model, group.frame(step)) == answers(wanted, group.frame(step))
    assert_names(model, wanted, features)


@pytest.mark.parametrize("estimator", REGRESSORS, ids=name_of)
def test_weights_are_those_of_a_fit_by_hand(estimator: EstimatorCall) -> None:
    steps = dict(estimator.params).get("steps")
    parameter = f"{steps[-1][0]}__sample_weight" if steps else "sample_weight"
    features = ("a",) if estimator.name == "IsotonicRegression" else ("a", "b", "c")
    step = make_step(estimator, has_weight=True, weight_parameter=parameter, features=features)
    group = sample_group(6, 40, len(features))
    model, wanted = load(fit(step, group)), by_hand(step, group)
    frame = group.frame(step)
    assert answers(model, frame) == answers(wanted, frame)
    assert answers(model, frame) != answers(load(fit(make_step(estimator, features=features), group)), frame)


@pytest.mark.parametrize("classes", [["no", "yes"], [False, True], [3, 1, 2], [-1.0, 2.0]], ids=str)
@pytest.mark.parametrize("estimator", CLASSIFIERS, ids=name_of)
def test_a_classifier_is_the_one_fitted_by_hand(estimator: EstimatorCall, classes: list[Any]) -> None:
    evaluation = holdout(0.3, "accuracy")
    step = make_step(estimator, task="classification", evaluation=evaluation)
    group = sample_group(3, 50, classes=classes)
    chosen = splits_of(evaluation, rows_of(step, group))[0][0]
    model, wanted = load(fit(step, group)), by_hand(step, group, chosen)
    assert answers(model, group.frame(step)) == answers(wanted, group.frame(step))
    assert model.classes_.tolist() == wanted.classes_.tolist() == sorted(classes)
    assert model.classes_.dtype == wanted.classes_.dtype
    assert_names(model, wanted, ("a", "b", "c"))


@pytest.mark.parametrize("estimator", UNSUPERVISED, ids=name_of)
def test_an_unsupervised_model_is_the_one_fitted_by_hand(estimator: EstimatorCall) -> None:
    step = make_step(estimator, task="unsupervised")
    group = sample_group(3, 50)
    outcome = fit(step, group)
    model, wanted = load(outcome), by_hand(step, group)
    assert answers(model, group.frame(step)) == answers(wanted, group.frame(step))
    assert_names(model, wanted, ("a", "b", "c"))
    assert (outcome.n_train, outcome.n_test, outcome.metrics, outcome.baseline) == (50, 0, {}, {})


def assert_names(model: Any, wanted: Any, features: tuple[str, ...]) -> None:
    if not hasattr(wanted, "feature_names_in_"):  # IsotonicRegression
        assert not hasattr(model, "feature_names_in_")
        return
    found = model.feature_names_in_
    assert found.dtype == object
    assert found.tolist() == list(features)
    assert wanted.feature_names_in_.tolist() == found.tolist()
    assert wanted.feature_names_in_.dtype == found.dtype
    if hasattr(model, "steps"):
        for (name, part), (_, other) in zip(model.steps, wanted.steps, strict=True):
            assert hasattr(part, "feature_names_in_") == hasattr(other, "feature_names_in_"), name


@pytest.mark.parametrize("with_weight", [False, True])
@pytest.mark.parametrize("evaluation", [None, holdout(0.3), in_folds(3)], ids=["all rows", "holdout", "folds"])
@pytest.mark.parametrize("estimator", [LINEAR, FOREST, pipeline(IMPUTER, SCALER, LINEAR)], ids=name_of)
def test_a_frame_gives_what_a_matrix_gives(estimator: EstimatorCall, evaluation: Any, with_weight: bool) -> None:
    parameter = "linearregression__sample_weight" if estimator.name == "Pipeline" else "sample_weight"
    changes = {"evaluation": evaluation, "has_weight": with_weight, "weight_parameter": parameter}
    changes["linear_solve"] = None  # fitted by scikit-learn both times
    steps = {kind: make_step(estimator, container=kind, **changes) for kind in ("matrix", "frame")}
    # Two groups: the frame of the second is cut out of the middle of a batch.
    group = sample_group(8, 40)
    found = {
        kind: train(step, [make_batch(step, sample_group(7, 13), group, sample_group(9, 11))])[8]
        for kind, step in steps.items()
    }
    assert found["matrix"]["metrics"] == found["frame"]["metrics"]
    assert found["matrix"]["baseline"] == found["frame"]["baseline"]
    frame = group.frame(steps["frame"])
    models = {kind: pickle.loads(outcome["model"]) for kind, outcome in found.items()}
    assert answers(models["matrix"], frame) == answers(models["frame"], frame)
    for model in models.values():
        assert model.feature_names_in_.tolist() == ["a", "b", "c"]


def test_categories_travel_through_a_column_transformer() -> None:
    features = (Feature("x", "numeric"), Feature("town", "categorical"))
    encoder = call("sklearn.preprocessing.OneHotEncoder", handle_unknown="ignore")
    transformer = call(
        "sklearn.compose.ColumnTransformer",
        transformers=[("numeric", SCALER, ["x"]), ("categorical", encoder, ["town"])],
    )
    step = make_step(
        pipeline(transformer, LINEAR), features=features, container="frame", evaluation=holdout(0.3, "rmse")
    )
    towns = ["Rom", None, "Ürümqi", "Rom", "Oslo"] * 8
    plain = sample_group(4, 40, 1)
    group = Group(4, (plain.columns[0], towns), plain.label)
    chosen = splits_of(step.evaluation, rows_of(step, group))[0][0]
    model, wanted = load(fit(step, group)), by_hand(step, group, chosen)
    assert answers(model, group.frame(step)) == answers(wanted, group.frame(step))
    assert model.feature_names_in_.tolist() == ["x", "town"]
    categories = model.steps[0][1].named_transformers_["categorical"].categories_[0].tolist()
    assert categories == ["Oslo", "Rom", "Ürümqi", None]


@pytest.mark.parametrize("path", ["HistGradientBoostingRegressor", "RandomForestRegressor"])
def test_missing_numbers_reach_estimators_that_take_them(path: str) -> None:
    step = make_step(call(f"sklearn.ensemble.{path}"), features=("a", "b"))
    group = sample_group(4, 30, 2)
    holed = Group(4, ([None, *group.columns[0][1:]], group.columns[1]), group.label)
    model, wanted = load(fit(step, holed)), by_hand(step, holed)
    assert answers(model, holed.frame(step)) == answers(wanted, holed.frame(step))


def test_a_feature_without_any_number_is_imputed_as_by_hand() -> None:
    step = make_step(pipeline(IMPUTER, SCALER, LINEAR), evaluation=holdout(0.3))
    group = sample_group(4, 30)
    holed = Group(4, ([None] * 30, *group.columns[1:]), group.label)
    outcome = fit(step, holed)
    chosen = splits_of(step.evaluation, rows_of(step, holed))[0][0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model, wanted = load(outcome), by_hand(step, holed, chosen)
        assert answers(model, holed.frame(step)) == answers(wanted, holed.frame(step))
    assert any("Skipping features without any observed values" in w for w in outcome.warnings)


def test_a_model_knows_the_columns_of_a_frame() -> None:
    """A frame with its columns in another order is refused, as by any model that saw names."""
    group = sample_group(4, 30)
    step = make_step(LINEAR)
    with pytest.raises(ValueError, match="feature names"):
        load(fit(step, group)).predict(group.frame(step)[["c", "b", "a"]])


@pytest.mark.parametrize("scale", [1e-200, 1e100, 1e160])
def test_huge_and_tiny_numbers_are_the_estimators_affair(scale: float) -> None:
    group = sample_group(4, 30)
    step = make_step(LINEAR, evaluation=holdout(0.3))
    outcome = fit(step, Group(4, tuple(c * scale for c in group.columns), np.asarray(group.label) * scale))
    assert outcome.status == Status.TRAINED
    assert all(np.isfinite(v) for v in (*outcome.metrics.values(), *outcome.baseline.values()))


@pytest.mark.parametrize("odd", [float("inf"), -float("inf"), None])
def test_a_number_that_an_estimator_refuses_fails_the_group(odd: float | None) -> None:
    group = sample_group(4, 30)
    outcome = fit(make_step(LINEAR), Group(4, ([odd, *group.columns[0][1:]], *group.columns[1:]), group.label))
    assert (outcome.status, outcome.error_type) == (Status.FAILED, "ValueError")


def test_labels_of_negative_zero_are_the_class_zero() -> None:
    group = sample_group(4, 30, classes=[0.0, 1.0])
    step = make_step(call("sklearn.tree.DecisionTreeClassifier"), task="classification", evaluation=None)
    zeros = [-0.0 if i % 2 and v == 0.0 else v for i, v in enumerate(group.label)]
    model = load(fit(step, Group(4, group.columns, zeros)))
    assert model.classes_.tolist() == [0.0, 1.0]
    assert answers(model, group.frame(step)) == answers(by_hand(step, group), group.frame(step))


def test_zeros_of_either_sign_are_one_class() -> None:
    group = sample_group(4, 30)
    step = make_step(
        call("sklearn.tree.DecisionTreeClassifier"), task="classification", evaluation=holdout(0.3, "accuracy")
    )
    assert fit(step, Group(4, group.columns, [0.0, -0.0] * 15)).status == Status.ONE_CLASS


# What an outcome says ---------------------------------------------------------------------------------------------


def test_the_outcome_of_a_trained_group() -> None:
    outcome = fit(make_step(LINEAR, evaluation=holdout(0.25)), sample_group(4, 40))
    assert outcome.group == 4
    assert int(outcome.data_digest.split("-")[0], 16) == 40
    assert outcome.n_train + outcome.n_test == 40
    assert outcome.metrics.keys() == outcome.baseline.keys() == {"rmse", "mae", "r2"}
    assert outcome.metrics["rmse"] < outcome.baseline["rmse"]
    assert outcome.model.sha256 == hashlib.sha256(outcome.model.data).hexdigest()
    assert (outcome.error_type, outcome.error, outcome.warnings) == (None, None, ())
    assert outcome.fit_seconds > 0.0


def test_a_large_model_is_compressed() -> None:
    group = sample_group(1, 400)
    small, large = (
        fit(
            make_step(call("sklearn.ensemble.RandomForestRegressor", n_estimators=n, random_state=0, max_depth=d)),
            group,
        ).model
        for n, d in ((1, 3), (20, None))
    )
    assert (small.format, large.format) == ("pickle", "pickle+zstd")
    model = loaded(large)
    assert len(large.data) < len(pickle.dumps(model, protocol=5)) / 2
    assert large.sha256 == hashlib.sha256(large.data).hexdigest()
    assert len(model.estimators_) == 20


def test_parameters_that_the_first_fit_refuses_are_refused_by_all() -> None:
    """The check of parameters is left out only once a fit has passed it."""
    step = make_step(call("sklearn.linear_model.Lasso", alpha=-1.0))
    found = train(step, [make_batch(step, *(sample_group(g) for g in range(3)))])
    assert {o["error_type"] for o in found.values()} == {"InvalidParameterError"}


def test_a_number_beyond_32_bits_fails_a_tree_among_others() -> None:
    """Rows that hold no such number are fitted without scikit-learn's check; these are not."""
    step = make_step(call("sklearn.tree.DecisionTreeRegressor"))
    huge = sample_group(1)
    huge.columns[0][3] = 1e39
    found = train(step, [make_batch(step, sample_group(0), huge, sample_group(2))])
    assert {g: o["status"] for g, o in found.items()} == {0: "trained", 1: "failed", 2: "trained"}
    assert "too large" in found[1]["error"]


def test_metrics_are_those_of_the_stored_model() -> None:
    group = sample_group(4, 40)
    step = make_step(FOREST, evaluation=holdout(0.25))
    outcome = fit(step, group)
    ((_, test),) = splits_of(step.evaluation, rows_of(step, group))
    missed = load(outcome).predict(group.frame(step).iloc[test]) - np.asarray(group.label)[test]
    assert outcome.metrics["rmse"] == pytest.approx(np.sqrt((missed**2).mean()), rel=1e-12)


# Faults -----------------------------------------------------------------------------------------------------------


def marked(group: int = 2, n: int = 12) -> Group:
    """A group on which the sample estimators misbehave, whatever rows are held out."""
    plain = sample_group(group, n)
    return Group(group, (np.full(n, MARK), *plain.columns[1:]), plain.label)


def among_neighbours(step: FitStep) -> dict[str, Any]:
    """Train the marked group between two others; return its outcome, and see that the others are untouched."""
    quiet = make_step("Mean", **{f: getattr(step, f) for f in ("evaluation", "timeout", "container")})
    others = sample_group(1, 10), sample_group(3, 10)
    wanted = train(quiet, [make_batch(quiet, *others)])
    found = train(step, [make_batch(step, others[0], marked(), others[1])])
    assert found.keys() == {1, 2, 3}
    for group in (1, 3):
        for name in ("status", "n_train", "n_test", "metrics", "baseline", "error", "error_type", "warnings"):
            assert found[group][name] == wanted[group][name], name
        assert found[group]["model"] is not None
    return found[2]


@pytest.mark.parametrize("evaluation", [None, holdout(0.3), in_folds(2)], ids=["all rows", "holdout", "folds"])
@pytest.mark.parametrize(
    ("estimator", "error_type", "error"),
    [
        ("Raises", "ValueError", "no such luck"),
        ("Exits", "SystemExit", "out of here"),
        ("OutOfMemory", "MemoryError", "no room"),
        ("Recurses", "RecursionError", "maximum recursion depth exceeded"),
    ],
)
def test_a_fit_that_raises_is_a_failed_group(estimator: str, error_type: str, error: str, evaluation: Any) -> None:
    found = among_neighbours(make_step(estimator, evaluation=evaluation))
    assert (found["status"], found["error_type"]) == ("failed", error_type)
    assert found["error"].startswith(error)
    assert int(found["data_digest"].split("-")[0], 16) == 12
    assert (found["n_train"], found["n_test"], found["metrics"], found["baseline"]) == (0, 0, [], [])
    for name in ("model", "sha256", "model_bytes", "format"):
        assert found[name] is None
    assert found["_mf_fitted"] is False


def test_a_predict_that_raises_is_a_failed_group() -> None:
    found = among_neighbours(make_step("RaisesInPredict", evaluation=holdout(0.3)))
    assert (found["status"], found["error_type"], found["error"]) == ("failed", "ArithmeticError", "cannot predict")


def test_the_text_of_an_error_is_bounded() -> None:
    found = among_neighbours(make_step("RaisesLong"))
    assert len(found["error"]) == ERROR_LENGTH
    assert found["error"].endswith("x…")


def test_an_error_that_cannot_be_turned_into_text_is_a_failed_group() -> None:
    found = among_neighbours(make_step("RaisesUnprintable"))
    assert (found["status"], found["error_type"]) == ("failed", "Unprintable")


@pytest.mark.parametrize(("estimator", "status"), [("RaisesSurrogate", "failed"), ("WarnsSurrogate", "trained")])
def test_text_that_is_not_unicode_spares_the_run(estimator: str, status: str) -> None:
    found = among_neighbours(make_step(estimator))
    assert found["status"] == status
    assert "cannot read caf" in (found["error"] or found["warnings"][0])


def test_an_error_outside_of_exception_is_a_failed_group() -> None:
    """asyncio.CancelledError, pytest's and trio's errors are no `Exception`s; they are still this group's."""
    found = among_neighbours(make_step("RaisesBaseException"))
    assert (found["status"], found["error_type"], found["error"]) == ("failed", "Cancelled", "gave up")


def test_a_keyboard_interrupt_is_nobodys_fault() -> None:
    class Interrupted:
        alone = False

        def for_group(self, group: int) -> Any:
            raise KeyboardInterrupt

    step = make_step("Mean")
    rows = rows_of(step, sample_group())
    with pytest.raises(KeyboardInterrupt):
        fit_group(step, [Contender(step.candidates[0], Interrupted())], rows, measured_of(step, rows))


def test_a_model_that_cannot_be_stored_is_a_failed_group() -> None:
    found = among_neighbours(make_step("Unpicklable", evaluation=holdout(0.3)))
    assert found["status"] == "failed"
    assert found["error_type"] in ("AttributeError", "PicklingError", "TypeError")
    assert "lambda" in found["error"]
    assert (found["metrics"], found["n_train"], found["model"]) == ([], 0, None)


def test_predictions_that_are_no_numbers_give_no_metrics() -> None:
    found = among_neighbours(make_step("PredictsNaN", evaluation=holdout(0.3)))
    assert found["status"] == "trained"
    assert found["metrics"] == []
    assert dict(found["baseline"]).keys() == {"rmse", "mae", "r2"}


def test_parameters_that_a_class_refuses_fail_the_groups() -> None:
    step = make_step(call("sklearn.linear_model.Ridge", alpha=-1.0))
    found = fit(step, sample_group())
    assert (found.status, found.error_type) == (Status.FAILED, "InvalidParameterError")


# Warnings ---------------------------------------------------------------------------------------------------------


def test_warnings_are_kept_once_each_as_bounded_text() -> None:
    found = among_neighbours(make_step("Warns"))
    assert found["status"] == "trained"
    assert found["warnings"] == ["UserWarning: mind the gap", "DeprecationWarning: old"]


def test_warnings_are_bounded_in_number_and_length() -> None:
    found = among_neighbours(make_step("WarnsMuch"))
    assert len(found["warnings"]) == WARNINGS_KEPT
    assert all(len(w) <= ERROR_LENGTH + len("RuntimeWarning: ") for w in found["warnings"])


def test_a_warning_that_was_given_before_is_told_again() -> None:
    step = make_step("WarnsAlways")
    for _ in range(2):
        found = train(step, [make_batch(step, *(sample_group(g, 5) for g in range(3)))])
        assert [o["warnings"] for o in found.values()] == [["UserWarning: as always"]] * 3


def test_a_group_that_turns_warnings_into_errors_spares_its_neighbours() -> None:
    step = make_step("TurnsWarningsIntoErrors")
    assert among_neighbours(step)["status"] == "trained"
    before = list(warnings.filters)
    fit(step, marked())
    assert warnings.filters == before
    again = make_step("WarnsAlways")
    assert fit(again, sample_group()).warnings == ("UserWarning: as always",)


def test_warnings_as_errors_outside_stay_outside() -> None:
    """The filters of the process, here pytest's `error`, decide nothing inside a group."""
    step = make_step(call("sklearn.linear_model.LogisticRegression", max_iter=1), task="classification")
    outcome = fit(step, sample_group(1, 30, classes=["a", "b"]))
    assert outcome.status == Status.TRAINED
    assert outcome.warnings[0].startswith("ConvergenceWarning: ")


@pytest.mark.parametrize("names", [("f1_macro", "precision_macro", "roc_auc", "log_loss", "balanced_accuracy")])
def test_metrics_that_are_not_defined_warn_nobody(names: tuple[str, ...]) -> None:
    group = sample_group(1, 12, classes=["a", "b", "c"])
    step = make_step(
        call("sklearn.tree.DecisionTreeClassifier"), task="classification", evaluation=holdout(0.1, *names)
    )
    outcome = fit(step, group)
    assert (outcome.status, outcome.warnings) == (Status.TRAINED, ())


def test_the_baseline_warns_nobody() -> None:
    group = sample_group(1, 12)
    step = make_step("Mean", evaluation=holdout(0.3))
    outcome = fit(step, Group(1, group.columns, np.full(12, 1.7e308)))
    said = [w for w in outcome.warnings if "overflow" in w]
    assert len(said) <= 1  # the estimator's own mean overflows as well


# One class --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("classes", [["a", "b"], [1, 2], [False, True], [1.0, 2.0]], ids=str)
def test_one_class_after_the_split(classes: list[Any]) -> None:
    group = sample_group(1, 10)
    evaluation = holdout(0.5, "accuracy")
    step = make_step(call("sklearn.linear_model.LogisticRegression"), task="classification", evaluation=evaluation)
    ((_, test),) = splits_of(evaluation, rows_of(make_step("Mean"), group))
    label = [classes[0]] * 10
    label[int(test[0])] = classes[1]
    outcome = fit(step, Group(1, group.columns, label))
    assert (outcome.status, outcome.model, outcome.error_type) == (Status.ONE_CLASS, None, None)
    assert "one class" in " ".join([outcome.error or "", *outcome.warnings])
    assert (outcome.n_train, outcome.n_test, outcome.metrics) == (0, 0, {})


def test_a_rare_class_in_one_fold_is_not_a_group_of_one_class() -> None:
    """With folds the stored model is fitted on all rows; the group has two classes, so it has a model."""
    group = sample_group(1, 20)
    label = ["common"] * 19 + ["rare"]
    step = make_step(
        call("sklearn.linear_model.LogisticRegression"), task="classification", evaluation=in_folds(5, "accuracy")
    )
    outcome = fit(step, Group(1, group.columns, label))
    assert outcome.status == Status.TRAINED
    assert load(outcome).classes_.tolist() == ["common", "rare"]


def test_one_class_without_an_evaluation() -> None:
    """The census decides it beforehand; a worker that meets such a group all the same says so too."""
    group = sample_group(1, 10)
    step = make_step(call("sklearn.linear_model.LogisticRegression"), task="classification")
    assert fit(step, Group(1, group.columns, ["a"] * 10)).status == Status.ONE_CLASS


# Timeouts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("estimator", ["Slow", "SlowBehindExcept", "SlowInPredict"])
def test_a_group_that_takes_too_long_is_timed_out(estimator: str) -> None:
    started = time.monotonic()
    found = among_neighbours(make_step(estimator, timeout=0.2, evaluation=holdout(0.3)))
    assert time.monotonic() - started < 2.0
    assert (found["status"], found["error_type"], found["error"]) == ("timed_out", None, "took longer than 0.2 s")
    assert (found["model"], found["n_train"], found["n_test"]) == (None, 0, 0)
    if estimator != "SlowInPredict":
        assert found["fit_seconds"] >= 0.15


def test_swallowing_the_timeout_once_does_not_escape_it() -> None:
    """A bare `except:`, a finaliser or a callback from compiled code swallows what is raised there."""
    started = time.monotonic()
    found = among_neighbours(make_step("SlowBehindBareExcept", timeout=0.2))
    assert time.monotonic() - started < 2.5
    assert found["status"] == "timed_out"


def test_the_timeout_is_for_each_group_alone() -> None:
    step = make_step("Slow", timeout=0.25)
    batch = make_batch(step, *(marked(g) if g % 2 else sample_group(g, 8) for g in range(6)))
    found = train(step, [batch])
    assert [o["status"] for o in found.values()] == ["trained", "timed_out"] * 3


def test_time_between_groups_is_nobodys() -> None:
    """Waiting for the next batch is not the time of the group before or after it."""
    step = make_step("Mean", timeout=0.3)

    def stream():
        for group in range(3):
            yield make_batch(step, sample_group(group, 5))
            time.sleep(0.35)

    assert {o["status"] for o in train(step, stream()).values()} == {"trained"}


def test_a_timeout_leaves_no_alarm_and_no_handler() -> None:
    before = signal.getsignal(signal.SIGALRM)
    for estimator in ("Slow", "Mean", "Raises"):
        fit(make_step(estimator, timeout=0.1), marked())
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
        assert signal.getsignal(signal.SIGALRM) is before


def test_timeouts_that_race_the_end_of_a_fit_give_one_of_two_outcomes() -> None:
    """Whenever the alarm goes off, there is one outcome and nothing escapes."""
    before = signal.getsignal(signal.SIGALRM)
    step = make_step("Mean", timeout=1.0, evaluation=holdout(0.3))
    rows, contenders = rows_of(step, sample_group()), make_contenders(step)
    started = time.perf_counter()
    for _ in range(20):
        fit_group(step, contenders, rows, measured_of(step, rows))
    usual = (time.perf_counter() - started) / 20
    seen = set()
    for part in np.linspace(0.01, 1.6, 300):
        outcome = fit_group(replace(step, timeout=max(usual * part, 1e-6)), contenders, rows, measured_of(step, rows))
        seen.add(outcome.status)
        assert (outcome.model is None) == (outcome.status != Status.TRAINED)
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert seen == {Status.TRAINED, Status.TIMED_OUT}
    assert signal.getsignal(signal.SIGALRM) is before


@pytest.mark.parametrize("timeout", [1e10, 1e20, float("inf")])
def test_a_timeout_beyond_all_clocks_is_none(timeout: float) -> None:
    found = fit(make_step("Mean", timeout=timeout), sample_group())
    assert (found.status, found.error) == (Status.TRAINED, None)


def test_a_worker_thread_fits_without_a_timeout() -> None:
    found = []
    thread = threading.Thread(target=lambda: found.append(fit(make_step("Mean", timeout=5.0), sample_group())))
    thread.start()
    thread.join()
    assert found[0].status == Status.TRAINED


def test_seconds_of_a_fit() -> None:
    found = fit(make_step("Slow", timeout=0.3), marked())
    assert 0.2 < found.fit_seconds < 5.0
    assert found.cpu_seconds < found.fit_seconds


def test_an_error_that_is_its_own_cause_is_an_outcome() -> None:
    found = among_neighbours(make_step("RaisesFromItself"))
    assert (found["status"], found["error"]) == ("failed", "round and round")
