"""Draw numbers from hashes and a seed, the same wherever and whenever that is done."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def mix(hashes: npt.NDArray[np.int64] | npt.NDArray[np.uint64], seed: int) -> npt.NDArray[np.uint64]:
    """Mix hashes with a seed by the finaliser of SplitMix64 (Steele, Lea and Flood 2014): no two become the same.

    Args:
        hashes: whole numbers of 64 bits, shape (n,).
        seed: any whole number.

    Returns:
        Numbers that are evenly spread, shape (n,).
    """
    with np.errstate(over="ignore"):
        z = hashes.view(np.uint64) + np.uint64((seed + 1) * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        found: npt.NDArray[np.uint64] = z ^ (z >> np.uint64(31))
        return found
