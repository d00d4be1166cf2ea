"""One fitted estimator of every class of scikit-learn, and of every part that a fitted estimator may hold.

`docs/admit.py` reads from them which names pickles need, and tests/scoring what loads again. It runs on scikit-learn
1.5 to the newest, so it asks what is there.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse
import scipy.special
from sklearn.base import BaseEstimator, is_regressor
from sklearn.datasets import make_classification
from sklearn.utils import all_estimators

N = 40
RNG = np.random.RandomState(0)
X, CLASSES = make_classification(N, 4, n_informative=3, n_redundant=0, random_state=0)
Y = X.sum(axis=1)
POSITIVE = np.abs(X) + 0.1
COUNTS = np.round(POSITIVE * 3)
TWO = np.column_stack([Y, Y**2])
LABELS = np.column_stack([CLASSES, 1 - CLASSES])
WORDS = np.where(CLASSES > 0, "yes", "no")
FRAME = pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "c": WORDS.astype(object)})
TEXTS = ["a first text", "the second one", "and a third text"]


def classes() -> dict[str, Any]:
    """Return every estimator class, by name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return dict(all_estimators())


def fit_class(cls: Any) -> Any:
    """Return an instance of a class, fitted if it can be fitted."""
    name = cls.__name__
    model = cls(**_arguments(cls))
    features, label = _data(name, is_regressor(model))
    if name == "SparseCoder":
        return model
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(features) if label is None else model.fit(features, label)


def _data(name: str, regression: bool) -> tuple[Any, Any]:
    if name in ("CountVectorizer", "HashingVectorizer", "TfidfVectorizer"):
        return TEXTS, None
    if name in ("DictVectorizer", "FeatureHasher"):
        return [{"a": 1, "b": 2}, {"a": 3}], None
    if name in ("LabelBinarizer", "LabelEncoder"):
        return WORDS, None
    if name == "MultiLabelBinarizer":
        return [("a", "b"), ("b",)], None
    if name == "IsotonicRegression":
        return X[:, 0], Y
    if name == "KernelCenterer":
        return X @ X.T, None
    if name == "PatchExtractor":
        return RNG.normal(size=(2, 8, 8)), None
    if name == "ColumnTransformer":
        return FRAME, Y
    if name in ("ClassifierChain", "MultiOutputClassifier"):
        return X, LABELS
    if name.startswith("MultiTask") or name in ("MultiOutputRegressor", "RegressorChain", "CCA", "PLSSVD"):
        return X, TWO
    if name in ("BernoulliRBM", "ComplementNB", "CategoricalNB", "MultinomialNB", "LatentDirichletAllocation"):
        return COUNTS, CLASSES
    if name in ("NMF", "MiniBatchNMF", "AdditiveChi2Sampler", "SkewedChi2Sampler", "TfidfTransformer"):
        return COUNTS, None
    if name in ("GammaRegressor", "PoissonRegressor", "TweedieRegressor"):
        return X, POSITIVE[:, 0]
    if name in ("GaussianRandomProjection", "SparseRandomProjection"):
        return RNG.normal(size=(20, 100)), None
    return X, Y if regression else CLASSES


def _arguments(cls: Any) -> dict[str, Any]:
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    name = cls.__name__
    classifiers = [("one", LogisticRegression()), ("two", DecisionTreeClassifier(max_depth=2))]
    regressors = [("one", Ridge()), ("two", DecisionTreeRegressor(max_depth=2))]
    particular: dict[str, dict[str, Any]] = {
        "CategoricalNB": {"min_categories": 20},
        "ColumnTransformer": {
            "transformers": [("n", classes()["StandardScaler"](), ["a", "b"]), ("c", classes()["OneHotEncoder"](), [2])]
        },
        "DictionaryLearning": {"max_iter": 5},
        "GaussianRandomProjection": {"eps": 0.9},
        "SparseRandomProjection": {"eps": 0.9},
        "TSNE": {"max_iter": 250, "perplexity": 5},
        "FeatureUnion": {"transformer_list": [("s", classes()["StandardScaler"]()), ("p", classes()["PCA"]())]},
        "GenericUnivariateSelect": {"mode": "k_best", "param": 2},
        "GridSearchCV": {"estimator": Ridge(), "param_grid": {"alpha": [0.1, 1.0]}, "cv": 2},
        "HalvingGridSearchCV": {"estimator": Ridge(), "param_grid": {"alpha": [0.1, 1.0]}, "cv": 2},
        "HalvingRandomSearchCV": {"estimator": Ridge(), "param_distributions": {"alpha": [0.1, 1.0]}, "cv": 2},
        "RandomizedSearchCV": {"estimator": Ridge(), "param_distributions": {"alpha": [0.1, 1.0]}, "n_iter": 2},
        "MiniBatchDictionaryLearning": {"max_iter": 5},
        "Pipeline": {"steps": [("s", classes()["StandardScaler"]()), ("r", Ridge())]},
        "QuantileTransformer": {"n_quantiles": 10},
        "RFE": {"estimator": Ridge()},
        "RFECV": {"estimator": Ridge()},
        "RadiusNeighborsClassifier": {"radius": 10.0},
        "RadiusNeighborsRegressor": {"radius": 10.0},
        "SelectFromModel": {"estimator": Ridge()},
        "SelectKBest": {"k": 2},
        "SequentialFeatureSelector": {"estimator": Ridge(), "n_features_to_select": 1, "cv": 2},
        "SparseCoder": {"dictionary": X[:4]},
        "StackingClassifier": {"estimators": classifiers, "cv": 2},
        "StackingRegressor": {"estimators": regressors, "cv": 2},
        "TheilSenRegressor": {"max_subpopulation": 50},
        "VotingClassifier": {"estimators": classifiers},
        "VotingRegressor": {"estimators": regressors},
        "CCA": {"n_components": 1},
        "PLSCanonical": {"n_components": 1},
    }
    known = inspect.signature(cls).parameters
    given = particular.get(name, {})
    inner = Ridge() if "Regress" in name else LogisticRegression()
    if name == "FrozenEstimator":
        inner = inner.fit(X, CLASSES)
    if name in ("ClassifierChain", "RegressorChain", "SelfTrainingClassifier"):
        # 1.5 calls it `base_estimator`, and later ones take that with a warning or not at all.
        given = {next(key for key in ("estimator", "base_estimator") if key in known): inner}
    elif "estimator" in known and known["estimator"].default is inspect.Parameter.empty:
        given = {"estimator": inner, **given}
    few = {"n_estimators": 3, "n_init": 1}
    if name.startswith(("HistGradient", "MLP")):
        few["max_iter"] = 3
    return {**{key: value for key, value in few.items() if key in known}, **given}


def parts() -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield what is not there in an estimator with its defaults: a name, and how to make it."""
    every = classes()

    def made(name: str, features: Any = X, label: Any = None, /, **params: Any) -> Callable[[], Any]:
        def make() -> Any:
            model = every[name](**{**_arguments(every[name]), **params})
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return model.fit(features) if label is None else model.fit(features, label)

        return make

    yield from _losses(made)
    yield from _neighbours(made)
    yield from _transformers(made)
    for kind in ("float32", "float64"):
        yield f"tree/{kind}", made("RandomForestRegressor", X.astype(kind), Y, random_state=np.random.RandomState(1))
    yield "state/random", made("RandomForestClassifier", X, CLASSES, random_state=np.random.RandomState(1))
    yield "state/mlp", made("MLPClassifier", X, CLASSES, solver="sgd")
    yield "state/sgd", made("SGDClassifier", X, CLASSES, average=True, early_stopping=True)
    for name, generator in (("MT19937", None), ("PCG64", 1), ("Philox", 1), ("SFC64", 1), ("PCG64DXSM", 1)):
        bits = getattr(np.random, name)(0)
        yield f"state/{name}", lambda b=bits, g=generator: np.random.Generator(b) if g else np.random.RandomState(b)
    yield "classes/words", made("LogisticRegression", FRAME[["a", "b"]], WORDS)
    yield "classes/objects", made("LogisticRegression", X, WORDS.astype(object))
    yield "classes/booleans", made("LogisticRegression", X, CLASSES > 0)
    yield "calibrated", made("CalibratedClassifierCV", X, CLASSES, method="isotonic", cv=2)
    yield "calibrated/sigmoid", made("CalibratedClassifierCV", X, CLASSES, method="sigmoid", cv=2)
    yield from ((f"kernel/{type(kernel).__name__}", lambda k=kernel: k) for kernel in _kernels())
    yield "gaussian process", made("GaussianProcessRegressor", X, Y, kernel=_kernels()[0], optimizer=None)
    yield "gaussian process/classes", made("GaussianProcessClassifier", X, np.arange(N) % 3)
    yield from ((f"scorer/{name}", lambda n=name: _scorer(n)) for name in _scorer_names())
    yield from _splitters()
    yield "search/scorers", made("GridSearchCV", X, Y, scoring=["r2", "neg_mean_squared_error"], refit="r2")
    yield "search/no values", made("GridSearchCV", X, Y, param_grid=[{"alpha": [1.0]}, {"fit_intercept": [True]}])
    for solver in ("svd", "lsqr", "sparse_cg", "sag"):
        yield f"ridge/{solver}", made("Ridge", X, Y, solver=solver)
    yield "output/pandas", lambda: every["StandardScaler"]().set_output(transform="pandas").fit(FRAME[["a", "b"]])
    yield "sparse", _sparse(made)


def _losses(made: Any) -> Iterator[tuple[str, Callable[[], Any]]]:
    for loss in ("squared_error", "absolute_error", "gamma", "poisson", "quantile"):
        yield (
            f"boosting/{loss}",
            made("HistGradientBoostingRegressor", X, POSITIVE[:, 0], loss=loss, quantile=0.5, early_stopping=True),
        )
    for loss in ("squared_error", "absolute_error", "huber", "quantile"):
        yield f"gradient/{loss}", made("GradientBoostingRegressor", X, Y, loss=loss)
    for loss in ("log_loss", "exponential"):
        yield f"gradient/{loss}", made("GradientBoostingClassifier", X, CLASSES, loss=loss)
    three = np.arange(N) % 3
    yield "gradient/three", made("GradientBoostingClassifier", X, three)
    yield "boosting/three", made("HistGradientBoostingClassifier", X, three)
    yield "boosting/categories", made("HistGradientBoostingClassifier", COUNTS, CLASSES, categorical_features=[0])
    for loss in ("hinge", "log_loss", "modified_huber", "squared_hinge", "perceptron"):
        yield f"sgd/{loss}", made("SGDClassifier", X, CLASSES, loss=loss)
    for loss in ("squared_error", "huber", "epsilon_insensitive", "squared_epsilon_insensitive"):
        yield f"sgd/{loss}", made("SGDRegressor", X, Y, loss=loss)
    for power in (0, 1, 1.5, 2, 3):
        yield f"tweedie/{power}", made("TweedieRegressor", X, POSITIVE[:, 0], power=power)
    yield "tweedie/log", made("TweedieRegressor", X, POSITIVE[:, 0], power=0, link="log")


def _neighbours(made: Any) -> Iterator[tuple[str, Callable[[], Any]]]:
    from sklearn.metrics import DistanceMetric
    from sklearn.neighbors import BallTree, KDTree

    known: dict[str, dict[str, Any]] = {
        "minkowski": {"p": 3},
        "seuclidean": {"V": np.ones(4)},
        "mahalanobis": {"V": np.eye(4)},
    }
    metrics = set(BallTree.valid_metrics) - {"pyfunc"}
    for kind in ("float32", "float64"):
        for algorithm, tree in (("ball_tree", BallTree), ("kd_tree", KDTree)):
            for metric in sorted(set(tree.valid_metrics) & metrics - {"haversine"}):
                yield (
                    f"{algorithm}/{metric}/{kind}",
                    made(
                        "KNeighborsRegressor",
                        POSITIVE.astype(kind),
                        Y,
                        algorithm=algorithm,
                        metric=metric,
                        metric_params=known.get(metric),
                    ),
                )
        for metric in sorted(metrics):
            yield (
                f"metric/{metric}/{kind}",
                lambda m=metric, k=kind: DistanceMetric.get_metric(m, np.dtype(k), **known.get(m, {})),
            )
        yield (
            f"haversine/{kind}",
            made("NearestNeighbors", X[:, :2].astype(kind), algorithm="ball_tree", metric="haversine"),
        )
    yield "density", made("KernelDensity", X, algorithm="ball_tree")
    yield "outliers", made("LocalOutlierFactor", X, novelty=True)


def _transformers(made: Any) -> Iterator[tuple[str, Callable[[], Any]]]:
    from sklearn import feature_selection
    from sklearn.compose import make_column_selector, make_column_transformer
    from sklearn.impute._iterative import IterativeImputer
    from sklearn.preprocessing import FunctionTransformer

    every = classes()
    for name in ("chi2", "f_classif", "f_regression", "mutual_info_classif", "mutual_info_regression", "r_regression"):
        score = getattr(feature_selection, name)
        yield f"select/{name}", made("SelectKBest", COUNTS, CLASSES, score_func=score)
    for name, function in sorted(vars(np).items()):
        if isinstance(function, np.ufunc) and (function.nin, function.nout) == (1, 1):
            yield f"function/{name}", lambda f=function: FunctionTransformer(f)
    for function in (scipy.special.expit, scipy.special.logit):
        yield f"function/{function.__name__}", lambda f=function: FunctionTransformer(f)
    encoders = ("OneHotEncoder", "OrdinalEncoder", "TargetEncoder")
    for name in encoders:
        yield f"encoder/{name}", made(name, FRAME[["c"]], CLASSES)
        yield f"encoder/{name}/float", made(name, COUNTS, CLASSES)
    for strategy in ("mean", "median", "most_frequent"):
        yield f"imputer/{strategy}", made("SimpleImputer", X, strategy=strategy, add_indicator=True)
    yield "imputer/constant", made("SimpleImputer", FRAME[["c"]], strategy="constant", fill_value="x")
    for encode in ("onehot", "ordinal"):
        yield f"bins/{encode}", made("KBinsDiscretizer", X, encode=encode, n_bins=3)
    for remainder in ("drop", "passthrough"):
        yield (
            f"columns/{remainder}",
            lambda r=remainder: make_column_transformer(
                (every["StandardScaler"](), ["a"]), ("passthrough", slice(1, 2)), remainder=r
            ).fit(FRAME),
        )
    yield (
        "columns/selector",
        lambda: make_column_transformer((every["StandardScaler"](), make_column_selector(dtype_include=float))).fit(
            FRAME
        ),
    )
    yield "imputer/iterative", lambda: IterativeImputer(max_iter=2).fit(np.where(X > 1, np.nan, X))
    for matrix in ("csr_matrix", "csr_array", "csc_matrix", "csc_array"):
        yield f"sparse/{matrix}", lambda m=matrix: getattr(scipy.sparse, m)(COUNTS)
    yield "power", made("PowerTransformer", POSITIVE, method="box-cox")
    yield "spline", made("SplineTransformer", X, extrapolation="periodic")
    yield "target", made("TransformedTargetRegressor", X, POSITIVE[:, 0], func=np.log, inverse_func=np.exp)
    yield "text", made("TfidfVectorizer", TEXTS, stop_words="english", dtype=np.float32)


def _sparse(made: Any) -> Callable[[], Any]:
    return made("KNeighborsRegressor", scipy.sparse.csr_matrix(COUNTS), Y)  # type: ignore[no-any-return]


def _kernels() -> list[Any]:
    from sklearn.gaussian_process import kernels as k

    return [
        k.ConstantKernel() * k.RBF() + k.WhiteKernel(),
        k.CompoundKernel([k.RBF(), k.Matern()]),
        k.DotProduct() ** 2,
        k.ExpSineSquared(),
        k.RationalQuadratic(),
        k.PairwiseKernel(),
        k.Matern(),
    ]


def _scorer_names() -> list[str]:
    from sklearn.metrics import get_scorer_names

    return sorted(get_scorer_names())


def _scorer(name: str) -> Any:
    from sklearn.metrics import get_scorer

    return get_scorer(name)


def _splitters() -> Iterator[tuple[str, Callable[[], Any]]]:
    from sklearn import model_selection

    given = {"p": 2, "n_groups": 2, "test_fold": np.zeros(4)}
    for name in sorted(set(model_selection.__all__) - {"HalvingGridSearchCV", "HalvingRandomSearchCV"}):
        cls = getattr(model_selection, name, None)
        if isinstance(cls, type) and hasattr(cls, "split") and not issubclass(cls, BaseEstimator):
            needed = {p.name for p in inspect.signature(cls).parameters.values() if p.default is p.empty}
            if not inspect.isabstract(cls):
                yield f"splitter/{name}", partial(cls, **{key: given[key] for key in needed & given.keys()})
