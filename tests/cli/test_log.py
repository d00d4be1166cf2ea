"""`target/logs/mf.log` by itself: rotation, several writers, secrets, and a place that cannot be written."""

from __future__ import annotations

import json
import subprocess
import sys

from modelfactory.commands.events import Event, Events
from modelfactory.commands.logs import KEPT, Log
from modelfactory.diagnostics import Code, warning

CODE = """
import sys
from pathlib import Path
from modelfactory.commands import logs
from modelfactory.commands.events import Event
logs.MOST_BYTES = 60_000
log = logs.Log(Path(sys.argv[1]), shown_as={}, complain=sys.exit)
for n in range(400):
    log.write(Event(event="test", message="x" * 50, fields={"writer": sys.argv[2], "n": n}))
"""


def unwritten(why: str) -> None:
    raise AssertionError(why)


def test_several_builds_write_it_at_once_and_it_rotates(tmp_path):
    file = tmp_path / "logs/mf.log"
    writers = [subprocess.Popen([sys.executable, "-c", CODE, str(file), name]) for name in "abc"]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    files = sorted(file.parent.iterdir())
    assert 3 <= len(files) <= KEPT + 1
    found: dict[str, list[int]] = {name: [] for name in "abc"}
    for part in reversed(files):  # the oldest first
        text = part.read_text(encoding="utf-8")
        assert len(text) <= 60_000
        for line in text.splitlines():
            event = json.loads(line)
            found[event["writer"]].append(event["n"])
    assert found == {name: list(range(400)) for name in "abc"}


def test_a_log_that_cannot_be_written_is_told_once_and_costs_nothing(tmp_path):
    (tmp_path / "mf.log").mkdir()
    heard: list[Event] = []
    events = Events(heard.append)
    log = Log(
        tmp_path / "mf.log",
        shown_as={},
        complain=lambda why: events.warn([warning(Code.STORE, f"cannot write mf.log: {why}")]),
    )
    events.also(log.write)
    events.note("one")
    events.note("two")
    assert [event.message for event in heard] == ["one", "cannot write mf.log: Is a directory", "two"]


def test_what_is_secret_is_not_in_it_whatever_it_looks_like(tmp_path):
    secret = 'p"ä\\ss\nword'
    log = Log(tmp_path / "mf.log", shown_as={secret: "${env:TOKEN}"}, complain=unwritten)
    fields = {"error": f"no access with {secret}", "key": {"shop": secret}, "list": [secret, 1, float("nan"), None]}
    log.write(Event(event="test", message=f"token={secret}", outcome=secret, fields=fields))
    event = json.loads((tmp_path / "mf.log").read_text(encoding="utf-8"))
    assert event["message"] == "token=${env:TOKEN} [${env:TOKEN}]"
    assert event["error"] == "no access with ${env:TOKEN}"
    assert event["key"] == {"shop": "${env:TOKEN}"}
    assert event["list"] == ["${env:TOKEN}", 1, None, None]


def test_progress_is_told_now_and_then(monkeypatch):
    heard: list[Event] = []
    events, now = Events(heard.append), [100.0]
    monkeypatch.setattr("modelfactory.commands.events.time.monotonic", lambda: now[0])
    events.family_started(2, 3, "f")
    events.family_scheduled("f", 12, 10)
    for done, at in ((1, 101.0), (4, 111.0), (5, 112.0), (9, 130.0)):
        now[0] = at
        events.family_progress("f", done)
    told = [(event.message, event.fields["n_done"]) for event in heard if event.event == "family_progress"]
    assert told == [("2 of 3 family f: 4 of 10 groups", 4), ("2 of 3 family f: 9 of 10 groups", 9)]
