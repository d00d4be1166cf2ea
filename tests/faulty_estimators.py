"""Estimators of the fault suite, importable on workers: a group's first feature says what goes wrong in it."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import signal
import sys
import threading
import time
import warnings

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin


def raises(_):
    raise ValueError("a bad group")


def warns(_):
    for number in range(1000):
        warnings.warn(f"warning {number} {'y' * 2000}", RuntimeWarning, stacklevel=2)


def prints(_):
    sys.stdout.write("loud " * 200_000)
    sys.stderr.write("louder")


def prints_in_c(_):
    os.write(1, b"c " * 500_000)


def sleeps(_):
    time.sleep(600)


def hangs_in_c(_):
    sum(itertools.repeat(0))  # neither lets go of the interpreter nor looks at signals


def swallows_its_timeout(_):
    while True:
        with contextlib.suppress(BaseException):
            time.sleep(600)


def eats_memory(_):
    kept = []
    while True:
        kept.append(np.empty(4 << 20))  # counts, though nothing is written to it


def is_killed(_):
    os.kill(os.getpid(), signal.SIGKILL)  # what the system does when memory runs out


def segfaults(_):
    ctypes.string_at(0)


def aborts(_):
    os.abort()


def exits(_):
    sys.exit("out of here")


def exits_at_once(_):
    os._exit(3)


def exits_as_if_well(_):
    os._exit(0)


def leaves_a_process_and_dies(_):
    if os.fork() == 0:
        time.sleep(5)  # it holds what the worker had open, until it ends
        os._exit(0)
    os.kill(os.getpid(), signal.SIGKILL)


def predicts_nan(model):
    model.mean_ = float("nan")


def is_unpicklable(model):
    model.lock_ = threading.Lock()


FAULTS = {
    raises: ("failed", "ValueError"),
    warns: ("trained", None),
    prints: ("trained", None),
    prints_in_c: ("trained", None),
    sleeps: ("timed_out", None),
    hangs_in_c: ("timed_out", None),
    swallows_its_timeout: ("timed_out", None),
    eats_memory: ("failed", "MemoryError"),
    is_killed: ("crashed", "SIGKILL"),
    segfaults: ("crashed", "SIGSEGV"),
    aborts: ("crashed", "SIGABRT"),
    exits: ("failed", "SystemExit"),
    exits_at_once: ("crashed", "ExitCode"),
    exits_as_if_well: ("crashed", "ExitCode"),
    leaves_a_process_and_dies: ("crashed", "SIGKILL"),
    predicts_nan: ("trained", None),
    is_unpicklable: ("failed", "TypeError"),
}
"""What goes wrong, and the outcome it must have: status and error type."""
NUMBERS = {fault.__name__: number for number, fault in enumerate(FAULTS, start=1)}


class Faulty(RegressorMixin, BaseEstimator):
    """Predicts the mean of the label; where all of the first feature is a number of `NUMBERS`, that goes wrong.

    Args:
        pause: seconds that each fit takes.
    """

    def __init__(self, pause=0.0):
        self.pause = pause

    def fit(self, X, y):
        time.sleep(self.pause)
        first = np.asarray(X)[:, 0]
        self.mean_ = float(np.mean(y))
        self.noise_ = np.random.normal()  # seeded by the group's key
        if first[0] and (first == first[0]).all():
            list(FAULTS)[int(first[0]) - 1](self)
        return self

    def predict(self, X):
        return np.full(len(X), self.mean_)
