"""`--log-format json` of the real command: each line of stderr is one event with the same keys, stdout is data only."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime, timedelta
from typing import Any

import pytest
from support import FAMILY_YAML, ONE_ROW, PROJECTS, _cache, write_project

from modelfactory.cli.app import app

GAPMINDER = str(PROJECTS / "gapminder")
KEYS = ["time", "level", "event", "message", "run_id"]


def mf(*arguments: str, code: int = 0) -> tuple[str, list[dict[str, Any]]]:
    """Run `mf`; return stdout, and the events on stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "modelfactory", *arguments, "--log-format", "json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, **_cache()},
    )
    assert done.returncode == code, done.stderr
    events = [json.loads(line) for line in done.stderr.splitlines()]
    for event in events:
        assert list(event)[: len(KEYS)] == KEYS
        assert event["level"] in {"info", "warning", "error"}
        assert datetime.fromisoformat(event["time"]).utcoffset() == timedelta(0)
    return done.stdout, events


def told(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(event["level"], event["event"]) for event in events]


def test_every_mistake_of_a_project_is_an_event(tmp_path):
    write_project(tmp_path, {**ONE_ROW, "families/f.yml": FAMILY_YAML.replace("label", "lable")})
    write_project(tmp_path, {"families/g.yml": FAMILY_YAML.replace("name: f", "name: g").replace("Ridge", "Rigde")})
    out, events = mf("build", "--project-dir", str(tmp_path), code=2)
    assert out == ""
    assert told(events) == [("error", "diagnostic")] * len(events)
    places = [(e["code"], e["file"], e["line"], e["column"]) for e in events]
    assert places == [("MF201", "families/f.yml", 6, 3), ("MF205", "families/g.yml", 7, 14)]
    assert events[1]["help"] == "did you mean `Ridge`?"
    assert not (tmp_path / "target").exists()


def test_a_mistake_without_a_place_is_an_event_with_the_same_keys(tmp_path):
    _, (event,) = mf("parse", "--project-dir", str(tmp_path / "nowhere"), code=2)
    assert list(event) == [*KEYS, "code", "file", "line", "column", "help"]
    assert (event["code"], event["file"], event["line"]) == ("MF101", None, None)


def test_with_debug_the_traceback_is_in_an_event(tmp_path):
    _, events = mf("parse", "--debug", "--project-dir", str(tmp_path / "nowhere"), code=2)
    assert told(events) == [("error", "traceback"), ("error", "diagnostic")]
    assert "Traceback" in events[0]["traceback"]


def test_data_goes_to_stdout_and_warnings_to_stderr():
    out, events = mf("ls", "-s", "life_exp_by_country nothing", "-o", "name", "--project-dir", GAPMINDER)
    assert out == "life_exp_by_country\n"
    assert told(events) == [("warning", "diagnostic")]
    assert mf("ls", "-s", "nothing", "-o", "name", "--quiet", "--project-dir", GAPMINDER) == ("", [])


def test_what_is_well_is_an_event():
    out, (event,) = mf("parse", "--project-dir", GAPMINDER)
    assert out == ""
    assert (event["level"], event["event"], event["run_id"]) == ("info", "note", None)


@pytest.mark.parametrize(
    "arguments",
    [("build", "--threads", "0"), ("ls", "--wehre", "x"), ("ls", "--where", "x"), ("show",), ("biuld",)],
    ids=" ".join,
)
def test_wrong_usage_is_an_event(arguments):
    out, events = mf(*arguments, code=2)
    assert out == ""
    assert told(events) == [("error", "usage")]


def test_a_fault_of_mf_and_the_words_of_libraries_are_events(monkeypatch, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import logging, warnings\n"
        "import modelfactory.commands.workspace as workspace\n"
        "def fail(*_, **__):\n"
        "    warnings.warn('outdated', DeprecationWarning, stacklevel=1)\n"
        "    logging.getLogger('some.library').error('broken')\n"
        "    raise ZeroDivisionError('by zero')\n"
        "workspace.open_workspace = fail\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ["PYTHONPATH"]]))
    monkeypatch.setenv("PYTHONWARNINGS", "default")
    _, events = mf("parse", "--project-dir", GAPMINDER, code=1)
    assert told(events) == [("warning", "library"), ("error", "library"), ("error", "traceback")]
    assert (events[1]["logger"], events[1]["message"]) == ("some.library", "broken")
    assert events[2]["message"] == "ZeroDivisionError: by zero"


def test_every_command_takes_the_option():
    import typer

    commands: Any = typer.main.get_command(app)
    for name, command in commands.commands.items():
        assert any("--log-format" in option.opts for option in command.params), name
