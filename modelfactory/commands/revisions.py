"""The files of a project as they are in a git revision, from git's own store: no checkout, no working tree."""

from __future__ import annotations

import os
import posixpath
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from modelfactory.diagnostics import Code, InputError, input_error, nearest
from modelfactory.project.files import SUFFIXES


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
    listed = _git(root, "ls-tree", "-r", "-z", "--full-tree", revision.commit)
    tree: dict[str, _Entry] = {}
    for entry in filter(None, listed.split("\0")):
        about, _, name = entry.partition("\t")
        mode, kind, object_name = about.split(" ")
        if kind == "blob":
            tree[name] = _Entry(object_name, is_link=mode == "120000")
    wanted = [name for name in tree if _is_in(name, revision.folder) and PurePosixPath(name).suffix in SUFFIXES]
    with tempfile.TemporaryDirectory(prefix="mf-revision-") as temporary:
        top = Path(temporary).resolve()
        folder = top / revision.folder
        folder.mkdir(parents=True, exist_ok=True)
        definitions = _write(root, top, tree, wanted)
        queries = {
            posixpath.normpath(posixpath.join(revision.folder, found))
            for text in definitions
            for found in _SQL_FILE.findall(text.decode("utf-8", "replace"))
        }
        _write(root, top, tree, sorted(queries & tree.keys()))
        yield folder


@dataclass(frozen=True, slots=True)
class _Entry:
    """A file of a tree, or a link."""

    object_name: str
    is_link: bool


_SQL_FILE = re.compile(r"""sql_file["']?\s*[:=]\s*["']?([^"'\s,}\]]+)""")
"""Where a text of YAML or TOML may name a file that holds a query."""
_MOST_LINKS = 8


def _is_in(name: str, folder: str) -> bool:
    return not folder or name.startswith(f"{folder}/")


def _write(root: Path, top: Path, tree: Mapping[str, _Entry], names: Sequence[str]) -> list[bytes]:
    """Write files of a tree below a folder, of links what they lead to, and return their contents."""
    contents = list(_contents(root, [tree[name].object_name for name in names]))
    for number, name in enumerate(names):
        place = name
        for _ in range(_MOST_LINKS):
            if place not in tree or not tree[place].is_link:
                break
            place = posixpath.normpath(posixpath.join(posixpath.dirname(place), contents[number].decode()))
            if place in tree:
                (contents[number],) = _contents(root, [tree[place].object_name])
        file = top / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(contents[number])
    return contents


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
        near = nearest(name, known.split())
        hint = f"did you mean `{near}`?" if near else "a shallow clone may lack it: `git fetch` it first"
        raise input_error(Code.BAD_OPTION, f"git knows no revision `{name}`", help=hint) from None


def _git(root: Path, *arguments: str) -> str:
    return _run(root, *arguments).decode("utf-8", "surrogateescape")


def _run(root: Path, *arguments: str, given: bytes = b"") -> bytes:
    # In a hook, git tells its children which repository is meant; here it is the project's.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-C", str(root), *arguments]
    try:
        done = subprocess.run(command, input=given, env=environ, capture_output=True, check=False)
    except OSError as error:
        raise input_error(Code.BAD_OPTION, f"git cannot be run: {error.strerror}") from error
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or ["no message"]
        raise input_error(Code.BAD_OPTION, f"git cannot read the repository: {said[0].removeprefix('fatal: ')}")
    return done.stdout
