"""The documents say what the code does: the reference is current, examples are valid, links and commands exist."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer
import yaml
from support import FAMILY_YAML, PROJECTS, ROOT, load, workspace_of, write_project
from typer.testing import CliRunner

from modelfactory.cli.app import app
from modelfactory.commands.resolving import OriginKind
from modelfactory.diagnostics import Code
from modelfactory.plan.metrics import METRICS
from modelfactory.plan.outcomes import GROUP_COLUMNS, Status
from modelfactory.plan.text import plan_text
from modelfactory.project import specs, test_specs
from modelfactory.project.selectors import METHODS, parse_options

DOCS = ROOT / "docs"
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *DOCS.glob("*.md"),
        *PROJECTS.glob("*.md"),
        *PROJECTS.glob("*/*.md"),
        *PROJECTS.glob("*/data/*.md"),
    ]
)
FLIGHTS = PROJECTS / "flights"
COMMANDS: Any = typer.main.get_command(app)


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def reference() -> str:
    return (DOCS / "reference.md").read_text(encoding="utf-8")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def section(text: str, title: str) -> str:
    """Return what stands below a heading, up to the next of its depth or above."""
    depth = re.search(rf"^(#+) {re.escape(title)}$", text, re.MULTILINE)
    assert depth, f"no section {title!r}"
    rest = text[depth.end() :]
    end = re.search(rf"^#{{1,{len(depth[1])}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


def blocks(page: Path, *languages: str) -> Iterator[str]:
    """Yield the fenced blocks of a page in some languages."""
    text = page.read_text(encoding="utf-8")
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        if language in languages:
            yield block


def files_in(page: Path) -> dict[str, str]:
    """Return the definition files of a page; the first line of each block is a comment with the file's name."""
    found = {}
    for block in blocks(page, "yaml", "toml"):
        first, _, rest = block.partition("\n")
        assert re.fullmatch(r"# [\w/]+\.(yml|toml)", first), f"{first!r} does not name a file"
        found[first.removeprefix("# ")] = rest
    return found


# The reference ------------------------------------------------------------------------------------------------------


def test_the_reference_is_what_the_generator_writes(generate: ModuleType, reference: str) -> None:
    assert reference == generate.reference(), "run `make docs`"
    assert generate.main(["--check"]) == 0


def test_a_stale_reference_is_told(
    generate: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generate, "REFERENCE", tmp_path / "reference.md")
    assert generate.main(["--check"]) == 1
    assert "stale" in capsys.readouterr().err
    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 0
    (tmp_path / "reference.md").write_text("old")
    assert generate.main(["--check"]) == 1


def test_every_spec_and_field_is_in_the_reference(generate: ModuleType, reference: str) -> None:
    titles = {spec: title for spec, title, _ in generate.SPECS}
    known = {**vars(specs), **vars(test_specs)}.values()
    written = {value for value in known if isinstance(value, type) and issubclass(value, specs.Spec)}
    assert written - {specs.Spec} == titles.keys()
    for spec, title in titles.items():
        keys = re.findall(r"^\| `(\w+)` \|", section(reference, title), re.MULTILINE)
        assert keys == [field.alias or name for name, field in spec.model_fields.items()]


def test_every_status_column_metric_origin_and_code_is_in_the_reference(reference: str) -> None:
    def rows(title: str) -> list[str]:
        return re.findall(r"^\| (?:\*\*)?`(\w+)`", section(reference, title), re.MULTILINE)

    assert rows("Statuses") == [str(status) for status in Status]
    assert rows("Group table") == list(GROUP_COLUMNS)
    assert rows("Metrics") == list(METRICS)
    assert re.findall(r"^\| `([\w -]+)`", section(reference, "Resolved values"), re.MULTILINE) == [
        *("path", "value", "from", "via", "overrides"),
        *OriginKind,
    ]
    assert rows("Diagnostics") == [str(code) for code in Code]


def test_the_columns_have_the_types_of_the_plan(reference: str) -> None:
    text = " ".join(plan_text(workspace_of(FLIGHTS, "arr_delay_by_dest").plan).split())
    for name, kind in re.findall(r"^\| `(\w+)` \| `([^`]+)` \|", section(reference, "Group table"), re.MULTILINE):
        assert f" {name} {kind}" in text


def test_every_command_and_option_is_in_the_reference(reference: str) -> None:
    commands = section(reference, "Commands")
    for option in COMMANDS.params:
        assert all(f"`{name}`" in commands for name in option.opts)
    assert re.findall(r"^### mf ([\w-]+)$", commands, re.MULTILINE) == list(COMMANDS.commands)
    for name, command in COMMANDS.commands.items():
        text = section(reference, f"mf {name}")
        for parameter in command.params:
            spellings = [parameter.name.upper()] if parameter.param_type_name == "argument" else parameter.opts
            assert all(f"`{spelling}`" in text for spelling in spellings), f"mf {name} {spellings}"
            assert parameter.help, f"mf {name} {spellings} has no help"


def test_every_event_is_in_concepts() -> None:
    package = ROOT / "modelfactory"
    code = "".join(file.read_text(encoding="utf-8") for file in package.rglob("*.py"))
    told = set(re.findall(r"\.tell\(\s*\"(\w+)\"", code))
    listed = re.findall(r"^\| `(\w+)` \|", section((DOCS / "concepts.md").read_text(encoding="utf-8"), "Events"), re.M)
    assert told == set(listed)
    assert len(listed) == len(told)


# Examples -----------------------------------------------------------------------------------------------------------


def test_the_files_in_the_readme_are_those_of_the_flights_project() -> None:
    shown = files_in(ROOT / "README.md")
    assert shown
    for name, text in shown.items():
        assert text == (FLIGHTS / name).read_text(encoding="utf-8"), name
    assert {family.name for family in load(FLIGHTS).families} >= {"arr_delay_by_plane"}


def test_the_files_in_concepts_are_a_valid_project(tmp_path: Path) -> None:
    folder = write_project(tmp_path, files_in(DOCS / "concepts.md"))
    workspace = workspace_of(folder)
    demand = workspace.family("demand_by_sku").spec
    kinds = workspace.family("kinds_of_sku_by_shop").spec
    assert (demand.min_rows, demand.owner, demand.tags) == (30, "pricing", ("nightly",))
    assert kinds.evaluate is not None
    assert kinds.evaluate.folds == 5


def test_the_examples_of_tests_are_tests(tmp_path: Path) -> None:
    page = DOCS / "tests.md"
    shown = re.findall(r"^\| `([^`]+)` \| ", section(page.read_text(encoding="utf-8"), "The tests"), re.MULTILINE)
    kinds = [test_specs.TestSpec.model_validate(test_specs.long_test(yaml.safe_load(text))).kind for text in shown]
    assert kinds == list(test_specs.TestSpec.model_fields)
    sources = "sources: [{name: sales, path: 's3://bucket/rows'}]"
    workspace = workspace_of(write_project(tmp_path, {**files_in(page), "sources/s.yml": sources}))
    assert len(workspace.plan.steps[0].tests) == 6


def test_the_files_in_the_search_page_are_a_valid_project(tmp_path: Path) -> None:
    sources = {"sources/nyc.yml": (FLIGHTS / "sources/nyc.yml").read_text(encoding="utf-8")}
    (tmp_path / "data").symlink_to(FLIGHTS / "data")
    workspace = workspace_of(write_project(tmp_path, sources | files_in(DOCS / "search.md")))
    counts = {step.family: len(step.fit.candidates) for step in workspace.plan.steps}
    assert counts == {"arr_delay_by_dest": 5, "late_by_carrier": 4}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_in_bash_blocks_exist(page: Path) -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for line in "\n".join(blocks(page, "bash")).splitlines():
        words = shlex.split(line, comments=True)
        if not words:
            continue
        program = Path(words[0]).name
        if program == "make":
            assert set(words[1:]) <= targets, line
        elif program == "mf":
            assert words[1] in COMMANDS.commands, line
            known = {name for option in COMMANDS.commands[words[1]].params for name in option.opts}
            assert {word for word in words[2:] if re.match(r"--|-[a-z]$", word)} <= known, line
        else:
            assert page.name != "README.md", f"README runs `mf` and `make` only: {line}"


@pytest.mark.parametrize("name", ["flights", "gapminder"])
def test_the_commands_of_example_projects_name_what_is_there(name: str) -> None:
    families = {family.name for family in load(PROJECTS / name).families}
    page = PROJECTS / name / "README.md"
    table = re.findall(r"^\| `(\w+)` \|", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(table) == families
    for line in "\n".join(blocks(page, "bash")).splitlines():
        words = shlex.split(line)
        named = [words[i + 1] for i, word in enumerate(words) if word in ("--groups", "show")]
        assert set(named) <= families, line
        assert words[words.index("--project-dir") + 1] == f"projects/{name}"


# Links --------------------------------------------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    found = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r"^\[[^\]]+\]: (\S+)$", text, re.MULTILINE)
    for link in found:
        if "://" in link:
            continue
        place, _, anchor = link.partition("#")
        other = (page.parent / place).resolve() if place else page
        assert other.exists(), link
        assert not anchor or anchor in anchors(other), link
    for label in re.findall(r"\]\[([^\]]+)\]", text):
        assert re.search(rf"^\[{re.escape(label)}\]: ", text, re.MULTILINE), label


def test_the_selectors_of_the_page_are_selectors(tmp_path: Path) -> None:
    page = DOCS / "selection.md"
    text = page.read_text(encoding="utf-8")
    tables = re.findall(r"^\| selector \|.*?\n\n", text, re.MULTILINE | re.DOTALL)
    written = [selector for table in tables for selector in re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)]
    assert len(written) > 40
    expressions = [parse_options([selector], option="--select") for selector in written]
    assert {method for e in expressions for method in re.findall(r"method='(\w+)'", repr(e))} | {"name"} == {*METHODS}
    files = {"families/f.yml": FAMILY_YAML, "sources/s.yml": "sources: [{name: s, path: s.csv}]"}
    assert load(write_project(tmp_path, {**files, **files_in(page)})).selectors.keys() == {"light", "usual"}
    forms = re.findall(
        r"^\| `([{\"].*)` \| (?:`(.*)`|itself.*) \|$", text.partition("\n## Named selectors\n")[2], re.MULTILINE
    )
    assert len(forms) == 7
    for definition, selector in forms:
        named = f"selectors: [{{name: light, definition: {definition}}}]"
        found = load(write_project(tmp_path, {**files, "selectors.yml": named})).selectors["light"].expression
        assert found == parse_options([selector or definition.strip('"')], option="--select")


def test_the_tests_that_prove_a_promise_exist() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)((?:::\w+)*)`", (ROOT / "docs/reliability.md").read_text(encoding="utf-8"))
    assert len(named) > 20
    for file, path in named:
        text = (ROOT / file).read_text(encoding="utf-8")
        for name in filter(None, path.split("::")):
            assert re.search(rf"^\s*(?:def|class) {name}\b", text, re.MULTILINE), f"{file}{path}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_prose_fits_the_page(page: Path) -> None:
    long = [
        line for line in page.read_text(encoding="utf-8").splitlines() if len(line) > 120 and line[:1] not in ("|", "<")
    ]
    assert not long


REVIEWED = (
    ("families/arrival/routes.yml", "n_estimators: 20", "n_estimators: 50"),
    ("families/arrival/routes.yml", "[dep_delay, hour, month]", "[dep_delay, hour]"),
    ("families/arrival/planes.yml", "Does a plane", "Can a plane"),
    ("families/punctuality/late.yml", "arr_delay > 15 as late", "arr_delay > 20 as late"),
    ("families/punctuality/late.yml", "name: late_by_carrier", "name: late_per_carrier"),
    (
        "families/punctuality/late.yml",
        "families:\n",
        "moved: [{from: late_by_carrier, to: late_per_carrier}]\nfamilies:\n",
    ),
)
"""The change of the flights project whose comment docs/review.md shows."""


def test_the_comment_in_the_review_page_is_what_diff_writes(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    folder = tmp_path / "flights"
    shutil.copytree(FLIGHTS, folder, ignore=shutil.ignore_patterns("data", "store", "target"))
    who = ["-c", "user.name=someone", "-c", "user.email=some@one", "-c", "init.defaultBranch=main"]
    for command in (["init", "--quiet"], ["add", "--all"], [*who, "commit", "--quiet", "--message", "first"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    subprocess.run(["git", "branch", "--move", "main"], cwd=folder, check=True)
    for file, old, new in REVIEWED:
        text = (folder / file).read_text(encoding="utf-8")
        assert old in text
        (folder / file).write_text(text.replace(old, new), encoding="utf-8")
    arguments = ["diff", "main", "--output", "markdown", "--project-dir", str(folder)]
    comment = CliRunner().invoke(app, arguments).stdout
    page = DOCS / "review.md"
    text = page.read_text(encoding="utf-8")
    shown = f"<!-- mf diff -->\n\n{comment}\n<!-- end -->"
    if request.config.getoption("--update-snapshots"):
        page.write_text(
            re.sub(r"<!-- mf diff -->.*?<!-- end -->", lambda _: shown, text, flags=re.DOTALL), encoding="utf-8"
        )
    assert shown in page.read_text(encoding="utf-8")


def test_the_diagnostics_shown_are_those_of_the_flights_project(tmp_path: Path) -> None:
    folder = tmp_path / "flights"
    shutil.copytree(FLIGHTS, folder, ignore=shutil.ignore_patterns("store", "target"))
    for file, right, wrong in (
        ("_defaults.yml", "[rmse", "[rsme"),
        ("arrival/routes.yml", "[dest]", "[dset]"),
        ("arrival/routes.yml", "alpha: 1.0", "alpha: -1.0"),
        ("arrival/routes.yml", "n_estimators:", "n_estimatorz:"),
    ):
        path = folder / "families" / file
        path.write_text(path.read_text(encoding="utf-8").replace(right, wrong), encoding="utf-8")
    options = ["parse", "--project-dir", str(folder)]
    page = DOCS / "diagnostics.md"
    assert CliRunner().invoke(app, options).stderr == next(blocks(page, "text"))
    found = json.loads(CliRunner().invoke(app, [*options, "--diagnostics", "json"]).stdout)["diagnostics"]
    assert json.loads(next(blocks(page, "json"))) in found
