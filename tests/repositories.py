"""Git repositories for tests, apart from the settings of whoever runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from support import ROOT, _cache

NAME = {
    f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in (("NAME", "t"), ("EMAIL", "t@t"))
}


def environment(programs: Path, **more: str) -> dict[str, str]:
    """Return an environment in which `mf` is the code under test, and programs of a folder are found first."""
    mf = programs / "mf"
    if not mf.exists():
        program(mf, f'exec "{sys.executable}" -m modelfactory "$@"')
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "GITHUB_"))}
    return {
        **inherited,
        **NAME,
        **_cache(),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        **more,
    }


def program(file: Path, script: str) -> None:
    """Write a shell script that can be run."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/usr/bin/env bash\n{script}\n", encoding="utf-8")
    file.chmod(0o755)


def git(folder: Path, *words: str, env: Mapping[str, str]) -> str:
    """Run git and return what it says."""
    done = subprocess.run(["git", *words], cwd=folder, env=dict(env), capture_output=True, text=True, check=True)
    return done.stdout.strip()


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Write files, by relative name."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def commit(folder: Path, files: Mapping[str, str], *, env: Mapping[str, str]) -> str:
    """Write files of a repository, commit them and return the commit."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / ".git").exists():
        git(folder, "init", "--quiet", "--initial-branch=main", env=env)
    write(folder, files)
    git(folder, "add", "--all", env=env)
    git(folder, "commit", "--quiet", "--message=x", env=env)
    return git(folder, "rev-parse", "HEAD", env=env)
