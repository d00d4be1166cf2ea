"""Commands that look at what is declared and what is trained: ls, show."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from modelfactory.cli.options import Exclude, FamilyName, OfCandidate, Output, Select, Selector, ShowOutput, State
from modelfactory.cli.running import Invocation, choice_of, command
from modelfactory.diagnostics import InputError


def register(app: typer.Typer) -> None:
    """Make these functions commands of an app."""
    command(app, panel="Look at what is trained")(ls)
    command(app, panel="Look at what is trained")(show)


def ls(
    call: Invocation,
    select: Select = None,
    exclude: Exclude = None,
    selector: Selector = None,
    state: State = None,
    output: Annotated[Output, typer.Option("--output", "-o", help="What to write.")] = Output.TABLE,
    output_keys: Annotated[
        str | None,
        typer.Option("--output-keys", help="Keys of the JSON lines or CSV columns, by commas or spaces."),
    ] = None,
    why: Annotated[
        bool, typer.Option("--why", help="Name the values that differ from the earlier state, and where they are.")
    ] = False,
    groups: Annotated[str | None, typer.Option("--groups", help="List the groups of this family.")] = None,
    where: Annotated[
        str | None, typer.Option("--where", help="With --groups: such as 'status = failed and n_rows > 100'.")
    ] = None,
    sort: Annotated[str | None, typer.Option("--sort", help="With --groups: column or metric; -NAME falls.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=0, help="With --groups: most rows.")] = None,
    candidate: OfCandidate = False,
) -> None:
    """List families and what is trained; with --groups, the groups of one."""
    from modelfactory.cli.listing import write_families, write_groups
    from modelfactory.commands.inspect import list_families, list_groups
    from modelfactory.commands.workspace import open_workspace

    if groups is not None:
        if select or exclude or selector or state or why:
            raise typer.BadParameter("--groups lists the groups of one family; --select and the like choose families")
        workspace = open_workspace(call.options)
        table = list_groups(workspace, groups, where=where, sort=sort, limit=limit, candidate=candidate)
        write_groups(call.console, table, output, output_keys)
        return
    _only_with_groups(where=where, sort=sort, limit=limit, candidate=candidate or None)
    choice = choice_of(select, exclude, selector, state)
    workspace = open_workspace(call.options, choice, may_be_empty=True, whole=False)
    call.console.opened(workspace)
    listings, unreadable = list_families(workspace, why=why)
    write_families(call.console, listings, output, output_keys, now=datetime.now(UTC), why=why)
    if unreadable:
        raise InputError(*unreadable)


def _only_with_groups(**given: object) -> None:
    for name, value in given.items():
        if value is not None:
            raise typer.BadParameter(f"--{name} goes with --groups FAMILY")


def show(
    call: Invocation,
    family: FamilyName,
    group: Annotated[
        list[str] | None, typer.Option("--group", help="A group's key: COLUMN=VALUE, once per column.")
    ] = None,
    resolved: Annotated[
        bool, typer.Option("--resolved", help="Show every single value that it depends on, and where that comes from.")
    ] = False,
    candidate: OfCandidate = False,
    output: Annotated[ShowOutput, typer.Option("--output", "-o", help="What to write.")] = ShowOutput.TEXT,
) -> None:
    """Show a family: its definition and where each value is written, its versions; or one group's outcome."""
    from modelfactory.cli.listing import write_details, write_group, write_resolved
    from modelfactory.commands.inspect import resolve_family, show_family, show_group
    from modelfactory.commands.workspace import open_workspace

    if resolved and group:
        raise typer.BadParameter("--resolved shows a family's definition, --group a group's outcome")
    if resolved and candidate:
        raise typer.BadParameter("--resolved shows the definition as it is now, --candidate what was trained")
    as_json = output == ShowOutput.JSON
    if candidate and not group:
        _show_candidate(call, family, as_json=as_json)
        return
    workspace = open_workspace(call.options)
    if resolved:
        values = resolve_family(workspace, family, given=call.options.variables)
        write_resolved(call.console, family, values, as_json=as_json)
    elif group:
        write_group(call.console, show_group(workspace, family, group, candidate=candidate), as_json=as_json)
    else:
        write_details(call.console, show_family(workspace, family), as_json=as_json, now=datetime.now(UTC))


def _show_candidate(call: Invocation, family: str, *, as_json: bool) -> None:
    from modelfactory.cli.version_text import candidate_json, candidate_parts
    from modelfactory.commands.candidates import show_candidate

    found = show_candidate(call.options, family)
    if as_json:
        call.console.data(candidate_json(found))
    else:
        call.console.parts(candidate_parts(found))
