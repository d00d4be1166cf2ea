"""The house: imports point down, each dependency has one home, and light commands stay light."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from store_samples import publish
from support import ONE_ROW, PROJECTS, ROOT, workspace_of, write_project

PACKAGE = ROOT / "modelfactory"
FLOORS = {
    "cli": 9,
    "commands": 8,
    "exporting": 7,
    "testing": 7,
    "serving": 6,
    "spark": 5,
    "store": 5,
    "scoring": 4,
    "training": 3,
    "plan": 2,
    "project": 1,
    "explanations": 1,
    "diagnostics": 0,
}
HOMES = {
    "typer": {"cli"},
    "rich": {"cli"},
    "pyspark": {"spark"},
    "py4j": {"spark"},
    "sklearn": {"training", "scoring"},
    "joblib": {"training", "scoring", "exporting"},
    "skops": {"training", "scoring"},
    "threadpoolctl": {"training", "scoring"},
    "cachetools": {"serving"},
    "mlflow": {"exporting"},
    "skl2onnx": {"exporting"},
    "jinja2": {"plan"},
    "pydantic": {"project", "store"},
    "yaml": {"project"},
    "tomllib": {"project"},
    "pandas": {"training", "scoring", "serving", "exporting"},
    "obstore": {"store"},
    "pyarrow": {"training", "scoring", "store", "spark", "serving", "exporting", "testing", "commands"},
    "numpy": {"training", "scoring", "plan", "store", "spark", "serving", "exporting", "testing", "commands"},
    "duckdb": {"testing"},
}
HEAVY = {"pyspark", "py4j", "sklearn", "pandas", "numpy", "scipy", "pyarrow"}
WORKER_ONLY = {"numpy", "pandas", "pyarrow", "sklearn", "joblib", "threadpoolctl"}


def modules() -> list[Path]:
    return sorted(p for p in PACKAGE.rglob("*.py") if p.parent != PACKAGE or p.stem in FLOORS)


def room_of(file: Path) -> str:
    inside = file.relative_to(PACKAGE)
    return inside.parts[0].removesuffix(".py")


def imports_of(file: Path) -> Iterator[tuple[str, bool]]:
    """Yield imported module names, and whether they are imported for type checking only."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    typing_only = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and isinstance(block.test, ast.Name) and block.test.id == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in typing_only) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, id(node) in typing_only


@pytest.mark.parametrize("file", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_down(file: Path) -> None:
    room = room_of(file)
    for name, _ in imports_of(file):
        if name.startswith("modelfactory."):
            other = name.split(".")[1]
            assert other == room or FLOORS[other] < FLOORS[room], f"{room} imports {name}"


@pytest.mark.parametrize("file", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_each_dependency_has_its_home(file: Path) -> None:
    room = room_of(file)
    for name, typing_only in imports_of(file):
        home = HOMES.get(name.split(".")[0])
        if home is not None and not typing_only:
            assert room in home, f"{room} imports {name}"


def loaded_by(code: str) -> set[str]:
    """Return the top-level modules that a fresh interpreter has after some code."""
    script = f"import sys\n{code}\nsys.stderr.write(' '.join(sorted({{m.split('.')[0] for m in sys.modules}})))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT, timeout=120
    )
    return set(done.stderr.split("\n")[-1].split())


def command(*arguments: str) -> str:
    return (
        f"sys.argv = {['mf', *arguments]!r}\n"
        "from modelfactory.__main__ import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("build", "--help"),
        ("ls", "--quiet", "--project-dir", str(PROJECTS / "gapminder")),
        ("parse", "--quiet", "--project-dir", str(PROJECTS / "gapminder")),
        ("fmt", "--check", "--quiet", str(PROJECTS)),
        ("diff", "--quiet", "--project-dir", str(PROJECTS / "gapminder")),
        ("plan", "--no-census", "--quiet", "--project-dir", str(PROJECTS / "gapminder")),
        ("show", "life_exp_by_country", "--resolved", "--project-dir", str(PROJECTS / "gapminder")),
    ],
    ids=lambda a: " ".join(a[:2]),
)
def test_light_commands_load_neither_spark_nor_scikit_learn(arguments: tuple[str, ...]) -> None:
    assert not loaded_by(command(*arguments)) & HEAVY


@pytest.mark.parametrize(
    "arguments",
    [("show", "f"), ("rollback", "f", "--to", "1"), ("prune", "--keep", "1", "--delete")],
    ids=lambda a: a[0],
)
def test_so_do_commands_on_versions(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    store = workspace_of(write_project(tmp_path, ONE_ROW)).store
    publish(store, 1)
    before = publish(store, 2)
    assert not loaded_by(command(*arguments, "--project-dir", str(tmp_path))) & HEAVY
    assert (store.manifest("f") == before) == (arguments[0] == "show")


def test_comparing_versions_loads_neither_spark_nor_scikit_learn() -> None:
    loaded = loaded_by("import modelfactory.commands.history, modelfactory.store.group_changes")
    assert "pyarrow" in loaded
    assert not loaded & {"pyspark", "sklearn", "pandas"}


def test_spark_starts_before_pyspark_is_imported() -> None:
    assert not loaded_by("import modelfactory.spark.starting, modelfactory.commands.build") & {"pyspark", "pyarrow"}


def test_the_driver_of_a_build_leaves_scikit_learn_to_the_workers() -> None:
    loaded = loaded_by("import modelfactory.commands.train, modelfactory.spark.session")
    assert loaded >= {"pyspark", "pyarrow"}
    assert not loaded & {"sklearn", "scipy", "joblib"}


def test_what_crosses_to_a_worker_imports_without_the_rest() -> None:
    loaded = loaded_by("import modelfactory.training.worker")
    assert loaded >= {"sklearn", "pyarrow"}
    assert not loaded & {"pyspark", "pydantic", "jinja2", "typer", "yaml"}


def test_what_scores_on_a_worker_imports_without_the_rest() -> None:
    loaded = loaded_by("import modelfactory.scoring.worker")
    assert loaded >= {"pandas", "pyarrow"}
    assert not loaded & {"pyspark", "pydantic", "jinja2", "typer", "yaml"}


def test_the_python_interface_needs_no_spark_and_costs_nothing_unasked() -> None:
    assert not loaded_by("import modelfactory") & {"pyspark", "sklearn", "pandas", "numpy", "pyarrow", "pydantic"}
    assert not loaded_by("import modelfactory\nmodelfactory.open_store('nowhere')") & {"pyspark", "py4j", "typer"}


def test_there_is_no_cycle_between_modules() -> None:
    graph = {
        ".".join(file.relative_to(ROOT).with_suffix("").parts): {
            name for name, typing_only in imports_of(file) if name.startswith("modelfactory") and not typing_only
        }
        for file in modules()
    }
    import graphlib

    graphlib.TopologicalSorter(graph).prepare()
