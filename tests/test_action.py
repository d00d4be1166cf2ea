"""The steps of `action.yml`, run in a shell as GitHub runs them: a real repository, and a `gh` that remembers."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from repositories import commit, environment, git, program
from support import FAMILY_YAML, ROOT

ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
STEPS: dict[str, dict[str, Any]] = {step["name"]: step for step in ACTION["runs"]["steps"]}
REVIEW, COMMENT, INSTALL = "Check the project and compare it", "Keep the comment up to date", "Install mf"
PROJECT = {
    "models/mf_project.yml": "name: demo\n",
    "models/sources/s.yml": "sources: [{name: s, path: rows.csv, format: csv}]\n",
    "models/families/f.yml": FAMILY_YAML,
}
RECORDING = """\
printf '%s\\n' "$@" | sed 's/^/  /' >> "$CALLS"
echo "- $(basename "$0")" >> "$CALLS"
"""
STAND_IN = f"""{RECORDING}
if [[ "$1" == diff ]]; then
  [[ -z "${{DIFF_FAILS:-}}" ]] || exit 2
  echo '## What changes'
  echo "${{BODY:-one family}}"
  exit "${{CHANGES:-3}}"
fi
"""
"""A `mf` that only remembers how it was called."""
GH = f"""{RECORDING}
[[ "$GH_TOKEN" == secret-token ]] || exit 4
for word in "$@"; do
  case "$word" in
    --method) method=1 ;;
    --jq) query=1 ;;
    body=@*) cp "${{word#body=@}}" "$BODIES/body-$(ls "$BODIES" | wc -l).md" ;;
    *) [[ -z "${{query:-}}" || -n "${{filter:-}}" ]] || filter="$word" ;;
  esac
done
if [[ -n "${{method:-}}" ]]; then
  [[ -z "${{READ_ONLY:-}}" ]] || {{ echo 'HTTP 403: Resource not accessible by integration' >&2; exit 1; }}
else
  jq --raw-output "$filter" < "$COMMENTS"
fi
"""
"""A `gh` that has comments to list and keeps what it is told to write."""


@dataclass(frozen=True)
class Runner:
    """What runs steps: a checkout, and what is known of the event."""

    folder: Path
    env: dict[str, str]
    context: dict[str, str]

    @property
    def checkout(self) -> Path:
        return self.folder / "checkout"

    def run(self, name: str, inputs: Mapping[str, str] = {}, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a step by its name, as `shell: bash` does."""
        defaults = {key: str(value.get("default", "")) for key, value in ACTION["inputs"].items()}
        known = {**self.context, **{f"inputs.{key}": value for key, value in {**defaults, **inputs}.items()}}
        step = STEPS[name]
        values = {key: evaluated(str(value), known) for key, value in step["env"].items()}
        script = self.folder / "step.sh"
        script.write_text(step["run"], encoding="utf-8")
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", script],
            cwd=self.checkout,
            env={**self.env, **values, **env},
            capture_output=True,
            text=True,
            check=False,
        )

    def git(self, *words: str) -> str:
        return git(self.checkout, *words, env=self.env)

    def calls(self) -> str:
        return (self.folder / "calls").read_text(encoding="utf-8")

    def summary(self) -> str:
        return (self.folder / "summary.md").read_text(encoding="utf-8")

    def bodies(self) -> list[str]:
        return [file.read_text(encoding="utf-8") for file in sorted((self.folder / "bodies").iterdir())]

    def has_comments(self, *comments: Mapping[str, Any]) -> None:
        (self.folder / "comments.json").write_text(json.dumps(comments), encoding="utf-8")


def evaluated(text: str, known: Mapping[str, str]) -> str:
    """Evaluate the expressions of a step's environment: names, and the first of several that is not empty."""

    def value_of(found: re.Match[str]) -> str:
        return next((value for name in found[1].split("||") if (value := known[name.strip()])), "")

    return re.sub(r"\$\{\{(.*?)\}\}", value_of, text)


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    """A pull request's checkout of one commit, whose base is only at its origin."""
    env = environment(
        tmp_path / "bin",
        GITHUB_ACTION_PATH=str(ROOT),
        GITHUB_REPOSITORY="team/models",
        GITHUB_SERVER_URL="https://github.example",
        GITHUB_RUN_ID="77",
        GITHUB_STEP_SUMMARY=str(tmp_path / "summary.md"),
        RUNNER_TEMP=str(tmp_path),
        CALLS=str(tmp_path / "calls"),
        BODIES=str(tmp_path / "bodies"),
        COMMENTS=str(tmp_path / "comments.json"),
    )
    program(tmp_path / "bin/gh", GH)
    (tmp_path / "bodies").mkdir()
    (tmp_path / "comments.json").write_text("[]", encoding="utf-8")
    origin = tmp_path / "origin"
    base = commit(origin, PROJECT, env=env)
    git(origin, "switch", "--quiet", "--create", "change", env=env)
    commit(origin, {"models/families/f.yml": FAMILY_YAML.replace("Ridge", "Lasso")}, env=env)
    git(tmp_path, "clone", "--quiet", "--depth=1", "--branch=change", f"file://{origin}", "checkout", env=env)
    context = {"github.token": "secret-token", "github.event.pull_request.base.sha": base}
    return Runner(tmp_path, env, {**context, "github.event.pull_request.number": "5"})


@pytest.fixture
def stand_in(runner: Runner) -> Runner:
    """The same, with a `mf` that only remembers how it was called."""
    program(runner.folder / "bin/mf", STAND_IN)
    return runner


INPUTS = {"project-dir": "models", "token": "secret-token"}


def test_nothing_of_an_event_is_written_into_a_script() -> None:
    for step in STEPS.values():
        assert "${{" not in step.get("run", "")
        assert step.get("uses", "actions/setup-python@v5") == "actions/setup-python@v5"
    assert evaluated("${{ a || b }}", {"a": "", "b": "x"}) == "x"


def test_the_project_is_checked_and_compared_with_the_base(stand_in: Runner) -> None:
    done = stand_in.run(REVIEW, INPUTS)
    assert (done.returncode, done.stderr) == (0, "")
    base = stand_in.context["github.event.pull_request.base.sha"]
    parse, diff = (call.split() for call in stand_in.calls().split("- mf\n")[:2])
    assert parse == ["parse", "--project-dir", "models", "--diagnostics", "github"]
    assert diff == ["diff", "--project-dir", "models", "--output", "markdown", "--detailed-exitcode", base]
    assert stand_in.summary() == "## What changes\none family\n"
    assert stand_in.git("cat-file", "-t", base) == "commit"


def test_the_base_may_be_a_branch_and_warnings_errors(stand_in: Runner) -> None:
    assert stand_in.run(REVIEW, {**INPUTS, "base": "main", "warn-error": "true"}).returncode == 0
    parse, diff = (call.split() for call in stand_in.calls().split("- mf\n")[:2])
    assert parse[-1] == "--warn-error"
    assert diff[-1] == stand_in.context["github.event.pull_request.base.sha"]


def test_a_base_that_does_not_exist_is_an_error(stand_in: Runner) -> None:
    for base in ("no-such-branch", "--upload-pack=touch hacked", "$(touch hacked)"):
        done = stand_in.run(REVIEW, {**INPUTS, "base": base})
        assert done.returncode == 2
        assert "::error::mf cannot find the base" in done.stdout
    assert not list(stand_in.folder.rglob("hacked"))


def test_outside_of_a_pull_request_nothing_is_compared(stand_in: Runner) -> None:
    stand_in.context["github.event.pull_request.base.sha"] = ""
    done = stand_in.run(REVIEW, INPUTS)
    assert done.returncode == 0
    assert "::notice::" in done.stdout
    assert "diff" not in stand_in.calls()


def test_what_cannot_be_compared_fails_the_job_and_is_told_in_the_comment(stand_in: Runner) -> None:
    assert stand_in.run(REVIEW, INPUTS, DIFF_FAILS="1").returncode == 2
    assert "cannot be compared" in stand_in.summary()
    assert stand_in.run(COMMENT, INPUTS).returncode == 0
    assert "cannot be compared" in stand_in.bodies()[0]


def test_the_real_review_of_a_change_and_of_a_mistake(runner: Runner) -> None:
    done = runner.run(REVIEW, INPUTS)
    assert done.returncode == 0, done.stderr
    assert "| `estimator.class` | `sklearn.linear_model.Ridge` | `sklearn.linear_model.Lasso` |" in runner.summary()
    family = runner.checkout / "models/families/f.yml"
    family.write_text(family.read_text().replace("label", "lable"), encoding="utf-8")
    done = runner.run(REVIEW, INPUTS, GITHUB_WORKSPACE=str(runner.checkout))
    assert done.returncode == 2
    assert "::error file=models/families/f.yml,line=6,col=3,endColumn=8,title=MF201::unknown key `lable`" in done.stdout
    assert "cannot be compared" in runner.summary()


def test_where_nothing_changes_no_comment_is_begun(stand_in: Runner) -> None:
    stand_in.run(REVIEW, INPUTS, CHANGES="0")
    assert stand_in.run(COMMENT, INPUTS).returncode == 0
    assert stand_in.bodies() == []
    bot = {"user": {"type": "Bot"}, "author_association": "NONE"}
    stand_in.has_comments({"id": 4, "body": "<!-- mf-diff: models -->\nold", **bot})
    assert stand_in.run(COMMENT, INPUTS).returncode == 0
    assert len(stand_in.bodies()) == 1


def test_the_comment_is_written_once_and_then_kept_up_to_date(stand_in: Runner) -> None:
    stand_in.run(REVIEW, INPUTS)
    done = stand_in.run(COMMENT, INPUTS)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    first = stand_in.bodies()[0]
    assert first == "<!-- mf-diff: models -->\n## What changes\none family\n"
    assert "  POST\n  repos/team/models/issues/5/comments\n" in stand_in.calls()

    bot = {"user": {"type": "Bot"}, "author_association": "NONE"}
    stand_in.has_comments(
        {"id": 1, "body": first, "user": {"type": "User"}, "author_association": "CONTRIBUTOR"},
        {"id": 2, "body": first.replace("models", "others"), **bot},
        {"id": 3, "body": f"Look:\n{first}", **bot},
        {"id": 4, "body": first.replace("\n", "\r\n"), **bot},
    )
    stand_in.run(REVIEW, INPUTS, BODY="two families")
    assert stand_in.run(COMMENT, INPUTS).returncode == 0
    assert "two families" in stand_in.bodies()[1]
    assert "  PATCH\n  repos/team/models/issues/comments/4\n" in stand_in.calls()
    assert stand_in.calls().count("  POST\n") == 1


def test_a_token_that_may_only_read_is_a_warning(stand_in: Runner) -> None:
    stand_in.run(REVIEW, INPUTS)
    done = stand_in.run(COMMENT, INPUTS, READ_ONLY="1")
    assert done.returncode == 0
    assert done.stdout.startswith("::warning::")
    done = stand_in.run(COMMENT, {**INPUTS, "token": "other-secret"})
    assert done.returncode == 0
    assert done.stdout.startswith("::warning::")
    assert "secret" not in done.stdout + done.stderr + stand_in.calls()


def test_a_text_too_long_for_a_comment_is_in_the_summary(stand_in: Runner) -> None:
    stand_in.run(REVIEW, INPUTS, BODY="x" * 70_000)
    assert stand_in.run(COMMENT, INPUTS).returncode == 0
    (body,) = stand_in.bodies()
    assert body.startswith("<!-- mf-diff: models -->\n## What changes\n")
    assert "https://github.example/team/models/actions/runs/77" in body
    assert len(body) < 1_000
    assert "x" * 70_000 in stand_in.summary()


def test_mf_is_installed_as_the_workflow_says_or_from_the_action(stand_in: Runner) -> None:
    for name in ("python", "uv"):
        program(stand_in.folder / "bin" / name, RECORDING)
    assert stand_in.run(INSTALL).returncode == 0
    assert stand_in.run(INSTALL, {"install": 'uv pip install "mf  x"'}).returncode == 0
    calls = [call.splitlines() for call in stand_in.calls().split("- ")]
    assert [word.strip() for word in calls[0]] == ["-m", "pip", "install", "--quiet", str(ROOT)]
    assert [word.strip() for word in calls[1]] == ["python", "pip", "install", "mf  x"]
    assert stand_in.run(INSTALL, {"install": "false"}).returncode == 1
