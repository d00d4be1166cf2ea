"""Read a whole project and report all its mistakes at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from pydantic import ValidationError

from modelfactory.diagnostics import Code, Diagnostic, InputError, did_you_mean
from modelfactory.project.files import (
    FOLDER_DEFAULTS,
    SUFFIXES,
    Document,
    find_definition_files,
    kind_of,
    read_document,
)
from modelfactory.project.positions import KeyPath
from modelfactory.project.specs import (
    FamiliesFileSpec,
    FamilySpec,
    ProfilesSpec,
    ProjectSpec,
    SourceSpec,
    Spec,
    TargetSpec,
)
from modelfactory.project.variables import substitute

_S = TypeVar("_S", bound=Spec)
_ADDED_UP = ("tags", "meta")
"""Family keys of which defaults and own value are put together, as in dbt; of all others the nearest value wins."""
_ALTERNATIVES = (frozenset({"source", "sql", "sql_file"}), frozenset({"preprocess", "pipeline"}))
"""Family keys that stand for each other: a nearer one hides the inherited others."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where one value of a definition is written."""

    document: Document
    path: KeyPath

    def text(self) -> str:
        """Return `file:line`."""
        found = self.document.diagnostic(Code.BAD_VALUE, "", self.path)
        return self.document.name + (f":{found.position.line}" if found.position else "")


@dataclass(frozen=True, slots=True)
class Source:
    """A declared source and where it is written."""

    spec: SourceSpec
    origin: Origin

    def diagnostic(self, code: Code, message: str, path: KeyPath = (), *, help: str | None = None) -> Diagnostic:
        """Describe a mistake at `path` inside the source."""
        return self.origin.document.diagnostic(code, message, (*self.origin.path, *path), help=help)


@dataclass(frozen=True, slots=True)
class Family:
    """A declared family, its values and where each of them is written.

    Attributes:
        spec: the validated definition, defaults and variables applied.
        origin: where the family itself is written.
        origins: by top-level key, the places its value comes from, own file first.
        definition: the keys as written, defaults applied, before variables and environment.
        query: the text of `sql` or of the file that `sql_file` names.
    """

    spec: FamilySpec
    origin: Origin
    origins: Mapping[str, tuple[Origin, ...]]
    definition: Mapping[str, Any]
    query: str | None

    @property
    def name(self) -> str:
        """Name of the family."""
        return self.spec.name

    @property
    def path(self) -> str:
        """File of the family, relative to the project."""
        return self.origin.document.name

    def diagnostic(
        self,
        code: Code,
        message: str,
        path: KeyPath = (),
        *,
        key: bool = False,
        help: str | None = None,
    ) -> Diagnostic:
        """Describe a mistake at `path` inside the family, in the file where that value is written."""
        return _diagnostic_at(self.origin, self.origins, code, message, path, key=key, help=help)


@dataclass(frozen=True, slots=True)
class Project:
    """A project: all that is valid in its files.

    Attributes:
        root: absolute path of the project folder.
        spec: the project file.
        document: the project file as read.
        sources: by name.
        families: in the order of their files and of their places in them.
        target_name: the target chosen.
        target: where to run.
        variables: `vars` with `--vars` applied.
    """

    root: Path
    spec: ProjectSpec
    document: Document
    sources: Mapping[str, Source]
    families: tuple[Family, ...]
    target_name: str
    target: TargetSpec
    variables: Mapping[str, Any]


def load_project(
    project_file: Path,
    *,
    target: str | None = None,
    variables: Mapping[str, Any],
    environ: Mapping[str, str],
    profiles_dir: Path | None = None,
) -> tuple[Project, list[Diagnostic]]:
    """Read and validate a project.

    Args:
        project_file: the file `find_project_file` found.
        target: name of the target; the project's own if None.
        variables: values that override the project's `vars`.
        environ: values of `${env:…}`.
        profiles_dir: folder of `profiles.yml`; otherwise the project folder, then `~/.mf`.

    Returns:
        The project with all that is valid in it, and every mistake in the files of its families and sources.

    Raises:
        InputError: the project file or the profiles cannot be used, so that nothing else can be read.
    """
    return _Loading(project_file, variables, environ).load(target, profiles_dir)


class _Loading:
    """One pass over the files of a project; gathers mistakes instead of stopping at the first."""

    def __init__(self, project_file: Path, variables: Mapping[str, Any], environ: Mapping[str, str]) -> None:
        self.root = project_file.parent
        self.project_file = project_file
        self.variables = variables
        self.environ = environ
        self.mistakes: list[Diagnostic] = []
        self.replaced: dict[Path, dict[str, Any]] = {}

    def load(self, target: str | None, profiles_dir: Path | None) -> tuple[Project, list[Diagnostic]]:
        document = read_document(self.project_file, self.root)
        declared = document.data.get("vars")
        self.variables = {**(declared if isinstance(declared, dict) else {}), **self.variables}
        spec = self._validate(ProjectSpec, self._substituted(document), Origin(document, ()))
        if spec is None:
            raise InputError(*self.mistakes)
        name, place = self._target(target or spec.target, profiles_dir)
        documents = self._definition_documents(document, spec)
        sources = self._sources(documents)
        families = self._families(documents, Origin(document, ("defaults",)))
        project = Project(
            root=self.root,
            spec=spec,
            document=document,
            sources=MappingProxyType(sources),
            families=families,
            target_name=name,
            target=place,
            variables=MappingProxyType(dict(self.variables)),
        )
        return project, self.mistakes

    def _target(self, name: str, profiles_dir: Path | None) -> tuple[str, TargetSpec]:
        targets = {"local": TargetSpec()}
        file = self._profiles_file(profiles_dir)
        if file is not None:
            document = read_document(file, self.root, secret=True)
            spec = self._validate(ProfilesSpec, self._substituted(document), Origin(document, ()))
            if spec is None:
                raise InputError(*self.mistakes)
            targets |= spec.targets
        if name not in targets:
            raise InputError(
                Diagnostic(
                    code=Code.UNKNOWN_TARGET,
                    message=f"unknown target `{name}`",
                    help=did_you_mean(name, list(targets)),
                )
            )
        return name, targets[name]

    def _profiles_file(self, profiles_dir: Path | None) -> Path | None:
        folders = [profiles_dir] if profiles_dir is not None else [self.root, Path.home() / ".mf"]
        for folder in folders:
            for suffix in SUFFIXES:
                if (folder / f"profiles{suffix}").is_file():
                    return folder / f"profiles{suffix}"
        if profiles_dir is not None:
            self.mistakes.append(Diagnostic(code=Code.UNREADABLE, message=f"no profiles.yml in `{profiles_dir}`"))
        return None

    def _definition_documents(self, project: Document, spec: ProjectSpec) -> list[Document]:
        documents = []
        files: dict[Path, None] = {}
        for key in ("source_paths", "family_paths"):
            for index, folder in enumerate(getattr(spec, key)):
                if (self.root / folder).is_dir():
                    files |= dict.fromkeys(find_definition_files(self.root / folder))
                elif key in project.data:
                    self.mistakes.append(
                        project.diagnostic(Code.UNREADABLE, f"folder `{folder}` does not exist", (key, index))
                    )
        for file in files:
            try:
                documents.append(read_document(file, self.root))
            except InputError as error:
                self.mistakes += error.diagnostics
        return documents

    def _sources(self, documents: Iterable[Document]) -> dict[str, Source]:
        sources: dict[str, Source] = {}
        for document, data in self._entries(documents, "sources"):
            for index, entry in enumerate(data):
                origin = Origin(document, ("sources", index))
                spec = self._validate(SourceSpec, entry, origin)
                if spec is None:
                    continue
                if spec.name in sources:
                    self._duplicate("source", spec.name, origin, sources[spec.name].origin)
                sources.setdefault(spec.name, Source(spec, origin))
        return sources

    def _families(self, documents: list[Document], project_defaults: Origin) -> tuple[Family, ...]:
        folder_defaults = {d.file.parent: Origin(d, ()) for d in documents if d.file.stem == FOLDER_DEFAULTS}
        families: dict[str, Family] = {}
        for document, data in self._entries(documents, "families"):
            inherited = [folder_defaults[folder] for folder in document.file.parents if folder in folder_defaults]
            if "defaults" in project_defaults.document.data:
                inherited.append(project_defaults)
            for index in range(len(data)):
                family = self._family(Origin(document, ("families", index)), inherited)
                if family is None:
                    continue
                if family.name in families:
                    self._duplicate("family", family.name, family.origin, families[family.name].origin)
                families.setdefault(family.name, family)
        return tuple(families.values())

    def _family(self, own: Origin, inherited: list[Origin]) -> Family | None:
        written: dict[str, Any] = {}
        values: dict[str, Any] = {}
        origins: dict[str, tuple[Origin, ...]] = {}
        for layer in (own, *inherited):
            raw = _value_at(layer.document.data, layer.path)
            replaced = _value_at(self._substituted(layer.document), layer.path)
            if not isinstance(raw, dict):
                self.mistakes.append(
                    layer.document.diagnostic(Code.BAD_VALUE, f"must be a mapping, not {kind_of(raw)}", layer.path)
                )
                continue
            hidden = {other for group in _ALTERNATIVES if group & values.keys() for other in group}
            for key in raw:
                if key in hidden and key not in values:
                    continue
                origin = Origin(layer.document, (*layer.path, key))
                if key not in values:
                    written[key], values[key], origins[key] = raw[key], replaced[key], (origin,)
                elif key in _ADDED_UP:
                    written[key] = _added_up(written[key], raw[key])
                    values[key] = _added_up(values[key], replaced[key])
                    origins[key] += (origin,)
        spec = self._validate(FamilySpec, values, own, origins)
        if spec is None:
            return None
        return Family(spec, own, MappingProxyType(origins), MappingProxyType(written), self._query(spec, own, origins))

    def _query(self, spec: FamilySpec, own: Origin, origins: Mapping[str, tuple[Origin, ...]]) -> str | None:
        if spec.sql_file is None:
            return spec.sql
        try:
            return (self.root / spec.sql_file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            self.mistakes.append(
                _diagnostic_at(own, origins, Code.UNREADABLE, f"cannot read `{spec.sql_file}`: {reason}", ("sql_file",))
            )
            return None

    def _entries(self, documents: Iterable[Document], key: str) -> Iterable[tuple[Document, list[Any]]]:
        for document in documents:
            if document.file.stem == FOLDER_DEFAULTS:
                continue
            if self._validate(FamiliesFileSpec, document.data, Origin(document, ())) is not None:
                data = self._substituted(document).get(key, [])
                yield document, data

    def _substituted(self, document: Document) -> dict[str, Any]:
        if document.file in self.replaced:
            return self.replaced[document.file]
        data, unknown = substitute(document.data, self.variables, self.environ)
        for reference in unknown:
            known = list(self.variables) if reference.kind == "var" else []
            kind = "variable" if reference.kind == "var" else "environment variable"
            self.mistakes.append(
                document.diagnostic(
                    Code.UNKNOWN_VARIABLE,
                    f"{kind} `{reference.name}` is not set",
                    reference.path,
                    help=did_you_mean(reference.name, known)
                    or f"set it, or give a default: ${{{reference.kind}:{reference.name}:-default}}",
                )
            )
        self.replaced[document.file] = data
        return data

    def _duplicate(self, kind: str, name: str, second: Origin, first: Origin) -> None:
        self.mistakes.append(
            second.document.diagnostic(
                Code.DUPLICATE_NAME,
                f"{kind} `{name}` is declared twice",
                (*second.path, "name"),
                help=f"the other one is at {first.text()}",
            )
        )

    def _validate(
        self,
        spec: type[_S],
        values: Any,
        origin: Origin,
        origins: Mapping[str, tuple[Origin, ...]] | None = None,
    ) -> _S | None:
        try:
            return spec.model_validate(values)
        except ValidationError as error:
            for item in error.errors(include_url=False):
                self.mistakes.append(_explain(spec, dict(item), origin, origins or {}))
            return None


def _explain(
    spec: type[Spec], error: dict[str, Any], origin: Origin, origins: Mapping[str, tuple[Origin, ...]]
) -> Diagnostic:
    """Say a Pydantic error in the user's words, at its place."""
    path: KeyPath = error["loc"]
    kind: str = error["type"]
    name = str(path[-1]) if path else ""
    if kind == "extra_forbidden":
        known = _keys_at(spec, path[:-1])
        return _diagnostic_at(
            origin,
            origins,
            Code.UNKNOWN_KEY,
            f"unknown key `{name}`",
            path,
            key=True,
            help=did_you_mean(name, known),
        )
    if kind == "missing":
        return _diagnostic_at(origin, origins, Code.BAD_VALUE, f"key `{name}` is missing", path[:-1], key=True)
    given = error["input"]
    context = error.get("ctx", {})
    match kind:
        case "value_error":
            message = str(context["error"])
            message = f"`{name}` {message}" if message.startswith(("must", "needs")) and name else message
        case "literal_error":
            message = f"`{name}` must be one of {context['expected']}"
        case "string_pattern_mismatch":
            message = f"`{name}` may hold letters, digits and underscores only, and not begin with a digit"
        case "too_short":
            message = f"`{name}` must not be empty"
        case _:
            said = error["msg"].removeprefix("Input should be ").removeprefix("a valid ")
            said = _WORDS.get(kind, said)
            message = f"`{name}` must be {said}, not {kind_of(given)}" if kind in _WORDS else f"`{name}` must be {said}"
    return _diagnostic_at(origin, origins, Code.BAD_VALUE, message, path)


_WORDS = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}


def _keys_at(spec: type[Spec], path: KeyPath) -> list[str]:
    """Return the keys that may stand in the mapping at `path` of a spec."""
    known: list[type[Spec]] = [spec]
    for name in path:
        if isinstance(name, str):
            found = [s for k in known for s in _specs_of(k, name)]
            known = found or known
    return [field.alias or key for k in known for key, field in k.model_fields.items()]


def _specs_of(spec: type[Spec], key: str) -> list[type[Spec]]:
    for name, field in spec.model_fields.items():
        if key in (name, field.alias):
            return _specs_in(field.annotation)
    return []


def _specs_in(annotation: Any) -> list[type[Spec]]:
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        return [annotation]
    return [s for argument in getattr(annotation, "__args__", ()) for s in _specs_in(argument)]


def _diagnostic_at(
    own: Origin,
    origins: Mapping[str, tuple[Origin, ...]],
    code: Code,
    message: str,
    path: KeyPath,
    *,
    key: bool = False,
    help: str | None = None,
) -> Diagnostic:
    """Describe a mistake in the file where the value at `path` is written."""
    if path and path[0] in origins:
        origin = origins[str(path[0])][0]
        return origin.document.diagnostic(code, message, (*origin.path, *path[1:]), key=key, help=help)
    return own.document.diagnostic(code, message, (*own.path, *path), key=key, help=help)


def _value_at(data: Any, path: KeyPath) -> Any:
    for name in path:
        data = data[name]
    return data


def _added_up(own: Any, inherited: Any) -> Any:
    match own, inherited:
        case dict(), dict():
            return {**inherited, **own}
        case ((str() | list()), (str() | list())):
            first = [inherited] if isinstance(inherited, str) else inherited
            second = [own] if isinstance(own, str) else own
            return list(dict.fromkeys([*first, *second]))
        case _:
            return own
