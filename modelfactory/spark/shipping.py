"""Give workers on other machines the code that they run, so that they need not have `modelfactory` installed."""

from __future__ import annotations

from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

from pyspark.sql import SparkSession

import modelfactory

_PACKAGE = Path(modelfactory.__file__).parent


def ship_code(spark: SparkSession, folder: Path) -> None:
    """Add the code of this package to a session.

    Args:
        spark: the session.
        folder: takes the archive, and has to stay until the session is closed.
    """
    archive = folder / "modelfactory.zip"
    with ZipFile(archive, "w", ZIP_DEFLATED) as out:
        for file in sorted([*_PACKAGE.rglob("*.py"), *_PACKAGE.rglob("*.txt")]):  # names.txt tells what may be loaded
            out.write(file, file.relative_to(_PACKAGE.parent))
    spark.addArtifacts(str(archive), pyfile=True)
