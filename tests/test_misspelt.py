"""Every key, class and metric of the examples, misspelt once: it is found where it stands, with the right name."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import PROJECTS, ROOT, learn, workspace_of, write_project
from test_docs import files_in

from modelfactory.commands.workspace import Workspace
from modelfactory.diagnostics import Diagnostic, InputError, nearest
from modelfactory.plan.compiler import check_partial, compile_plan
from modelfactory.plan.metrics import METRICS
from modelfactory.project import specs
from modelfactory.project.classes import sklearn_names
from modelfactory.project.files import find_project_file
from modelfactory.project.loading import load_project
from modelfactory.project.positions import KeyPath, places_of

ENOUGH = 0.95
FREE = {"meta", "vars", "options", "conf", "targets"}
"""Mappings whose keys are the user's own."""
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def misspellings(word: str) -> Iterator[str]:
    """Yield a word with a letter dropped, doubled, swapped with the next, and replaced; the same each time."""
    chance = random.Random(word)
    at = chance.randrange(len(word))
    yield word[:at] + word[at + 1 :]
    yield word[:at] + word[at] + word[at:]
    different = [i for i in range(len(word) - 1) if word[i] != word[i + 1]]
    if different:
        swap = chance.choice(different)
        yield word[:swap] + word[swap + 1] + word[swap] + word[swap + 2 :]
    yield word[:at] + chance.choice(LETTERS.replace(word[at], "")) + word[at + 1 :]


def test_misspellings_are_one_mistake_each() -> None:
    assert list(misspellings("label")) == list(misspellings("label"))
    assert [len(word) for word in misspellings("label")] == [4, 6, 5, 5]


# Names alone --------------------------------------------------------------------------------------------------------


def share_of_right(names: list[str]) -> float:
    """Return the share of misspelt names whose nearest is the right one; what is a name again is no misspelling."""
    wrong = [(name, typo) for name in names if len(name) > 1 for typo in misspellings(name) if typo not in names]
    right = [nearest(typo, names) == name for name, typo in wrong]
    return sum(right) / len(right)


@pytest.mark.parametrize("spec", specs.Spec.__subclasses__(), ids=lambda spec: spec.__name__)
def test_every_key_of_every_file(spec: type[specs.Spec]) -> None:
    assert share_of_right([field.alias or name for name, field in spec.model_fields.items()]) >= ENOUGH


def test_every_metric_and_every_class_of_scikit_learn() -> None:
    assert share_of_right(list(METRICS)) >= ENOUGH
    assert share_of_right(list(sklearn_names())) >= ENOUGH


def test_every_parameter_of_every_class_of_scikit_learn(tmp_path: Path) -> None:
    shares = [
        (share_of_right(list(known.parameters)), len(known.parameters))
        for known in learn(tmp_path, sklearn_names()).values()
        if any(len(name) > 1 for name in known.parameters)
    ]
    assert len(shares) > 150
    assert sum(share * n for share, n in shares) / sum(n for _, n in shares) >= ENOUGH


# In their files -----------------------------------------------------------------------------------------------------


def example(name: str, folder: Path) -> Path:
    """Write a valid project that users can see; the files in README are those of the flights."""
    match name:
        case "starter":
            shutil.copytree(ROOT / "modelfactory" / "starter", folder)
        case "concepts":
            write_project(folder, files_in(ROOT / "docs" / "concepts.md"))
        case _:
            ignored = shutil.ignore_patterns("data", "store", "target", "*.md")
            shutil.copytree(PROJECTS / name, folder, ignore=ignored)
    return folder


@pytest.fixture(scope="module", params=["starter", "concepts", "flights", "gapminder"])
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return workspace_of(example(request.param, tmp_path_factory.mktemp("misspelt") / "project"))


def found_in(workspace: Workspace) -> list[Diagnostic]:
    """Read and compile a project anew, with what is known of its classes."""
    project_file = find_project_file(workspace.project.root, search_parents=False)
    try:
        project, mistakes = load_project(project_file, variables={}, environ={})
    except InputError as error:
        return list(error.diagnostics)
    _, more = compile_plan(project, project.families, workspace.facts, {})
    return [*mistakes, *more, *check_partial(project, workspace.facts, {})]


def words_of(text: str, suffix: str) -> Iterator[tuple[KeyPath, str, int, int]]:
    """Yield keys, class names and metrics of a document: path, word, line and column."""
    lines = text.split("\n")
    for path, place in places_of(text, suffix).items():
        if FREE & set(path[:-1]):
            continue
        named = path[-1] in ("class", "estimator") or path[-2:-1] in (("metrics",), ("numeric",), ("categorical",))
        for where, wanted in ((place.key, isinstance(path[-1], str)), (place.value, named and place.scalar)):
            if where is None or not wanted:
                continue
            word = lines[where.line - 1][where.column - 1 :][: where.length]
            quote = 1 if word[:1] in ("'", '"') else 0
            word = word.strip("'\"")
            if len(word) > 1 and not word.startswith("["):  # a header of TOML is more than its key
                yield path, word, where.line, where.column + quote


def test_every_word_of_the_examples(project: Workspace) -> None:
    tried, followed, missed = 0, 0, []
    for file in sorted(project.project.root.rglob("*.*")):
        if file.suffix not in (".yml", ".toml") or file.name.startswith("."):
            continue
        text = file.read_text(encoding="utf-8")
        lines = text.split("\n")
        for _, word, line, column in words_of(text, file.suffix):
            before, after = lines[line - 1][: column - 1], lines[line - 1][column - 1 + len(word) :]
            for typo in misspellings(word):
                changed = [*lines[: line - 1], before + typo + after, *lines[line:]]
                file.write_text("\n".join(changed), encoding="utf-8")
                found = found_in(project)
                tried += 1
                followed += len({diagnostic.message for diagnostic in found}) > 1
                here = [
                    d for d in found if d.position and d.position.line == line and abs(d.position.column - column) < 2
                ]
                if not any(f"did you mean `{word}`?" in (d.help or "") for d in here):
                    missed.append((file.name, line, word, typo, [d.text() for d in found]))
        file.write_text(text, encoding="utf-8")
    assert tried > 50
    assert len(missed) <= (1 - ENOUGH) * tried, missed[:5]
    assert followed <= (1 - ENOUGH) * tried, "one mistake is told once, without what follows from it"
    assert found_in(project) == []
