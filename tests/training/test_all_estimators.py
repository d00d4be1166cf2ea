"""Every estimator of the installed scikit-learn: fitted by the worker and by hand, they are the same model."""

from __future__ import annotations

import inspect
import warnings
from typing import Any

import numpy as np
import pytest
import sklearn.metrics
from sklearn.utils import all_estimators
from training_samples import Group, call, fit, holdout, loaded, make_step, rows_of, splits_of

from modelfactory.plan.metrics import METRICS
from modelfactory.plan.outcomes import Status
from modelfactory.plan.steps import EstimatorCall, FitStep
from modelfactory.training.estimators import make_template
from modelfactory.training.fitting import FitOutcome
from modelfactory.training.introspection import facts_of

FEATURES = ("a", "b", "c")
RIDGE, LOGISTIC = call("sklearn.linear_model.Ridge"), call("sklearn.linear_model.LogisticRegression")
TREE = call("sklearn.tree.DecisionTreeClassifier", max_depth=2)

# Arguments that a class must have, or that keep it quick on a few rows.
ARGUMENTS: dict[str, dict[str, Any]] = {
    "BisectingKMeans": {"n_clusters": 2},
    "CCA": {"n_components": 1},
    "ClassifierChain": {"estimator": LOGISTIC},
    "FactorAnalysis": {"n_components": 2},
    "FixedThresholdClassifier": {"estimator": LOGISTIC},
    "LogisticRegressionCV": {"cv": 3, "Cs": 2},
    "MultiOutputClassifier": {"estimator": LOGISTIC},
    "MultiOutputRegressor": {"estimator": RIDGE},
    "OneVsOneClassifier": {"estimator": LOGISTIC},
    "OneVsRestClassifier": {"estimator": LOGISTIC},
    "OutputCodeClassifier": {"estimator": LOGISTIC},
    "PLSCanonical": {"n_components": 1},
    "CategoricalNB": {"min_categories": 10},  # it raises on categories that it has not seen
    "QuantileTransformer": {"n_quantiles": 10},
    "RadiusNeighborsClassifier": {"radius": 10.0},  # rows without a neighbour have no prediction
    "RadiusNeighborsRegressor": {"radius": 10.0},
    "RegressorChain": {"estimator": RIDGE},
    "SelfTrainingClassifier": {"estimator": LOGISTIC},
    "StackingClassifier": {"estimators": [("one", LOGISTIC), ("two", TREE)], "cv": 3},
    "StackingRegressor": {"estimators": [("one", RIDGE)], "cv": 3},
    "TheilSenRegressor": {"max_subpopulation": 100},
    "TunedThresholdClassifierCV": {"estimator": LOGISTIC, "cv": 3, "thresholds": 5},
    "VotingClassifier": {"estimators": [("one", LOGISTIC), ("two", TREE)]},
    "VotingRegressor": {"estimators": [("one", RIDGE)]},
    **{
        name: {"n_estimators": 3}
        for name in (
            "AdaBoostClassifier",
            "AdaBoostRegressor",
            "BaggingClassifier",
            "BaggingRegressor",
            "ExtraTreesClassifier",
            "ExtraTreesRegressor",
            "GradientBoostingClassifier",
            "GradientBoostingRegressor",
            "IsolationForest",
            "RandomForestClassifier",
            "RandomForestRegressor",
            "RandomTreesEmbedding",
        )
    },
    **{name: {"max_iter": 3} for name in ("HistGradientBoostingClassifier", "HistGradientBoostingRegressor")},
    **{name: {"max_iter": 5} for name in ("MLPClassifier", "MLPRegressor")},
    **{name: {"cv": 3} for name in ("ElasticNetCV", "LassoCV", "LarsCV", "LassoLarsCV")},
}
# Families of one label column, numbers and fits without arguments cannot use these.
CANNOT = {
    "MultiTaskElasticNet": "needs several labels",
    "MultiTaskElasticNetCV": "needs several labels",
    "MultiTaskLasso": "needs several labels",
    "MultiTaskLassoCV": "needs several labels",
    "ClassifierChain": "needs several labels",
    "MultiOutputClassifier": "needs several labels",
    "MultiOutputRegressor": "needs several labels",
    "RegressorChain": "needs several labels",
}
# Attributes that a fit from a matrix may have or lack, against a fit from a frame.
ATTRIBUTES: dict[str, set[str]] = {}
# Models whose answers differ between two fits by hand already.
NOT_DETERMINISTIC: set[str] = set()


def group_for(name: str, task: str) -> Group:
    """Rows that suit the class: counts for those that take nothing else, labels above zero."""
    rng = np.random.default_rng(11)
    n = 36
    columns = rng.normal(size=(1 if name == "IsotonicRegression" else 3, n))
    label: Any = np.abs(columns.sum(axis=0)) + rng.uniform(0.1, 0.3, size=n)
    if task == "classification":
        label = np.where(columns.sum(axis=0) > 0, "yes", "no").tolist()
    if name in ("CategoricalNB", "ComplementNB", "MultinomialNB", "NMF", "MiniBatchNMF", "LatentDirichletAllocation"):
        columns = np.abs(np.round(columns * 2))
    if name in ("AdditiveChi2Sampler", "SkewedChi2Sampler"):
        columns = np.abs(columns)
    return Group(17, tuple(columns), label)


def cases(*kinds: str) -> list[Any]:
    found = {name: cls for kind in kinds for name, cls in all_estimators(kind)}
    return [pytest.param(cls, id=name) for name, cls in sorted(found.items())]


def others() -> list[Any]:
    """Estimators that are none of the three kinds and learn without a label, from numbers."""
    known = {name for kind in ("regressor", "classifier", "cluster") for name, _ in all_estimators(kind)}
    return [
        pytest.param(cls, id=name)
        for name, cls in all_estimators()
        if name not in known and name not in NOT_FROM_NUMBERS and _needs_no_label(cls)
    ]


NOT_FROM_NUMBERS = {
    "ColumnTransformer": "made by the compiler; see test_fitting",
    "CountVectorizer": "takes texts",
    "DictVectorizer": "takes mappings",
    "FeatureHasher": "takes mappings",
    "FeatureUnion": "needs parts",
    "FrozenEstimator": "needs a fitted estimator",
    "GaussianRandomProjection": "needs more features than three",
    "GenericUnivariateSelect": "needs a label",
    "GridSearchCV": "needs a grid",
    "HashingVectorizer": "takes texts",
    "IsotonicRegression": "a regressor",
    "KernelCenterer": "takes a square matrix",
    "LabelBinarizer": "takes labels",
    "LabelEncoder": "takes labels",
    "MultiLabelBinarizer": "takes labels",
    "PatchExtractor": "takes images",
    "Pipeline": "needs steps",
    "RandomizedSearchCV": "needs a distribution",
    "SelectFdr": "needs a label",
    "SelectFpr": "needs a label",
    "SelectFromModel": "needs a label",
    "SelectFwe": "needs a label",
    "SelectKBest": "needs a label",
    "SelectPercentile": "needs a label",
    "SequentialFeatureSelector": "needs a label",
    "SparseCoder": "needs a dictionary",
    "SparseRandomProjection": "needs more features than three",
    "TfidfTransformer": "takes counts of words",
    "TfidfVectorizer": "takes texts",
}


def _needs_no_label(cls: Any) -> bool:
    y = inspect.signature(cls.fit).parameters.get("y")
    return y is None or y.default is None


def step_for(cls: Any, task: str, evaluation: Any) -> FitStep:
    arguments = ARGUMENTS.get(cls.__name__, {})
    path = f"{cls.__module__}.{cls.__name__}"
    nested = any(isinstance(v, EstimatorCall | list) for v in arguments.values()) or facts_of(path)["hands_on"]
    return make_step(
        call(path, **arguments),
        task=task,
        features=FEATURES[:1] if cls.__name__ == "IsotonicRegression" else FEATURES,
        evaluation=evaluation,
        container="frame" if nested else "matrix",
    )


def by_hand(step: FitStep, group: Group) -> tuple[Any, Exception | None]:
    """Fit on a DataFrame of the rows that the worker fits on."""
    chosen = np.arange(len(group))
    if step.evaluation is not None:
        chosen = splits_of(step.evaluation, rows_of(step, group), step.seed)[0][0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model = make_template(step.estimator, step.seed).for_group(group.group)
            frame = group.frame(step).iloc[chosen]
            label = np.asarray(group.label, dtype=float if step.task == "regression" else object)[chosen]
            return (model.fit(frame, label) if step.has_label else model.fit(frame)), None
        except Exception as error:
            return None, error


def attributes(model: Any) -> set[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {n for n in dir(model) if n.endswith("_") and not n.startswith("_") and hasattr(model, n)}


def answers(model: Any, group: Group, step: FitStep) -> dict[str, Any]:
    """What a model says of its group, where a warning about the names of the features is an error."""
    found: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.filterwarnings("error", message=".*feature names.*")
        for name in ("predict", "predict_proba", "decision_function", "transform", "score_samples"):
            if hasattr(model, name):
                said = getattr(model, name)(group.frame(step))
                said = said.toarray() if hasattr(said, "toarray") else np.asarray(said)
                found[name] = (said.shape, said.dtype, said.tobytes() if said.dtype != object else said.tolist())
    if hasattr(model, "labels_"):
        found["labels_"] = np.asarray(model.labels_).tolist()
    return found


def check(cls: Any, task: str, evaluation: Any) -> None:
    name = cls.__name__
    step, group = step_for(cls, task, evaluation), group_for(name, task)
    wanted, error = by_hand(step, group)
    with warnings.catch_warnings():  # a class may be deprecated
        warnings.simplefilter("ignore", FutureWarning)
        outcome = fit(step, group)
    if name in CANNOT:
        assert error is not None
        assert (outcome.status, outcome.error_type) == (Status.FAILED, type(error).__name__)
        return
    assert error is None, f"the test gives {name} what it cannot take: {error}"
    assert (outcome.status, outcome.error) == (Status.TRAINED, None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = loaded(outcome.model)
    assert attributes(model) ^ attributes(wanted) == ATTRIBUTES.get(name, set())
    if hasattr(wanted, "feature_names_in_"):
        assert model.feature_names_in_.tolist() == wanted.feature_names_in_.tolist() == list(step_names(step))
        assert model.feature_names_in_.dtype == wanted.feature_names_in_.dtype == object
    if evaluation is not None:
        check_metrics(outcome, wanted, step, group)
    found = answers(model, group, step)
    expected = answers(wanted, group, step)
    assert found.keys() == expected.keys()
    if name not in NOT_DETERMINISTIC:
        for method, said in expected.items():
            same = found[method] == said
            assert same, f"{method} differs"


def check_metrics(outcome: FitOutcome, model: Any, step: FitStep, group: Group) -> None:
    """The metrics are scikit-learn's, of the rows that were held out."""
    ((_, test),) = splits_of(step.evaluation, rows_of(step, group), step.seed)
    label, predicted = np.asarray(group.label)[test], model.predict(group.frame(step).iloc[test])
    for metric in step.evaluation.metrics:
        arguments = {"pos_label": "yes"} if metric == "f1" else {}
        wanted = getattr(sklearn.metrics, METRICS[metric].function)(label, predicted, **arguments)
        assert outcome.metrics[metric] == pytest.approx(wanted, rel=1e-9), metric


def step_names(step: FitStep) -> tuple[str, ...]:
    return tuple(feature.name for feature in step.features)


@pytest.mark.parametrize("evaluation", [None, holdout(0.3, "rmse", "mae", "r2")], ids=["all rows", "holdout"])
@pytest.mark.parametrize("cls", cases("regressor"))
def test_every_regressor(cls: Any, evaluation: Any) -> None:
    check(cls, "regression", evaluation)


@pytest.mark.parametrize("evaluation", [None, holdout(0.3, "accuracy", "f1")], ids=["all rows", "holdout"])
@pytest.mark.parametrize("cls", cases("classifier"))
def test_every_classifier(cls: Any, evaluation: Any) -> None:
    check(cls, "classification", evaluation)


@pytest.mark.parametrize("cls", cases("cluster"))
def test_every_cluster_estimator(cls: Any) -> None:
    check(cls, "unsupervised", None)


@pytest.mark.parametrize("cls", others())
def test_every_other_estimator_that_learns_without_a_label(cls: Any) -> None:
    check(cls, "unsupervised", None)
