"""The limit of a worker's memory."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import numpy as np, pyarrow as pa
pa.array(range(1000))  # has Arrow take a gigabyte for the future
from modelfactory.training.memory import limit_memory
for _ in range(2):  # for each task of the worker
    limit_memory(1 << 30)
kept = []
try:
    while len(kept) < 40:
        kept.append({allocate})
except {error}:
    pass
print(len(kept))
kept.clear()
import threading
threading.Thread(target=print, args=["again"]).start()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere memory is not counted")
@pytest.mark.parametrize(
    ("allocate", "error"),
    [
        ("np.ones(8 << 20)", "MemoryError"),
        ("np.empty(8 << 20)", "MemoryError"),
        ("pa.allocate_buffer(64 << 20)", "pa.ArrowMemoryError"),
    ],
    ids=["filled", "not filled", "Arrow"],
)
def test_what_is_beyond_the_limit_fails_and_what_is_let_go_is_free_again(allocate, error):
    script = SCRIPT.format(allocate=allocate, error=error)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    pieces, again = done.stdout.split()
    assert 8 <= int(pieces) <= 16  # of 64 MB: a gigabyte, without what the libraries have
    assert again == "again"
