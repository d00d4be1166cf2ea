"""Learn what estimator classes take, once per version of their package."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from modelfactory.commands.cache import read_values, write_values
from modelfactory.diagnostics import Code, input_error
from modelfactory.plan.estimators import COLUMN_TRANSFORMER, PIPELINE
from modelfactory.project.classes import ClassFacts, nested_values, sklearn_names
from modelfactory.project.loading import Project
from modelfactory.project.specs import EstimatorSpec, FamilySpec

_ASKER = Path(__file__).parent.parent / "training" / "introspection.py"
COMPILED_CLASSES = (PIPELINE, COLUMN_TRANSFORMER)
"""Classes that the compiler itself writes into plans."""


def learn_classes(project: Project, cache: Path) -> dict[str, ClassFacts]:
    """Return the facts of every class that a project's families name, by the name as written.

    Classes of scikit-learn are remembered in `cache` by version; those of other packages are asked each time,
    since they may be under development. A cache that cannot be read or written costs time only.

    Args:
        project: the project.
        cache: folder for what was learnt.

    Raises:
        InputError: the process that asks the classes failed as a whole.
    """
    allowed = set(project.spec.estimator_packages)
    names = {name for family in (*project.families, *project.partial) for name in _class_names(family.spec)}
    modules: Mapping[str, str] | None = None
    file = _file(cache, "classes")
    known = read_values(file)
    asked: dict[str, str] = {}
    for name in sorted({*names, *COMPILED_CLASSES}):
        if name in known:
            continue
        if "." not in name:
            modules = sklearn_names() if modules is None else modules
            if name in modules:
                asked[name] = f"{modules[name]}.{name}"
        elif name.partition(".")[0] in {*allowed, "sklearn"}:
            asked[name] = name
    if asked:
        answered = _ask(asked)
        known |= answered
        lasting = {n: f for n, f in known.items() if f.get("path", "").startswith("sklearn.") and "error" not in f}
        write_values(file, lasting)
    return {
        name: ClassFacts.from_json(facts) for name, facts in known.items() if name in names or name in COMPILED_CLASSES
    }


def learn_public_classes(cache: Path) -> dict[str, ClassFacts]:
    """Return the facts of every estimator class that scikit-learn makes public, by its bare name.

    Asking all of them takes seconds, so they are remembered in a file of their own in `cache`.

    Args:
        cache: folder for what was learnt.

    Raises:
        InputError: the process that asks the classes failed, or there is no scikit-learn.
    """
    file = _file(cache, "public-classes")
    known = read_values(file)
    if not known:
        answered = _ask({name: f"{module}.{name}" for name, module in sklearn_names().items()})
        known = {name: facts for name, facts in sorted(answered.items()) if "error" not in facts}
        if not known:
            raise input_error(Code.UNKNOWN_CLASS, "cannot ask the estimator classes: scikit-learn cannot be imported")
        write_values(file, known)
    return {name: ClassFacts.from_json(facts) for name, facts in known.items()}


def _class_names(spec: FamilySpec) -> Iterator[str]:
    written: list[EstimatorSpec] = [*spec.pipeline]
    if spec.estimator is not None:
        written.append(spec.estimator)
    if spec.preprocess is not None:
        written += [*spec.preprocess.numeric, *spec.preprocess.categorical]
    if spec.search is not None:
        written += spec.search.estimators
    for call in written:
        yield call.class_
        yield from _nested_names(call.params)
    for final in spec.finals:
        yield from _nested_names(final.grid)


def _nested_names(params: Any) -> Iterable[str]:
    for _, nested in nested_values(params):
        yield nested["class"]
        yield from _nested_names(nested.get("params"))


def _ask(names: Mapping[str, str]) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "modelfactory.training.introspection"],
        input=json.dumps(names),
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        last = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise input_error(
            Code.UNKNOWN_CLASS, f"cannot ask the estimator classes for their parameters: {last[0]}"
        ) from None
    return answer


def _file(cache: Path, what: str) -> Path:
    try:
        version = metadata.version("scikit-learn")
    except metadata.PackageNotFoundError:
        version = "none"
    asked = hashlib.sha256(_ASKER.read_bytes()).hexdigest()[:12]  # other questions have other answers
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return cache / f"{what}-{asked}-sklearn-{version}-python-{python}.json"
