"""Read a whole project and report all its mistakes at once."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from pydantic import ValidationError

from modelfactory.diagnostics import Code, Diagnostic, InputError, Place, Related, Severity, did_you_mean, nearest
from modelfactory.project.classes import Mistake
from modelfactory.project.explaining import check_key, explained
from modelfactory.project.files import (
    FOLDER_DEFAULTS,
    SUFFIXES,
    Document,
    Readings,
    find_definition_files,
    kind_of,
    read_document,
)
from modelfactory.project.named import NamedSelector, read_selector, unknown_references, wrong_references
from modelfactory.project.positions import KeyPath
from modelfactory.project.spec_types import Spec
from modelfactory.project.specs import (
    FamiliesFileSpec,
    FamilySpec,
    MovedSpec,
    ProfilesSpec,
    ProjectSpec,
    SelectorsFileSpec,
    SelectorSpec,
    SourceSpec,
    TargetSpec,
)
from modelfactory.project.variables import environment_names, substitute, used_variables

_S = TypeVar("_S", bound=Spec)
ADDED_UP = ("tags", "meta")
"""Family keys of which defaults and own value are put together, as in dbt; of all others the nearest value wins."""
ALTERNATIVES = (frozenset({"source", "sql", "sql_file"}), frozenset({"preprocess", "pipeline"}))
"""Family keys that stand for each other: a nearer one hides the inherited others."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where one value of a definition is written."""

    document: Document
    path: KeyPath

    @property
    def place(self) -> Place:
        """The place in the file."""
        return self.document.place(self.path)

    def text(self) -> str:
        """Return `file:line`."""
        return self.place.shown

    @property
    def value(self) -> Any:
        """The value as written."""
        return _value_at(self.document.data, self.path)


@dataclass(frozen=True, slots=True)
class Source:
    """A declared source and where it is written."""

    spec: SourceSpec
    origin: Origin

    def diagnostic(self, code: Code, message: str, path: KeyPath = (), *, help: str | None = None) -> Diagnostic:
        """Describe a mistake at `path` inside the source."""
        return self.origin.document.diagnostic(code, message, (*self.origin.path, *path), help=help)

    def place(self, path: KeyPath = ()) -> Place:
        """Return the place of a value inside the source."""
        return self.origin.document.place((*self.origin.path, *path))


@dataclass(frozen=True, slots=True)
class Family:
    """A declared family, its values and where each of them is written.

    Attributes:
        spec: the validated definition, defaults and variables applied.
        origin: where the family itself is written.
        origins: by top-level key, the places its value comes from, own file first.
        overridden: by top-level key, the farther values that it hides, nearest first: of the key, or of one that it
            stands for.
        definition: the keys as written, defaults applied, before variables and environment.
        query: the text of `sql` or of the file that `sql_file` names.
    """

    spec: FamilySpec
    origin: Origin
    origins: Mapping[str, tuple[Origin, ...]]
    overridden: Mapping[str, tuple[Origin, ...]]
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
        related: tuple[Related, ...] = (),
    ) -> Diagnostic:
        """Describe a mistake at `path` inside the family, in the file where that value is written."""
        found = _diagnostic_at(self.origin, self.origins, code, message, path, key=key, help=help)
        return dataclasses.replace(found, related=(*found.related, *related))

    def place(self, path: KeyPath = ()) -> Place:
        """Return where the value at `path` is written."""
        if path and path[0] in self.origins:
            key, *rest = path
            origins = self.origins[str(key)]
            if key == "meta" and rest:  # each of its items may be of another layer
                origins = (*(o for o in origins if isinstance(o.value, dict) and rest[0] in o.value), *origins)
            return origins[0].document.place((*origins[0].path, *rest))
        return self.origin.document.place((*self.origin.path, *path))


@dataclass(frozen=True, slots=True)
class Project:
    """A project: all that is valid in its files.

    Attributes:
        root: absolute path of the project folder.
        spec: the project file.
        document: the project file as read.
        sources: by name.
        broken_sources: names of sources that are declared with a mistake; None if a file of sources cannot be read.
        families: in the order of their files and of their places in them.
        broken_families: names of families that are declared with a mistake; None if a file cannot be read.
        moved: by name of a family, the name it had before.
        selectors: named selectors, by name.
        target_name: the target chosen.
        target: where to run.
        variables: `vars` with `--vars` applied.
        shown_as: by values of the environment that the files refer to, how messages show them.
        partial: families with mistakes, without what is wrong in them, so that their other mistakes are found too.
    """

    root: Path
    spec: ProjectSpec
    document: Document
    sources: Mapping[str, Source]
    broken_sources: frozenset[str] | None
    families: tuple[Family, ...]
    broken_families: frozenset[str] | None
    moved: Mapping[str, str]
    selectors: Mapping[str, NamedSelector]
    target_name: str
    target: TargetSpec
    variables: Mapping[str, Any]
    shown_as: Mapping[str, str]
    partial: tuple[Family, ...] = ()

    def is_unknown(self, source: str) -> bool:
        """Tell whether a source is certainly not declared, not even with a mistake."""
        return source not in self.sources and self.broken_sources is not None and source not in self.broken_sources

    def is_unknown_family(self, name: str) -> bool:
        """Tell whether a family is certainly not declared, not even with a mistake."""
        declared = any(family.name == name for family in self.families)
        return not declared and self.broken_families is not None and name not in self.broken_families

    def former_names(self, family: str) -> Iterator[str]:
        """Yield the names that a family had before, the latest first."""
        while family in self.moved:
            family = self.moved[family]
            yield family


def load_project(
    project_file: Path,
    *,
    target: str | None = None,
    variables: Mapping[str, Any],
    environ: Mapping[str, str],
    profiles_dir: Path | None = None,
    profiles: bool = True,
    unset: bool = False,
    readings: Readings | None = None,
) -> tuple[Project, list[Diagnostic]]:
    """Read and validate a project.

    Args:
        project_file: the file `find_project_file` found.
        target: name of the target; the project's own if None.
        variables: values that override the project's `vars`.
        environ: values of `${env:…}`.
        profiles_dir: folder of `profiles.yml`; otherwise the project folder, then `~/.mf`.
        profiles: whether to read `profiles.yml`; without it the target is known by its name alone, and no secret of a
            target needs to be set.
        unset: take references to an environment that is not set for texts, where a text may stand.
        readings: what is remembered of texts.

    Returns:
        The project with all that is valid in it, and every mistake in the files of its families and sources; warnings
        are among them.

    Raises:
        InputError: the project file or the profiles cannot be used, so that nothing else can be read.
    """
    loading = _Loading(project_file, variables, environ, readings, unset=unset)
    try:
        project, mistakes = loading.load(target, profiles_dir, profiles=profiles)
    except InputError as error:
        raise InputError(*(d.hiding(loading.shown_as) for d in error.diagnostics)) from None
    return project, [d.hiding(loading.shown_as) for d in mistakes]


def load_target(project: Project, *, environ: Mapping[str, str], profiles_dir: Path | None = None) -> TargetSpec:
    """Return the target of a project that was read without profiles.

    Raises:
        InputError: there is no such target, or it has mistakes.
    """
    loading = _Loading(project.root / project.document.name, project.variables, environ)
    try:
        _, target = loading.target(project.document, project.target_name, profiles_dir)
        if loading.mistakes:
            raise InputError(*loading.mistakes)
        return target
    except InputError as error:
        raise InputError(*(d.hiding(loading.shown_as) for d in error.diagnostics)) from None


class _Loading:
    """One pass over the files of a project; gathers mistakes instead of stopping at the first."""

    def __init__(
        self,
        project_file: Path,
        variables: Mapping[str, Any],
        environ: Mapping[str, str],
        readings: Readings | None = None,
        *,
        unset: bool = False,
    ) -> None:
        self.unset: dict[str, list[Diagnostic]] | None = {} if unset else None
        self.root = project_file.parent
        self.readings = readings
        self.project_file = project_file
        self.variables = variables
        self.environ = environ
        self.mistakes: list[Diagnostic] = []
        self.broken_sources: set[str] = set()
        self.broken_families: set[str] = set()
        self.unread_sources = self.unread_families = False
        self.shown_as: dict[str, str] = {}
        self.replaced: dict[str, dict[str, Any]] = {}
        self.texts: list[str] = []
        self.partial: list[Family] = []

    def load(
        self, target: str | None, profiles_dir: Path | None, *, profiles: bool
    ) -> tuple[Project, list[Diagnostic]]:
        document = read_document(self.project_file, self.root, readings=self.readings)
        declared = document.data.get("vars")
        self.variables = {**(declared if isinstance(declared, dict) else {}), **self.variables}
        spec = self._validate(ProjectSpec, self._substituted(document), Origin(document, ()))
        if spec is None:
            raise InputError(*self.mistakes)
        name, place = target or spec.target, TargetSpec()
        if profiles:
            name, place = self.target(document, name, profiles_dir)
        documents = self._definition_documents(document, spec)
        defaults = [d for d in documents if d.file.stem == FOLDER_DEFAULTS]
        written = [d for d in documents if d.file.stem != FOLDER_DEFAULTS]
        definitions = [d for d in written if self._validate(FamiliesFileSpec, d.data, Origin(d, ())) is not None]
        self.unread_sources |= len(definitions) < len(written)
        sources = self._sources(definitions)
        families = self._families(definitions, defaults, Origin(document, ("defaults",)))
        if not self.mistakes:  # what cannot be read may well be what uses them
            self._check_unused(document, defaults, families)
        project = Project(
            root=self.root,
            spec=spec,
            document=document,
            sources=MappingProxyType(sources),
            broken_sources=None if self.unread_sources else frozenset(self.broken_sources),
            families=families,
            broken_families=None if self.unread_families else frozenset(self.broken_families),
            moved=MappingProxyType(self._moved(definitions, families)),
            selectors=MappingProxyType(self._selectors()),
            target_name=name,
            target=place,
            variables=MappingProxyType(dict(self.variables)),
            shown_as=MappingProxyType(self.shown_as),
            partial=tuple(self.partial),
        )
        return project, self.mistakes

    def target(self, project: Document, name: str, profiles_dir: Path | None) -> tuple[str, TargetSpec]:
        """Return the target of a name; its values of the environment are hidden from now on.

        Raises:
            InputError: there is no such target, or the profiles have mistakes.
        """
        targets = {"local": TargetSpec()}
        known: list[str] = []
        file = self._profiles_file(profiles_dir)
        if file is not None:
            whole = read_document(file, self.root, secret=True)
            declared = whole.data.get("targets")
            known = list(declared) if isinstance(declared, dict) else []
            # Only the chosen target is read: the secrets of the others need not be set here.
            chosen = {name: declared[name]} if isinstance(declared, dict) and name in declared else {}
            document = dataclasses.replace(whole, data={**whole.data, "targets": chosen}) if known else whole
            spec = self._validate(ProfilesSpec, self._substituted(document), Origin(document, ()))
            if spec is None:
                raise InputError(*self.mistakes)
            targets |= spec.targets
        if name not in targets:
            message, near = f"unknown target `{name}`", did_you_mean(name, list(dict.fromkeys([*targets, *known])))
            if project.data.get("target") == name:
                raise InputError(project.diagnostic(Code.UNKNOWN_TARGET, message, ("target",), help=near))
            raise InputError(Diagnostic(code=Code.UNKNOWN_TARGET, message=message, help=near))
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
                documents.append(read_document(file, self.root, readings=self.readings))
            except InputError as error:
                self.mistakes += error.diagnostics
                self.unread_families = True
                self.unread_sources |= any(file.is_relative_to(self.root / p) for p in spec.source_paths)
        return documents

    def _sources(self, documents: Iterable[Document]) -> dict[str, Source]:
        sources: dict[str, Source] = {}
        for document, data in self._entries(documents, "sources"):
            for index, entry in enumerate(data):
                origin = Origin(document, ("sources", index))
                spec = self._validate(SourceSpec, entry, origin)
                if spec is None:
                    self.broken_sources.add(str(entry.get("name")))
                    self.unread_sources |= "name" not in entry
                    continue
                first = next((s for n, s in sources.items() if n.lower() == spec.name.lower()), None)
                if first is not None:
                    hint = "Spark does not tell upper from lower case" if first.spec.name != spec.name else None
                    self._duplicate("source", spec.name, origin, first.origin, hint)
                sources.setdefault(spec.name, Source(spec, origin))
        return sources

    def _families(
        self, documents: list[Document], defaults: list[Document], project_defaults: Origin
    ) -> tuple[Family, ...]:
        folder_defaults: dict[Path, Origin] = {}
        for document in defaults:
            if document.file.parent in folder_defaults:
                other = Related(message="the other one", place=folder_defaults[document.file.parent].place)
                message = "two files of defaults in one folder"
                self.mistakes.append(document.diagnostic(Code.CONFLICT, message, related=(other,)))
            folder_defaults.setdefault(document.file.parent, Origin(document, ()))
        for origin in [*folder_defaults.values(), project_defaults]:
            self._check_layer(origin)
        families: dict[str, Family] = {}
        for document, data in self._entries(documents, "families"):
            inherited = [folder_defaults[folder] for folder in document.file.parents if folder in folder_defaults]
            if "defaults" in project_defaults.document.data:
                inherited.append(project_defaults)
            for index in range(len(data)):
                family = self._family(Origin(document, ("families", index)), inherited)
                if family is None:
                    self.broken_families.add(str(data[index].get("name")))
                    continue
                if family.name in families:
                    self._duplicate("family", family.name, family.origin, families[family.name].origin)
                families.setdefault(family.name, family)
        return tuple(families.values())

    def _check_layer(self, origin: Origin) -> None:
        """Check defaults by themselves: nothing may use them, or what uses them may override them."""
        data = self._substituted(origin.document)
        values = data.get("defaults", {}) if origin.path else data
        for key, value in values.items():
            for wrong in check_key(FamilySpec, key, value):
                self._wrong(wrong, origin, {})
            if key == "name":
                wrong = Mistake(Code.CONFLICT, "a name is no default: each family has its own", (key,), key=True)
                self._wrong(wrong, origin, {})

    def _family(self, own: Origin, inherited: list[Origin]) -> Family | None:
        written: dict[str, Any] = {}
        values: dict[str, Any] = {}
        origins: dict[str, tuple[Origin, ...]] = {}
        overridden: dict[str, tuple[Origin, ...]] = {}
        for layer in (own, *inherited):
            raw = _value_at(layer.document.data, layer.path)
            replaced = _value_at(self._substituted(layer.document), layer.path)
            if not isinstance(raw, dict):
                self.mistakes.append(
                    layer.document.diagnostic(Code.BAD_VALUE, f"must be a mapping, not {kind_of(raw)}", layer.path)
                )
                continue
            hidden = {other: key for group in ALTERNATIVES for key in group & values.keys() for other in group - {key}}
            for key in raw:
                origin = Origin(layer.document, (*layer.path, key))
                if key not in values and key not in hidden:
                    written[key], values[key], origins[key] = raw[key], replaced[key], (origin,)
                elif key in ADDED_UP and not any(check_key(FamilySpec, key, v) for v in (values[key], replaced[key])):
                    written[key] = _added_up(written[key], raw[key])
                    values[key] = _added_up(values[key], replaced[key])
                    origins[key] += (origin,)
                else:
                    nearer = key if key in values else hidden[key]
                    overridden[nearer] = (*overridden.get(nearer, ()), origin)
        spec = self._validate(FamilySpec, values, own, origins)
        rest = _without_mistakes(values) if spec is None else spec
        if rest is None:
            return None
        family = Family(
            spec=rest,
            origin=own,
            origins=MappingProxyType(origins),
            overridden=MappingProxyType(overridden),
            definition=MappingProxyType(written),
            query=self._query(rest, own, origins),
        )
        if spec is None:
            self.partial.append(family)
            return None
        return family

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

    def _moved(self, documents: list[Document], families: tuple[Family, ...]) -> dict[str, str]:
        """Return the names that families had, by those that they have."""
        names = {family.name for family in families} | self.broken_families
        moved: dict[str, str] = {}
        places: dict[str, Origin] = {}
        for document, entries in self._entries(documents, "moved"):
            for index, entry in enumerate(entries):
                origin, spec = Origin(document, ("moved", index)), MovedSpec.model_validate(entry)
                if spec.from_ in names:
                    self._cannot_move(origin, "from", f"family `{spec.from_}` is still declared")
                elif spec.to in moved or spec.from_ in moved.values():
                    self._cannot_move(origin, "to", "a family is moved twice")
                else:
                    moved[spec.to], places[spec.to] = spec.from_, origin
        led_to: set[str] = set()
        for name in names:  # what none of them leads back to leads to no family, or in a circle
            latest = name
            while latest in moved:
                led_to.add(latest)
                latest = moved[latest]
        for name in moved.keys() - led_to if not self.unread_families else ():
            self._cannot_move(places[name], "to", f"there is no family `{name}`", did_you_mean(name, sorted(names)))
        return {name: former for name, former in moved.items() if name in led_to}

    def _cannot_move(self, origin: Origin, key: str, message: str, help: str | None = None) -> None:
        place = (*origin.path, key)
        self.mistakes.append(origin.document.diagnostic(Code.CONFLICT, message, place, help=help))

    def _selectors(self) -> dict[str, NamedSelector]:
        files = [self.root / f"selectors{suffix}" for suffix in SUFFIXES]
        found = [file for file in files if file.is_file()]
        if not found:
            return {}
        try:
            document = read_document(found[0], self.root, readings=self.readings)
        except InputError as error:
            self.mistakes += error.diagnostics
            return {}
        for other in found[1:]:
            message = f"two files of selectors: `{document.name}` and `{other.name}`"
            self.mistakes.append(document.diagnostic(Code.CONFLICT, message))
        file = self._validate(SelectorsFileSpec, self._substituted(document), Origin(document, ()))
        return self._selectors_in(document, file) if file is not None else {}

    def _selectors_in(self, document: Document, file: SelectorsFileSpec) -> dict[str, NamedSelector]:
        selectors: dict[str, NamedSelector] = {}
        origins: dict[str, Origin] = {}
        for index, entry in enumerate(file.selectors):
            origin = Origin(document, ("selectors", index))
            spec = self._validate(SelectorSpec, entry, origin)
            if spec is None:
                origins.setdefault(str(entry.get("name")), origin)
                continue
            if spec.name in origins:
                self._duplicate("selector", spec.name, origin, origins[spec.name])
                continue
            origins[spec.name] = origin
            selector, wrong = read_selector(spec, functools.partial(_place_in, origin))
            for mistake in wrong:
                self._wrong(mistake, origin, {})
            if selector is not None:
                selectors[spec.name] = selector
        self._check_selectors(selectors, origins)
        return selectors

    def _check_selectors(self, selectors: Mapping[str, NamedSelector], origins: Mapping[str, Origin]) -> None:
        """Check what no selector shows by itself: references, cycles, and that one is the default."""
        for selector in selectors.values():
            for reference in unknown_references(selector, list(origins)):
                message = f"there is no selector `{reference.value}`"
                near = did_you_mean(reference.value, list(origins))
                place = reference.place()
                self.mistakes.append(Diagnostic(code=Code.BAD_VALUE, message=message, place=place, help=near))
        for name, wrong in wrong_references(selectors):
            self._wrong(wrong, origins[name], {})
        defaults = [name for name, selector in selectors.items() if selector.default]
        for name in defaults[1:]:
            first, second = origins[defaults[0]], origins[name]
            self.mistakes.append(
                second.document.diagnostic(
                    Code.CONFLICT,
                    f"selectors `{defaults[0]}` and `{name}` cannot both be the default",
                    (*second.path, "default"),
                    related=(Related(message="the other one", place=first.document.place((*first.path, "default"))),),
                )
            )

    def _entries(self, documents: Iterable[Document], key: str) -> Iterable[tuple[Document, list[Any]]]:
        return ((document, self._substituted(document).get(key, [])) for document in documents)

    def _substituted(self, document: Document) -> dict[str, Any]:
        if document.name in self.replaced:
            return self.replaced[document.name]
        data, unknown = substitute(document.data, self.variables, self.environ)
        for reference in unknown:
            kind = "variable" if reference.kind == "var" else "environment variable"
            near = nearest(reference.name, self.variables if reference.kind == "var" else self.environ)
            wrong = document.diagnostic(
                Code.UNKNOWN_VARIABLE,
                f"{kind} `{reference.name}` is not set",
                reference.path,
                help=f"did you mean `{near}`?"
                if near
                else f"set it, or give a default: ${{{reference.kind}:{reference.name}:-default}}",
            )
            if self.unset is None or reference.kind == "var":
                self.mistakes.append(wrong)
            else:
                self.unset.setdefault(document.name, []).append(wrong)
        self.replaced[document.name] = data
        self.texts.append(document.text)
        for name in environment_names(document.text) & self.environ.keys():
            if self.environ[name]:
                self.shown_as[self.environ[name]] = f"${{env:{name}}}"
        return data

    def _check_unused(self, project: Document, defaults: Iterable[Document], families: Iterable[Family]) -> None:
        """Warn of what is declared and decides nothing."""
        texts = [*self.texts, *{family.query for family in families if family.query is not None}]
        used = used_variables(texts)
        for name in project.data.get("vars", {}):
            if used is not None and name not in used:
                message = f"nothing refers to variable `{name}`"
                self._warn(project.diagnostic(Code.UNUSED_VARIABLE, message, ("vars", name), key=True))
        files = {family.path: family.origin.document.file for family in families}
        folders = {folder for file in files.values() for folder in file.parents}
        for document in defaults:
            if document.file.parent not in folders:
                message = f"there is no family in `{Path(document.name).parent}` that these defaults could hold for"
                self._warn(document.diagnostic(Code.UNUSED_DEFAULTS, message))

    def _warn(self, diagnostic: Diagnostic) -> None:
        self.mistakes.append(dataclasses.replace(diagnostic, severity=Severity.WARNING))

    def _duplicate(self, kind: str, name: str, second: Origin, first: Origin, help: str | None = None) -> None:
        self.mistakes.append(
            second.document.diagnostic(
                Code.DUPLICATE_NAME,
                f"{kind} `{name}` is declared twice",
                (*second.path, "name"),
                related=(Related(message="the other one", place=first.document.place((*first.path, "name"))),),
                help=help,
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
            for wrong in explained(spec, error):
                self._wrong(wrong, origin, origins or {})
            used = {
                origin.document.name,
                *(layer.document.name for layers in (origins or {}).values() for layer in layers),
            }
            self.mistakes += [unset for name in used for unset in (self.unset or {}).get(name, [])]
            return None

    def _wrong(self, wrong: Mistake, own: Origin, origins: Mapping[str, tuple[Origin, ...]]) -> None:
        self.mistakes.append(
            _diagnostic_at(own, origins, wrong.code, wrong.message, wrong.path, key=wrong.key, help=wrong.help)
        )


def _without_mistakes(values: Mapping[str, Any]) -> FamilySpec | None:
    """Return a family without its wrong values, if the rest makes sense; something stands in for what it needs."""
    try:
        return FamilySpec.model_validate(values)
    except ValidationError as error:
        wrong = {item["loc"][0] for item in error.errors() if item["loc"]}
    rest = {"name": "unnamed", "group_by": "k", "features": "x"}
    rest |= {key: value for key, value in values.items() if key not in wrong}
    if not {"source", "sql", "sql_file"} & rest.keys():
        rest["sql"] = "select 1"
    try:
        return FamilySpec.model_validate(rest) if wrong else None
    except ValidationError:
        return None


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
        related = () if origin.path[: len(own.path)] == own.path else (_inherited_by(own),)
        return origin.document.diagnostic(code, message, (*origin.path, *path[1:]), key=key, help=help, related=related)
    return own.document.diagnostic(code, message, (*own.path, *path), key=key, help=help)


def _inherited_by(family: Origin) -> Related:
    name = _value_at(family.document.data, family.path).get("name")
    return Related(message=f"inherited by family `{name}`", place=family.document.place((*family.path, "name")))


def _place_in(origin: Origin, path: KeyPath) -> Place:
    return origin.document.place((*origin.path, *path))


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
