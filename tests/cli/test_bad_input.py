"""Bad input gives one clear message with file and line where there is one, exit code 2, and leaves nothing behind.

What needs Spark to be seen is in `tests/spark/test_bad_data.py`.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import FAMILY_TOML as TOML
from support import FAMILY_YAML as YAML
from support import ROOT, _cache, workspace_of, write_project
from typer.testing import CliRunner, Result

from modelfactory.cli.app import app
from modelfactory.diagnostics import InputError

SOURCE = "sources: [{name: s, path: data.parquet}]\n"
Runner = Callable[..., Result]


@pytest.fixture(scope="session", autouse=True)
def _learnt(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Learn all classes that the tests name at once, not one process for each."""
    pipeline = "[{name: a, class: RandomForestRegressor}, {name: b, class: BaggingRegressor}, {name: c, class: PCA}]"
    with contextlib.suppress(InputError):
        workspace_of(
            bad_project(tmp_path_factory.mktemp("learnt"), yaml("label: y", f"label: y\n  pipeline: {pipeline}"))
        )


@pytest.fixture
def mf(tmp_path: Path) -> Runner:
    """Run `mf` in this process, away from the user's home."""
    environment = {**_cache(), "HOME": str(tmp_path / "home"), "TOKEN": "hunter2"}

    def run(*arguments: str | Path) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments], env=environment)

    return run


def refused(result: Result, code: str, place: str | None, *, errors: int = 1) -> None:
    """Check that a command ended as bad input must end."""
    assert isinstance(result.exception, SystemExit), repr(result.exception)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert re.findall(r"^error\[(MF\d+)\]", result.stderr, re.MULTILINE) == [code] * errors, result.stderr
    if place is not None:
        assert f"  --> {place}" in result.stderr, result.stderr


def yaml(old: str, new: str) -> dict[str, str]:
    assert old in YAML
    return {"families/f.yml": YAML.replace(old, new)}


def toml(old: str, new: str) -> dict[str, str]:
    assert old in TOML
    return {"families/f.toml": TOML.replace(old, new)}


BAD: dict[str, tuple[dict[str, str], str, str]] = {
    "an empty file": ({"families/f.yml": ""}, "MF104", "families/f.yml"),
    "an empty TOML file": ({"families/f.toml": "\n"}, "MF104", "families/f.toml"),
    "bad YAML": (yaml("[k]", "[k"), "MF105", "families/f.yml:4:"),
    "bad TOML": (toml('["k"]', '["k"'), "MF105", "families/f.toml:4:"),
    "a tab in YAML": (yaml("  label", "\tlabel"), "MF105", "families/f.yml:6:1"),
    "a list as a file": ({"families/f.yml": "- a\n"}, "MF202", "families/f.yml"),
    "a key twice": (yaml("label: y", "source: t"), "MF106", "families/f.yml:6:3"),
    "a key twice in TOML": (toml("label =", "source ="), "MF106", "families/f.toml:6"),
    "an unknown key": (yaml("label", "lable"), "MF201", "families/f.yml:6:3"),
    "an unknown key in TOML": (toml("label", "lable"), "MF201", "families/f.toml:6:1"),
    "an unknown key of the file": ({"families/f.yml": "familys: []\n"}, "MF201", "families/f.yml:1:1"),
    "a number as a key": (yaml("label", "5"), "MF201", "families/f.yml:6:3"),
    "null for families": ({"families/f.yml": "families:\n"}, "MF202", "families/f.yml:1:"),
    "a mapping for families": ({"families/f.yml": "families: {f: {}}\n"}, "MF202", "families/f.yml:1:11"),
    "a table for families": ({"families/f.toml": "[families.f]\n"}, "MF202", "families/f.toml:1"),
    "a number as a name": (yaml("name: f", "name: 5"), "MF202", "families/f.yml:2:9"),
    "a number as a name in TOML": (toml('name = "f"', "name = 5"), "MF202", "families/f.toml:2:8"),
    "a name with blanks": (yaml("name: f", "name: a b"), "MF202", "families/f.yml:2:9"),
    "a name that leaves the store": (yaml("name: f", "name: ../f"), "MF202", "families/f.yml:2:9"),
    "a missing key": (yaml("  group_by: [k]\n", ""), "MF202", "families/f.yml:2:3"),
    "a missing key in TOML": (toml('group_by = ["k"]\n', ""), "MF202", "families/f.toml:1:1"),
    "no group columns": (yaml("[k]", "[]"), "MF202", "families/f.yml:3:13"),
    "text for a number": (yaml("label: y", "seed: many"), "MF202", "families/f.yml:6:9"),
    "no as a number": (yaml("label: y", "seed: no"), "MF202", "families/f.yml:6:9"),
    "an unknown source": (yaml("source: s", "source: t"), "MF207", "families/f.yml:4:11"),
    "an unknown source in TOML": (toml('"s"', '"t"'), "MF207", "families/f.toml:4:10"),
    "an unknown estimator": (yaml("Ridge", "Rigde"), "MF205", "families/f.yml:7:14"),
    "an unknown estimator in TOML": (toml('"Ridge"', '"Rigde"'), "MF205", "families/f.toml:7:13"),
    "an unknown estimator in full": (yaml("Ridge", "{class: sklearn.svm.SVX}"), "MF205", "families/f.yml:7:22"),
    "a foreign estimator": (yaml("Ridge", "{class: os.system}"), "MF205", "families/f.yml:7:22"),
    "an unknown parameter": (yaml("Ridge", "{class: Ridge, params: {alfa: 1}}"), "MF203", "families/f.yml:7:38"),
    "an unknown parameter in TOML": (
        toml('"Ridge"', '{ class = "Ridge", params = { alfa = 1 } }'),
        "MF203",
        "families/f.toml:7:43",
    ),
    "an unknown parameter in a table": (
        toml('estimator = "Ridge"', '[families.estimator]\nclass = "Ridge"\nparams.alfa = 1'),
        "MF203",
        "families/f.toml:9:",
    ),
    "an ill-typed parameter": (yaml("Ridge", "{class: Ridge, params: {alpha: x}}"), "MF204", "families/f.yml:7:45"),
    "an ill-typed parameter in TOML": (
        toml('"Ridge"', '{ class = "Ridge", params = { alpha = "x" } }'),
        "MF204",
        "families/f.toml:7:51",
    ),
    "a list for parameters": (yaml("Ridge", "{class: Ridge, params: [1]}"), "MF202", "families/f.yml:7:37"),
    "an unknown metric": (
        yaml("label: y", "label: y\n  evaluate: {folds: 3, metrics: [rsme]}"),
        "MF212",
        "families/f.yml:7:34",
    ),
    "a key column named like an outcome": (yaml("[k]", "[k, status]"), "MF208", "families/f.yml:3:17"),
    "a key column named like an outcome in TOML": (toml('["k"]', '["n_rows"]'), "MF208", "families/f.toml:3:13"),
    "an unknown variable": (yaml("label: y", "label: ${var:y}"), "MF209", "families/f.yml:6:10"),
    "an unset environment variable": (yaml("label: y", "label: '${env:NO_SUCH}'"), "MF209", "families/f.yml:6:10"),
    "a bad template": (yaml("source: s", "sql: select {{ 1 +"), "MF210", "families/f.yml:4:8"),
    "a missing query file": (yaml("source: s", "sql_file: gone.sql"), "MF103", "families/f.yml:4:13"),
    "two inputs": (yaml("label: y", "sql: select 1"), "MF202", "families/f.yml:6:3"),
    "no estimator": (yaml("  estimator: Ridge\n", ""), "MF202", "families/f.yml:2:3"),
    "an anchor to nothing": (yaml("Ridge", "*gone"), "MF105", "families/f.yml:7:14"),
    "a python object": (yaml("Ridge", "!!python/name:os.system"), "MF105", "families/f.yml:7:14"),
    "windows line ends": (
        {"families/f.yml": YAML.replace("label", "lable").replace("\n", "\r\n")},
        "MF201",
        "families/f.yml:6:3",
    ),
    "unicode": (yaml("label", "größe"), "MF201", "families/f.yml:6:3"),
    "a source without a place": ({"sources/s.yml": "sources: [{name: s}]\n"}, "MF202", "sources/s.yml:1:11"),
    "an unknown target": ({"mf_project.yml": "name: p\ntarget: gone\n"}, "MF213", "mf_project.yml:2:9"),
    "a missing family folder": ({"mf_project.yml": "name: p\nfamily_paths: [gone]\n"}, "MF103", "mf_project.yml:2:16"),
    "an unknown key of the project": ({"mf_project.yml": "name: p\nfamily_path: []\n"}, "MF201", "mf_project.yml:2:1"),
    "an unknown key of a TOML project": ({"mf_project.toml": "name = 'p'\nvar = {}\n"}, "MF201", "mf_project.toml:2:1"),
    "a project without a name": ({"mf_project.yml": "version: 1\n"}, "MF202", "mf_project.yml"),
    "an empty project file": ({"mf_project.yml": ""}, "MF104", "mf_project.yml"),
    "bad defaults": ({"mf_project.yml": "name: p\ndefaults: {ownr: x}\n"}, "MF201", "mf_project.yml:2:12"),
    "bad folder defaults": ({"families/_defaults.toml": "seed = 'x'\n"}, "MF202", "families/_defaults.toml:1:8"),
    "bad profiles": ({"profiles.yml": "targets: {local: {stor: x}}\n"}, "MF201", "profiles.yml:1:19"),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the project is written."""
    return tmp_path / "project"


def bad_project(folder: Path, files: dict[str, str]) -> Path:
    base = {"sources/s.yml": SOURCE}
    if not any(name.startswith("families/f.") for name in files):
        base["families/f.yml"] = YAML
    return write_project(folder, {**base, **files})


@pytest.mark.parametrize(("files", "code", "place"), BAD.values(), ids=BAD.keys())
def test_a_bad_file_is_one_clear_message_and_nothing_is_written(
    mf: Runner, folder: Path, files: dict[str, str], code: str, place: str
) -> None:
    bad_project(folder, files)
    before = sorted(folder.rglob("*"))
    refused(mf("build", "--project-dir", folder), code, place)
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("command", [["parse"], ["compile"], ["ls"], ["show", "f"], ["ls", "--groups", "f"], ["build"]])
def test_every_command_says_the_same(mf: Runner, folder: Path, command: list[str]) -> None:
    bad_project(folder, yaml("label", "lable"))
    refused(mf(*command, "--project-dir", folder), "MF201", "families/f.yml:6:3")
    assert not (folder / "target").exists()
    assert not (folder / "store").exists()


@pytest.mark.parametrize("extension", ["yml", "toml"])
def test_a_family_name_may_stand_once_in_yaml_and_toml_together(mf: Runner, folder: Path, extension: str) -> None:
    second = YAML if extension == "yml" else TOML
    bad_project(folder, {"families/f.yml": YAML, f"families/g.{extension}": second})
    result = mf("build", "--project-dir", folder)
    refused(result, "MF206", f"families/g.{extension}:2:{9 if extension == 'yml' else 8}")
    assert "note: the other one\n  --> families/f.yml:2:" in result.stderr


# Where there is no file ------------------------------------------------------------------------------------------


def test_a_missing_folder(mf: Runner, folder: Path) -> None:
    refused(mf("build", "--project-dir", folder), "MF101", None)
    assert not folder.exists()


def test_a_file_for_a_folder(mf: Runner, folder: Path) -> None:
    folder.touch()
    refused(mf("build", "--project-dir", folder), "MF101", None)


def test_a_folder_without_a_project_file(mf: Runner, folder: Path) -> None:
    folder.mkdir()
    result = mf("build", "--project-dir", folder)
    refused(result, "MF101", None)
    assert "mf init" in result.stderr
    assert list(folder.iterdir()) == []


def test_two_project_files(mf: Runner, folder: Path) -> None:
    write_project(folder, {"mf_project.yml": "name: p\n", "mf_project.toml": "name = 'p'\n"})
    refused(mf("build", "--project-dir", folder), "MF102", None)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that even root cannot read")
@pytest.mark.parametrize("name", ["families/f.yml", "families/g.toml", "mf_project.yml", "sources/s.yml"])
def test_an_unreadable_file(mf: Runner, folder: Path, name: str) -> None:
    bad_project(folder, {})
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to("/proc/self/mem")
    refused(mf("build", "--project-dir", folder), "MF103", name)


def test_a_link_to_nothing_is_unreadable_and_not_passed_over(mf: Runner, folder: Path) -> None:
    bad_project(folder, {})
    (folder / "families" / "g.yml").symlink_to(folder / "gone.yml")
    refused(mf("parse", "--project-dir", folder), "MF103", "families/g.yml")


@pytest.mark.parametrize("name", ["f.yml", "f.toml"])
def test_a_file_that_is_not_utf8(mf: Runner, folder: Path, name: str) -> None:
    bad_project(folder, {f"families/{name}": "x"})
    (folder / "families" / name).write_bytes(b"# caf\xe9\n")
    refused(mf("build", "--project-dir", folder), "MF103", f"families/{name}")


# Options ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["a", "[1]", "{a: 1", "a=1", "{a: 1, a: 2}"])
def test_bad_variables(mf: Runner, folder: Path, value: str) -> None:
    result = mf("build", "--project-dir", bad_project(folder, {}), "--vars", value)
    assert result.exit_code == 2
    assert "--vars" in result.stderr
    assert not (folder / "store").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["build", "-s", "tga:x"],
        ["build", "--target", "gone"],
        ["build", "--profiles-dir", "/no/such/folder"],
        ["build", "--nope"],
        ["build", "--threads", "0"],
        ["build", "--threads", "many"],
        ["ls", "--output", "xml"],
        ["ls", "--where", "x = 1"],
        ["ls", "--groups", "gone"],
        ["ls", "--output", "json", "--output-keys", "nme"],
        ["show", "gone"],
        ["show"],
        ["nope"],
    ],
    ids=" ".join,
)
def test_bad_options_end_with_2_and_a_message(mf: Runner, folder: Path, arguments: list[str]) -> None:
    place = [] if arguments == ["nope"] else ["--project-dir", str(bad_project(folder, {}))]
    result = mf(*arguments, *place)
    assert isinstance(result.exception, SystemExit)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr
    assert not (folder / "store").exists()


def test_a_selection_of_nothing_ends_with_4(mf: Runner, folder: Path) -> None:
    bad_project(folder, {})
    for command in ("compile", "build"):
        result = mf(command, "--project-dir", folder, "-s", "ff")
        assert (result.exit_code, result.stdout) == (4, "")
        assert "did you mean `f`?" in result.stderr
    assert mf("ls", "--project-dir", folder, "-s", "ff").exit_code == 0


def test_an_empty_selection_is_told_as_such(mf: Runner, folder: Path) -> None:
    result = mf("compile", "--project-dir", bad_project(folder, {}), "-s", "")
    assert "excluded" not in result.stderr


# All at once -----------------------------------------------------------------------------------------------------


def test_all_mistakes_come_in_one_pass_and_are_counted(mf: Runner, folder: Path) -> None:
    bad_project(
        folder,
        {
            "families/f.yml": YAML.replace("label", "lable"),
            "families/g.toml": TOML.replace('"f"', '"g"').replace("Ridge", "Rigde"),
            "families/h.yml": YAML.replace("name: f", "name: h").replace("source: s", "source: t"),
            "families/i.yml": "families: [\n",
        },
    )
    result = mf("parse", "--project-dir", folder)
    assert result.exit_code == 2
    assert re.findall(r"--> (families/\w\.\w+)", result.stderr) == [
        "families/f.yml",
        "families/g.toml",
        "families/h.yml",
        "families/i.yml",
    ]
    assert "4 errors" in result.stderr


def test_a_message_reads_like_rustc(mf: Runner, folder: Path) -> None:
    files = yaml("Ridge", "\n    class: RandomForestRegressor\n    params: {max_dept: 12}")
    result = mf("parse", "--project-dir", bad_project(folder, files))
    assert result.stderr == (
        "error[MF203]: unknown parameter `max_dept` of RandomForestRegressor\n"
        "  --> families/f.yml:9:14\n"
        "  |\n"
        "9 |     params: {max_dept: 12}\n"
        "  |              ^^^^^^^^\n"
        "help: did you mean `max_depth`? (int >= 1 or null, default null)\n"
    )


def test_messages_may_be_json_lines(mf: Runner, folder: Path) -> None:
    result = mf("parse", "--project-dir", bad_project(folder, yaml("label", "lable")), "--log-format", "json")
    (event,) = [json.loads(line) for line in result.stderr.splitlines()]
    assert (event["code"], event["file"], event["line"], event["column"]) == ("MF201", "families/f.yml", 6, 3)


def test_quiet_still_tells_mistakes(mf: Runner, folder: Path) -> None:
    refused(mf("parse", "--quiet", "--project-dir", bad_project(folder, yaml("label", "lable"))), "MF201", "families/f")


def test_debug_shows_the_traceback_too(mf: Runner, folder: Path) -> None:
    result = mf("parse", "--debug", "--project-dir", bad_project(folder, yaml("label", "lable")))
    assert result.exit_code == 2
    assert "Traceback" in result.stderr
    assert "error[MF201]" in result.stderr


# Odd files are never a crash ------------------------------------------------------------------------------------


ODD: dict[str, dict[str, str | bytes]] = {
    "infinite numbers": {"families/f.yml": YAML + "  timeout: .INF\n"},
    "not a number": {"families/f.yml": YAML + "  timeout: .NAN\n"},
    "a tag that lies": {"families/f.yml": YAML + "  seed: !!int abc\n"},
    "a very long number": {"families/f.yml": YAML + f"  seed: {'9' * 5000}\n"},
    "a very long number in TOML": {"families/f.toml": TOML + f"seed = {'9' * 5000}\n"},
    "an alias inside itself": {"families/f.yml": YAML + "  meta: &m {a: *m}\n"},
    "aliases upon aliases": {
        "families/f.yml": "families:\n"
        + YAML.removeprefix("families:\n")
        + "  meta:\n    a0: &a0 [x]\n"
        + "".join(f"    a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 12))
    },
    "deep nesting": {"families/f.yml": YAML + f"  meta: {{a: {'[' * 5000}{']' * 5000}}}\n"},
    "deep nesting in TOML": {"families/f.toml": TOML + f"meta = {{a = {'[' * 5000}{']' * 5000}}}\n"},
    "deep parameters": {"families/f.yml": YAML.replace("Ridge", "{class: Ridge, params: {alpha: [[[[{a: [1]}]]]]}}")},
    "nested null parameters": {
        "families/f.yml": YAML.replace(
            "Ridge", "{class: BaggingRegressor, params: {estimator: {class: Ridge, params: }}}"
        )
    },
    "bytes": {"families/f.yml": YAML + "  meta: {a: !!binary aGVsbG8=}\n"},
    "a moment": {"families/f.yml": YAML + "  meta: {a: !!timestamp 2020-01-01}\n"},
    "a set": {"families/f.yml": YAML + "  meta: {a: !!set {x, y}}\n"},
    "a date": {"families/f.toml": TOML + "meta = {a = 2020-01-01, b = 07:30:00}\n"},
    "control characters": {"families/f.yml": YAML + "  owner: \x07\n"},
    "nothing but a mark": {"families/f.yml": b"\xef\xbb\xbf"},
    "a byte order mark in TOML": {"families/f.toml": b"\xef\xbb\xbf" + TOML.encode()},
    "keys of all kinds": {"families/f.yml": YAML + "  meta: {1: a, true: b, null: c, 1.5: d}\n"},
    "a template without end": {
        "families/f.yml": YAML.replace("source: s", "sql: '{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}'")
    },
    "a bad format in a template": {"families/f.yml": YAML.replace("source: s", "sql: \"{{ '{} {}'.format(1) }}\"")},
    "a seed beyond all bounds": {"families/f.yml": YAML + "  seed: 999999999999999999999999999\n"},
    "an empty class": {"families/f.yml": YAML.replace("Ridge", "''")},
    "dots for a class": {"families/f.yml": YAML.replace("Ridge", "'..'")},
    "a module for a class": {"families/f.yml": YAML.replace("Ridge", "sklearn.linear_model")},
    "a package for a class": {"families/f.yml": YAML.replace("Ridge", "'sklearn.'")},
}


@pytest.mark.parametrize("files", ODD.values(), ids=ODD.keys())
def test_an_odd_file_is_read_or_refused_but_never_a_crash(
    mf: Runner, folder: Path, files: dict[str, str | bytes]
) -> None:
    write_project(folder, {"sources/s.yml": SOURCE, "families/.keep": ""})
    for name, content in files.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    result = mf("compile", "--project-dir", folder)
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    assert result.exit_code in (0, 2)
    assert (result.exit_code == 2) == ("error[MF" in result.stderr)


# Secrets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "files",
    [
        {"profiles.yml": "targets: {local: {store: hunter2, conf: [hunter2]}}\n"},
        {"profiles.yml": "targets: {local: {store: hunter2, conf: {a: ${env:TOKEN}}}}\nhunter2\n"},
        {"profiles.toml": "[targets.local]\nstore = hunter2\n"},
        {"families/f.yml": YAML.replace("Ridge", "${env:TOKEN}")},
        {"families/f.yml": YAML.replace("source: s", "source: ${env:TOKEN}")},
        {"families/f.yml": YAML.replace("source: s", "sql: \"select {{ env_var('TOKEN') }} from {{ nope }}\"")},
        {"families/f.yml": YAML.replace("source: s", "sql: \"select {{ env_var('TOKEN') | upper }} as k\"")},
        {"mf_project.yml": "name: p\ntarget: ${env:TOKEN}\n"},
        {"mf_project.yml": "name: p\nfamily_paths: ['${env:TOKEN}']\n"},
        {"mf_project.yml": "name: ${env:TOKEN}!\n"},
    ],
    ids=str,
)
def test_secrets_are_neither_shown_nor_written(mf: Runner, folder: Path, files: dict[str, str]) -> None:
    result = mf("compile", "--project-dir", bad_project(folder, files))
    assert "hunter2" not in (result.stdout + result.stderr).lower()
    for file in (folder / "target").rglob("*"):
        assert file.is_dir() or "hunter2" not in file.read_text(encoding="utf-8").lower()


def test_a_plan_with_secrets_shows_references_only(mf: Runner, folder: Path) -> None:
    files: dict[str, Any] = {
        "sources/s.yml": "sources: [{name: s, path: x, options: {password: '${env:TOKEN}'}}]\n",
        "families/f.yml": YAML.replace("  label", "  where: a = '${env:TOKEN}'\n  label"),
        "profiles.yml": "targets: {local: {store: store, conf: {spark.password: '${env:TOKEN}'}}}\n",
    }
    result = mf("compile", "--project-dir", write_project(folder, files))
    assert result.exit_code == 0
    assert "password=${env:TOKEN}" in result.stdout
    written = "".join(f.read_text(encoding="utf-8") for f in (folder / "target" / "compiled").iterdir())
    assert "hunter2" not in result.stdout + result.stderr + written


# As a process ----------------------------------------------------------------------------------------------------


def test_the_process_itself_ends_with_2_and_without_a_traceback(tmp_path: Path, folder: Path) -> None:
    bad_project(folder, yaml("label", "lable"))
    (folder / "families" / "deeper").mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "modelfactory", "build"],
        cwd=folder / "families" / "deeper",
        env={**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error[MF201]: unknown key `lable`\n  --> families/f.yml:6:3\n")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "near"),
    [
        (("ls", "--output", "jsno"), "Did you mean 'json'?"),
        (("parse", "--diagnostics", "githb"), "Did you mean 'github'?"),
        (("parsee",), "Did you mean 'parse'?"),
        (("ls", "--selct", "f"), "--select"),
    ],
)
def test_a_misspelt_word_of_the_command_line_gets_the_nearest(
    mf: Runner, folder: Path, arguments: tuple[str, ...], near: str
) -> None:
    result = mf(*arguments)
    assert result.exit_code == 2
    assert near in " ".join(re.sub(r"[│╭╮╰╯─]", "", result.stderr).split())


def test_what_is_wrong_in_a_file_hides_no_other_mistake_of_the_family(mf: Runner, folder: Path) -> None:
    wrong = YAML.replace("label", "lable").replace("source: s", "soruce: s").replace("[k]", "[status]")
    wrong = wrong.replace("Ridge", "{class: Ridge, params: {alfa: 1}}") + "  evaluate: {folds: 3, metrics: [rsme]}\n"
    result = mf("parse", "--project-dir", bad_project(folder, {"families/f.yml": wrong}))
    found = re.findall(r"^error\[(MF\d+)\]", result.stderr, re.MULTILINE)
    assert found == ["MF208", "MF201", "MF201", "MF203", "MF212"], result.stderr


def test_nothing_is_said_of_what_stands_in_for_wrong_values(mf: Runner, folder: Path) -> None:
    files = yaml("  group_by: [k]\n  source: s\n  features: [x]\n", "  group_by: {}\n  features: {}\n  sql: 5\n")
    result = mf("parse", "--project-dir", bad_project(folder, files))
    refused(result, "MF202", None, errors=3)
