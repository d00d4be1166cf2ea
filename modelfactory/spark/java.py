"""Find the Java that Spark will run on, without starting it where its `release` file tells the version."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from modelfactory.diagnostics import Code, input_error

OLDEST = 17
_HELP = (
    f"install Java {OLDEST} or later: `apt-get install openjdk-17-jre-headless`, `brew install openjdk@17` or "
    "`conda install openjdk=17`; then put `java` on PATH or set JAVA_HOME"
)


@dataclass(frozen=True, slots=True)
class Java:
    """A Java executable and its major version."""

    executable: Path
    major: int


def find_java(environ: Mapping[str, str]) -> Java:
    """Return the Java that Spark will use: of JAVA_HOME, else the first on PATH.

    Raises:
        InputError: there is none, or it is too old for Spark.
    """
    home = environ.get("JAVA_HOME")
    found = str(Path(home) / "bin" / "java") if home else shutil.which("java", path=environ.get("PATH"))
    if found is None:
        raise input_error(Code.NO_JAVA, "no Java found: JAVA_HOME is not set and `java` is not on PATH", help=_HELP)
    executable = Path(found)
    if not executable.is_file():
        raise input_error(Code.NO_JAVA, "JAVA_HOME does not hold `bin/java`", help=_HELP)
    major = _major(executable)
    if major is None:
        raise input_error(Code.NO_JAVA, f"`{executable} -version` does not tell a version", help=_HELP)
    if major < OLDEST:
        raise input_error(Code.NO_JAVA, f"Java {major} is too old for Spark, which needs {OLDEST}", help=_HELP)
    return Java(executable, major)


def _major(executable: Path) -> int | None:
    release = executable.resolve().parent.parent / "release"
    try:
        text = release.read_text(encoding="utf-8", errors="replace")
    except OSError:
        try:
            done = subprocess.run([executable, "-version"], capture_output=True, text=True, check=False, timeout=30)
        except (OSError, subprocess.TimeoutExpired):
            return None
        text = done.stderr + done.stdout
    found = re.search(r'(?:JAVA_VERSION=|version )"(?:1\.)?(\d+)', text)
    return int(found[1]) if found else None
