"""Write which names the pickles of fitted estimators need: `modelfactory/scoring/names.txt`.

    python docs/admit.py --print > names-1.7.txt    # with each scikit-learn, in a venv that has pandas too
    python docs/admit.py names-*.txt                # all of them together

The estimators are those of `tests/fitted_estimators.py`, which the tests load again: what is admitted is what is tried.
Read the difference line by line. A name may be there to `call` if calling it with any arguments runs no code that these
bring along, imports nothing by a name they give, and touches neither files nor the network; to make a `new` object of
if the same holds of its `__setstate__`.
"""

from __future__ import annotations

import pickle
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from modelfactory.scoring.pickles import VALUE, check_pickle, listed_module  # noqa: E402

NAMES = ROOT / "modelfactory" / "scoring" / "names.txt"


class Uses(set[str]):
    """Admits every use, and remembers which there was."""

    def __init__(self) -> None:
        super().__init__([VALUE])
        self.seen = {VALUE}

    def __contains__(self, use: object) -> bool:
        self.seen.add(str(use))
        return True


def main(files: list[str]) -> None:
    """Print what the installed scikit-learn needs, or write what was printed for several."""
    found: dict[str, set[str]] = defaultdict(set)
    if files == ["--print"]:
        for name, uses in used().items():
            print(name, *sorted(uses))
        return
    for line in (line for file in files for line in Path(file).read_text().splitlines()):
        module, name, *uses = line.split()
        found[f"{listed_module(module)} {name}"] |= set(uses)
    lines = sorted(f"{name} {' '.join(sorted(uses - {VALUE} or uses))}\n" for name, uses in found.items())
    NAMES.write_text("".join(lines))


def used() -> dict[str, set[str]]:
    """Return for what the installed scikit-learn's pickles use which names."""
    import fitted_estimators as fitted

    found: dict[tuple[str, str], Uses] = defaultdict(Uses)
    made = [(name, lambda c=cls: fitted.fit_class(c)) for name, cls in fitted.classes().items()]
    for label, make in [*made, *fitted.parts()]:
        try:
            check_pickle(pickle.dumps(make(), protocol=5), lambda *name: found[name])
        except Exception as error:
            print(f"{label}: {type(error).__name__}: {str(error)[:150]}", file=sys.stderr)
    return {" ".join(name): uses.seen for name, uses in sorted(found.items())}


if __name__ == "__main__":
    main(sys.argv[1:])
