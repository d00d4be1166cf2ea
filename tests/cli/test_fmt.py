"""`mf fmt`: which files it writes, what it says, and how it ends."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from support import write_project
from typer.testing import CliRunner, Result

from modelfactory.cli.app import app

UGLY = "families:\n- label: y\n  name: f  # first\n"
FINE = "families:\n  - name: f  # first\n    label: y\n"


def mf(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["fmt", *map(str, arguments)])


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write_project(
        tmp_path / "project",
        {
            "mf_project.yml": 'name: demo\nfamily_paths: [families, "${var:more}"]\nvars: {more: extra}\n',
            "families/f.yml": UGLY,
            "families/deep/g.toml": '[[families]]\nlabel="y"\nname="g"\n',
            "families/_defaults.yml": "tags: [a]\nsource: s\n",
            "extra/h.yaml": UGLY.replace("f ", "h "),
            "sources/s.yml": "sources:\n- {path: p, name: s}\n",
            "selectors.yml": "selectors:\n- z: 1\n  a: 2\n",
            "profiles.yml": "targets:\n    t: {store: 'hunter2', master: local}\n",
            "other/ci.yml": "b:   1\na: 2\n",
        },
    )


def test_the_whole_project_is_written(project: Path) -> None:
    result = mf("--project-dir", project)
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "7 files reformatted, 1 left unchanged\n"
    assert (project / "families/f.yml").read_text() == FINE
    assert (project / "families/deep/g.toml").read_text() == '[[families]]\nname = "g"\nlabel = "y"\n'
    assert (project / "families/_defaults.yml").read_text() == "source: s\ntags: [a]\n"
    assert (project / "extra/h.yaml").read_text() == FINE.replace("f ", "h ")
    assert (project / "selectors.yml").read_text() == "selectors:\n  - z: 1\n    a: 2\n"
    assert (project / "profiles.yml").read_text() == "targets:\n  t: {master: local, store: hunter2}\n"
    assert (project / "other/ci.yml").read_text() == "b:   1\na: 2\n"
    again = mf("--project-dir", project)
    assert again.stderr == "0 files reformatted, 8 left unchanged\n"


def test_check_names_what_would_change_and_writes_nothing(project: Path) -> None:
    before = {file: file.read_bytes() for file in project.rglob("*.*ml")}
    result = mf("--check", "--project-dir", project)
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        f"would reformat: {name}"
        for name in (
            "extra/h.yaml",
            "families/_defaults.yml",
            "families/deep/g.toml",
            "families/f.yml",
            "profiles.yml",
            "selectors.yml",
            "sources/s.yml",
        )
    ]
    assert result.stderr == "7 files would be reformatted, 1 already formatted\n"
    assert {file: file.read_bytes() for file in project.rglob("*.*ml")} == before
    mf("--project-dir", project)
    assert mf("--check", "--project-dir", project).exit_code == 0


def test_diff_can_be_applied(project: Path) -> None:
    (project / "families/f.yml").write_bytes(UGLY.replace("\n", "\r\n").encode())
    (project / "families/_defaults.yml").write_text("tags: [a]\nsource: s")
    result = mf("--diff", "project/families", "project/extra")
    assert result.exit_code == 1
    assert "--- project/families/f.yml\n+++ project/families/f.yml\n" in result.stdout
    subprocess.run(["git", "apply", "-p0", "--include=*", "-"], input=result.stdout_bytes, check=True)
    assert (project / "families/f.yml").read_text() == FINE
    assert mf("--check", "project/families", "project/extra").exit_code == 0


def test_no_line_of_the_profiles_is_shown(project: Path) -> None:
    for option in ("--diff", "--check"):
        result = mf(option, "project/profiles.yml")
        assert result.exit_code == 1
        assert "profiles.yml" in result.stdout
        assert "hunter2" not in result.output
    (project / "profiles.yml").write_text("targets: {t: hunter2\n")
    result = mf("project")
    assert result.exit_code == 2
    assert "profiles.yml:2" in result.stderr
    assert "hunter2" not in result.output


def test_an_error_does_not_keep_the_rest_from_being_written(project: Path) -> None:
    (project / "families/bad.yml").write_text("families: [\n")
    (project / "families/twice.toml").write_text("a = 1\na = 2\n")
    result = mf("--project-dir", project)
    assert result.exit_code == 2
    assert "error[MF105]" in result.stderr
    assert "--> families/bad.yml:2:1" in result.stderr
    assert "error[MF106]" in result.stderr
    assert (project / "families/f.yml").read_text() == FINE
    assert mf("--check", "--project-dir", project).exit_code == 2


def test_a_file_that_cannot_be_formatted_is_left_with_a_warning(project: Path) -> None:
    text = "source:   s\nsql: |+\n  x\n\nlabel: y\n"
    (project / "families/_defaults.yml").write_text(text)
    result = mf("project/families/_defaults.yml")
    assert result.exit_code == 0
    assert "warning[MF107]: the file is left as it is: a text with `|+`" in result.stderr
    assert (project / "families/_defaults.yml").read_text() == text


def test_paths_choose_files_of_any_project(project: Path) -> None:
    write_project(project.parent / "second", {"families/f.yml": UGLY, "families/g.yml": UGLY})
    result = mf("project/families/f.yml", "second", "project/other/ci.yml")
    assert result.exit_code == 0
    assert "project/other/ci.yml belongs to no project and is left as it is" in result.stderr
    assert result.stderr.endswith("3 files reformatted, 1 left unchanged\n")
    assert (project / "families/_defaults.yml").read_text() == "tags: [a]\nsource: s\n"


def test_a_path_that_does_not_exist_is_an_error(project: Path) -> None:
    result = mf("project/families/f.yml", "no/such.yml")
    assert result.exit_code == 2
    assert "--> no/such.yml" in result.stderr
    assert (project / "families/f.yml").read_text() == UGLY


def test_only_files_of_the_given_project(project: Path) -> None:
    write_project(project.parent / "second", {"families/f.yml": UGLY})
    result = mf("--check", "--project-dir", "second", "project/families/f.yml", "second/families/f.yml")
    assert result.stdout == "would reformat: second/families/f.yml\n"


def test_mode_and_link_of_a_file_are_kept(project: Path) -> None:
    real = project.parent / "real.yml"
    real.write_bytes(b"\xef\xbb\xbf" + UGLY.encode())
    real.chmod(0o640)
    (project / "families/f.yml").unlink()
    (project / "families/f.yml").symlink_to(real)
    assert mf("--project-dir", project).exit_code == 0
    assert (project / "families/f.yml").is_symlink()
    assert real.read_bytes() == FINE.encode()
    assert real.stat().st_mode & 0o777 == 0o640
