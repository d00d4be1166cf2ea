"""The files of a project as they are in a git revision, from git's own store: no checkout, no working tree."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from modelfactory.diagnostics import Code, InputError, did_you_mean, input_error
from modelfactory.project.files import SUFFIXES

_QUERY_SUFFIXES = (".sql", ".hql", ".jinja", ".jinja2", ".j2", ".txt")
"""Suffixes of files that `sql_file` may name; others of a revision are not read, since they may be data."""


@dataclass(frozen=True, slots=True)
class Revision:
    """A commit.

    Attributes:
        name: as the user wrote it.
        commit: its hash.
        folder: the project in its tree, relative to the top; empty text if it is the top.
    """

    name: str
    commit: str
    folder: str

    @property
    def shown(self) -> str:
        """The revision as messages name it: a hash in short."""
        return self.commit[:10] if self.commit.startswith(self.name) else self.name


def revisions_of(root: Path, written: str) -> tuple[Revision, Revision | None]:
    """Return the revisions that an argument names, the second None where it is the working tree.

    `A` is `A` against the working tree, `A..B` two revisions, `A...B` what `B` has changed since it left `A`; a missing
    side is `HEAD`, as for git.

    Args:
        root: folder of the project.
        written: the argument.

    Raises:
        InputError: there is no git, no repository or no such revision.
    """
    top = _git(root, "rev-parse", "--show-toplevel").strip()
    folder = root.resolve().relative_to(Path(top).resolve()).as_posix()
    folder = "" if folder == "." else folder
    separator = "..." if "..." in written else ".."
    first, both, second = written.partition(separator)
    base = _commit(root, first or "HEAD")
    head = _commit(root, second or "HEAD") if both else None
    if both == "..." and head is not None:
        base = _git(root, "merge-base", base, head).strip()
    return (
        Revision(first or "HEAD", base, folder),
        None if head is None else Revision(second or "HEAD", head, folder),
    )


@contextmanager
def files_at(root: Path, revision: Revision) -> Iterator[Path]:
    """Write the definitions and queries of a project at a revision to a folder that lasts as long as the context.

    Raises:
        InputError: git cannot read them.
    """
    prefix = f"{revision.folder}/" if revision.folder else ""
    listed = _git(root, "ls-tree", "-r", "-z", "--full-tree", revision.commit, *([prefix] if prefix else []))
    names, objects = [], []
    for entry in filter(None, listed.split("\0")):
        (_, kind, object_name), name = entry.partition("\t")[0].split(" "), entry.partition("\t")[2]
        if kind == "blob" and PurePosixPath(name).suffix in (*SUFFIXES, *_QUERY_SUFFIXES):
            names.append(name.removeprefix(prefix))
            objects.append(object_name)
    with tempfile.TemporaryDirectory(prefix="mf-revision-") as temporary:
        folder = Path(temporary)
        for name, content in zip(names, _contents(root, objects), strict=True):
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        yield folder


def _contents(root: Path, objects: Sequence[str]) -> Iterator[bytes]:
    """Yield the contents of objects, read by one process."""
    answer = _run(root, "cat-file", "--batch", given="".join(f"{name}\n" for name in objects).encode())
    at = 0
    for _ in objects:
        end = answer.index(b"\n", at)
        size = int(answer[at:end].split()[-1])
        yield answer[end + 1 : end + 1 + size]
        at = end + 1 + size + 1


def _commit(root: Path, name: str) -> str:
    try:
        return _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}").strip()
    except InputError:
        known = _git(root, "for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/remotes", "refs/tags")
        hint = did_you_mean(name, known.split()) or "a shallow clone may lack it: fetch it first"
        raise input_error(Code.BAD_OPTION, f"git knows no revision `{name}`", help=hint) from None


def _git(root: Path, *arguments: str) -> str:
    return _run(root, *arguments).decode("utf-8", "surrogateescape")


def _run(root: Path, *arguments: str, given: bytes = b"") -> bytes:
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], input=given, capture_output=True, check=False)
    except OSError as error:
        raise input_error(Code.BAD_OPTION, f"git cannot be run: {error.strerror}") from error
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or ["no message"]
        raise input_error(Code.BAD_OPTION, f"git cannot read the repository: {said[0].removeprefix('fatal: ')}")
    return done.stdout
