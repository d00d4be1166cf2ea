"""The process that forks Spark's Python workers, here with everything imported that a worker needs.

Spark runs it as `python -m modelfactory.spark.daemon pyspark.worker` in the place of `pyspark.daemon`, which leaves the
imports to each worker, since a process may only fork while it has one thread. NumPy, pandas, pyarrow and scikit-learn
start none if they are told not to; where they do, `pyspark.daemon` takes over.
"""

from __future__ import annotations

import gc
import importlib.util
import os
import sys

_ALONE = {"JE_ARROW_MALLOC_CONF": "background_thread:false", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def main() -> None:
    """Import, then fork workers until Spark ends."""
    given = dict(os.environ)
    for name, value in _ALONE.items():
        os.environ.setdefault(name, value)
    _leave_out_archives()
    import pyspark.daemon
    import pyspark.worker

    import modelfactory.training.worker  # noqa: F401

    if not _is_alone():
        os.execve(sys.executable, [sys.executable, "-m", "pyspark.daemon", *sys.argv[1:]], given)
    gc.collect()
    gc.freeze()  # else each task's end looks through all that was imported
    pyspark.daemon.manager()


def _is_alone() -> bool:
    """Tell whether this process has one thread only."""
    try:
        return len(os.listdir("/proc/self/task")) == 1  # noqa: PTH208
    except OSError:
        return False


def _leave_out_archives() -> None:
    """Take Spark's own archives of PySpark off the path where it is installed: each task would look through them."""
    home, before = os.environ.get("SPARK_HOME", os.devnull), sys.path[:]
    sys.path[:] = [path for path in before if not path.startswith(home) or not path.endswith((".zip", ".jar"))]
    if not all(importlib.util.find_spec(name) for name in ("pyspark", "py4j")):
        sys.path[:] = before


if __name__ == "__main__":
    main()
