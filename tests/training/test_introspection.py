"""What the installed classes say of themselves, and that the checks of projects agree with scikit-learn."""

from __future__ import annotations

import contextlib
import functools
import inspect
import json
import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sklearn.linear_model import Ridge
from sklearn.utils import all_estimators
from sklearn.utils._param_validation import InvalidParameterError, validate_parameter_constraints

from modelfactory.project.classes import ClassFacts, Parameter
from modelfactory.project.parameters import check_class
from modelfactory.training.introspection import _parameter_docs, _sentence, facts_of

ALL = [pytest.param(cls, id=name) for name, cls in all_estimators()]


def facts(path: str) -> ClassFacts:
    """Facts as a project's check gets them: through JSON."""
    return ClassFacts.from_json(json.loads(json.dumps(facts_of(path))))


def path_of(cls: type) -> str:
    return f"{cls.__module__}.{cls.__name__}"


def admits(known: ClassFacts, name: str, value: Any) -> bool:
    forms = known.parameters[name].constraints
    return not forms or any(form.admits(value) for form in forms)


# Known classes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "kind", "takes_weight"),
    [
        ("sklearn.ensemble.RandomForestRegressor", "regressor", True),
        ("sklearn.ensemble.RandomForestClassifier", "classifier", True),
        ("sklearn.linear_model.LogisticRegression", "classifier", True),
        ("sklearn.neighbors.KNeighborsRegressor", "regressor", False),
        ("sklearn.cluster.KMeans", "unsupervised", True),
        ("sklearn.cluster.DBSCAN", "unsupervised", True),
        ("sklearn.cluster.AgglomerativeClustering", "unsupervised", False),
        ("sklearn.ensemble.IsolationForest", "unsupervised", True),
        ("sklearn.mixture.GaussianMixture", "unsupervised", False),
        ("sklearn.preprocessing.StandardScaler", "transformer", True),
        ("sklearn.preprocessing.OneHotEncoder", "transformer", False),
        ("sklearn.decomposition.PCA", "transformer", False),
        ("training_samples.Mean", "regressor", False),
        ("training_samples.Records", "regressor", True),
    ],
)
def test_what_a_class_is_for(path: str, kind: str, takes_weight: bool) -> None:
    known = facts(path)
    assert (known.path, known.error, known.kind, known.takes_weight) == (path, None, kind, takes_weight)
    assert known.open_ended is False


def test_parameters_of_a_forest() -> None:
    known = facts("sklearn.ensemble.RandomForestRegressor")
    assert known.parameters["max_depth"].text() == "int >= 1 or null, default null"
    assert known.parameters["n_estimators"].default == "100"
    assert known.parameters["bootstrap"].default in ("True", "true")
    assert "`sqrt`" in known.parameters["max_features"].text()
    assert "self" not in known.parameters


def test_parameters_of_k_means() -> None:
    known = facts("sklearn.cluster.KMeans")
    assert admits(known, "n_clusters", 3)
    assert not admits(known, "n_clusters", 0)
    assert not admits(known, "n_clusters", "3")
    assert admits(known, "init", "k-means++")
    assert not admits(known, "init", "k-means")
    assert admits(known, "init", [[0.0], [1.0]])


def test_parameters_of_a_scaler() -> None:
    known = facts("sklearn.preprocessing.StandardScaler")
    assert known.parameters.keys() == {"copy", "with_mean", "with_std"}
    assert admits(known, "with_mean", False)
    assert not admits(known, "with_mean", "no")
    assert not admits(known, "with_mean", 1)


def test_parameters_of_a_logistic_regression() -> None:
    known = facts("sklearn.linear_model.LogisticRegression")
    for name, good, bad in [
        ("C", 0.5, -0.5),
        ("C", 10, "much"),
        ("class_weight", "balanced", "fair"),
        ("class_weight", {"yes": 2.0}, 2.0),
        ("solver", "lbfgs", "lbgfs"),
        ("max_iter", 5, 0.5),
        ("random_state", 5, "5"),
    ]:
        assert admits(known, name, good), (name, good)
        assert not admits(known, name, bad), (name, bad)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("training_samples.NoFit", "not a class with a `fit` method"),
        ("training_samples.a_function", "not a class with a `fit` method"),
        ("training_samples.MARK", "not a class with a `fit` method"),
        ("training_samples.Missing", "AttributeError"),
        ("no_such_package.Thing", "ModuleNotFoundError"),
        ("sklearn.no_such_module.Thing", "ModuleNotFoundError"),
        ("Thing", "ValueError"),
    ],
)
def test_what_cannot_be_used_says_why(path: str, reason: str) -> None:
    known = facts(path)
    assert known.path == path
    assert reason in known.error


def test_a_module_that_raises_or_exits_when_it_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "raises_at_import.py").write_text("raise RuntimeError('not today')")
    (tmp_path / "exits_at_import.py").write_text("import sys; sys.exit('no licence')")
    monkeypatch.syspath_prepend(tmp_path)
    assert facts("raises_at_import.Thing").error == "RuntimeError: not today"
    assert facts("exits_at_import.Thing").error == "SystemExit: no licence"


def test_a_class_without_a_constructor_takes_no_parameters() -> None:
    """`object.__init__` shows `*args, **kwargs` and takes neither."""
    for path in ("training_samples.NoInit", "sklearn.preprocessing.LabelEncoder"):
        known = facts(path)
        assert dict(known.parameters) == {}
        assert known.open_ended is False
        assert list(check_class(path, {"nonsense": 1}, {path: known}, ["training_samples", "sklearn"]))


def test_classes_and_parameters_have_a_sentence_of_their_docstring() -> None:
    known = facts("sklearn.ensemble.RandomForestRegressor")
    assert known.doc == "A random forest regressor."
    assert known.parameters["n_estimators"].doc == "The number of trees in the forest."
    assert known.parameters["ccp_alpha"].doc == "Complexity parameter used for Minimal Cost-Complexity Pruning."


def test_a_class_without_a_docstring_in_numpys_style_has_no_sentences() -> None:
    known = facts("training_samples.Mean")
    assert all(parameter.doc == "" for parameter in known.parameters.values())


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ("", ""),
        ("One. Two.", "One."),
        ("In two\n    lines, e.g. here. More", "In two lines, e.g. here."),
        ("A list:\n- one\n- two", "A list:"),
        ("See :class:`~sklearn.svm.SVC` and ``x``.", "See `sklearn.svm.SVC` and `x`."),
        ("See :ref:`the guide <guide>`.", "See `the guide`."),
        ("First\n\nsecond", "First"),
        ("x" * 500, "x" * 159 + "…"),
    ],
)
def test_a_sentence_is_short_and_plain(written: str, sentence: str) -> None:
    assert _sentence(written) == sentence


def test_parameters_that_share_an_entry_share_its_sentence() -> None:
    documented = "Text.\n\nParameters\n----------\na, b : int\n    Both. Or not.\n\n    More.\nc : str\n\nAttributes\n"
    documented += "----------\nd_ : int\n    No parameter.\n"
    assert _parameter_docs(documented) == {"a": "Both.", "b": "Both.", "c": ""}


# The process ------------------------------------------------------------------------------------------------------


def ask(names: dict[str, str], folder: Path | None = None) -> dict[str, Any]:
    """Ask as `mf` does: a process with JSON on stdin and stdout."""
    done = subprocess.run(
        [sys.executable, "-m", "modelfactory.training.introspection"],
        input=json.dumps(names),
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
    )
    return json.loads(done.stdout)


def test_the_process_answers_under_the_names_that_were_asked() -> None:
    answer = ask({"Ridge": "sklearn.linear_model.Ridge", "mine.Thing": "no_such_package.Thing"})
    assert answer.keys() == {"Ridge", "mine.Thing"}
    assert ClassFacts.from_json(answer["Ridge"]).kind == "regressor"
    assert ClassFacts.from_json(answer["mine.Thing"]).error


def test_a_package_that_prints_when_it_is_imported_does_not_spoil_the_answer(tmp_path: Path) -> None:
    (tmp_path / "talks.py").write_text(
        "print('hello from the package')\nclass Thing:\n    def fit(self, X, y=None):\n        return self\n",
        encoding="utf-8",
    )
    assert ask({"talks.Thing": "talks.Thing"}, tmp_path)["talks.Thing"]["path"] == "talks.Thing"


# Every estimator --------------------------------------------------------------------------------------------------

# scikit-learn itself refuses these defaults: the parameter has to be given.
REFUSED_DEFAULTS = {("SelfTrainingClassifier", "estimator")}


@pytest.mark.parametrize("cls", ALL)
def test_every_class_can_be_read_and_admits_its_defaults(cls: Any) -> None:
    known = facts(path_of(cls))
    assert known.error is None
    signature = inspect.signature(cls.__init__).parameters
    for name, parameter in known.parameters.items():
        default = signature[name].default
        if default is inspect.Parameter.empty:
            assert parameter.default is None
            continue
        assert parameter.default is not None
        if default is None or isinstance(default, bool | int | float | str):
            expected = (cls.__name__, name) not in REFUSED_DEFAULTS
            assert admits(known, name, default) == expected, name
        assert parameter.text()


# The check against scikit-learn's own ------------------------------------------------------------------------------

RIDGE = {"class": "Ridge"}
PLAIN: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 2, 3, 100, -0.5, 0.0, 0.5, 1.0, 1.5, 2.5, 1e-3, math.inf, -math.inf, math.nan,
    "nonsense", "auto", "sqrt", "mean", "", [], [1], [1, 2], [0.2, 0.8], ["a", "b"], [[1.0, 2.0], [3.0, 4.0]],
    {}, {"a": 1.0}, RIDGE, [["a", RIDGE]],
)  # fmt: skip
"""Values that a file can hold."""
STRICTER: dict[str, Callable[[str, Any], bool]] = {
    "true and false are numbers to Python, and a mistake in a file": lambda name, value: isinstance(value, bool),
    "a mapping has a length, and is no array": lambda name, value: isinstance(value, dict),
    "splits that are listed name rows, which no file knows": lambda name, value: name == "cv",
    "a text is no list of words": lambda name, value: name == "vocabulary" and isinstance(value, str),
    "the items of these lists are looked at too": lambda name, value: (
        name in ("transformers", "estimators", "steps") and isinstance(value, list)
    ),
}
"""Where a project may not write what scikit-learn's constraints let pass, and why."""


@functools.cache
def verdicts() -> list[tuple[str, str, Any, bool, bool]]:
    """Every parameter of every class with values: whether scikit-learn takes them, and whether mf does."""
    found = []
    ridge = facts("sklearn.linear_model.Ridge")
    for cls_name, cls in all_estimators():
        constraints = getattr(cls, "_parameter_constraints", None) or {}
        known = facts(path_of(cls))
        for name in known.parameters.keys() & constraints.keys():
            for value in (*PLAIN, *limits(known.parameters[name])):
                mistakes = check_class(cls_name, {name: value}, {cls_name: known, "Ridge": ridge}, ["sklearn"])
                admitted = not any(mistake.path[:2] == ("params", name) for mistake in mistakes)
                found.append((cls_name, name, value, taken(constraints[name], name, value), admitted))
    return found


def limits(parameter: Parameter) -> Iterator[Any]:
    """Yield the choices of a parameter, and values at the ends of its intervals and beside them."""
    for form in parameter.constraints:
        yield from form.options
        for end in (form.low, form.high):
            if end is not None:
                yield from (int(end) - 1, int(end), int(end) + 1, float(end) - 0.5, float(end), float(end) + 0.5)


def taken(constraint: Any, name: str, value: Any) -> bool:
    """Tell whether scikit-learn takes a value, made of what a file holds as mf makes it."""
    made = Ridge() if value is RIDGE else [("a", Ridge())] if value == [["a", RIDGE]] else value
    for tried in (made, tuple(made)) if isinstance(made, list) else (made,):
        with contextlib.suppress(InvalidParameterError):
            validate_parameter_constraints({name: constraint}, {name: tried}, "it")
            return True
    return False


def test_nothing_is_taken_that_scikit_learn_refuses() -> None:
    """Else every group fails at the fit over what `mf parse` could have said."""
    assert len(verdicts()) > 50_000
    assert [verdict for verdict in verdicts() if verdict[4] and not verdict[3]] == []


def test_nothing_is_refused_that_scikit_learn_takes_but_for_a_reason() -> None:
    refused = [(cls, name, value) for cls, name, value, takes, admits in verdicts() if takes and not admits]
    reasons = {id(verdict): [why for why, holds in STRICTER.items() if holds(*verdict[1:])] for verdict in refused}
    assert [verdict for verdict in refused if not reasons[id(verdict)]] == []
    assert {why for found in reasons.values() for why in found} == STRICTER.keys()
