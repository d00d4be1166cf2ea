"""Commands on versions that are there: publish, rollback, prune, forget."""

from __future__ import annotations

from typing import Annotated

import typer

from modelfactory.cli.options import Exclude, FamilyName, Select, Selector, ShowOutput, State
from modelfactory.cli.running import Invocation, choice_of, command


def register(app: typer.Typer) -> None:
    """Make these functions commands of an app."""
    command(app, panel="Versions")(publish)
    command(app, panel="Versions")(rollback)
    command(app, panel="Versions")(prune)
    command(app, panel="Versions")(forget)


def publish(
    call: Invocation,
    family: FamilyName,
    candidate: Annotated[
        bool, typer.Option("--candidate", help="The version that a test or `max_failed` has held back.")
    ] = False,
) -> None:
    """Publish the version of a family that a build has held back."""
    from modelfactory.commands.candidates import publish as publish_candidate

    if not candidate:
        raise typer.BadParameter(f"`mf publish {family} --candidate`; `mf build` publishes all others")
    manifest = publish_candidate(call.options, family)
    call.console.note(f"family {family}: version {manifest.current} is current now")


def rollback(
    call: Invocation,
    family: FamilyName,
    to: Annotated[int, typer.Option("--to", min=1, help="Number of the version that is to be current.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything and change nothing.")] = False,
) -> None:
    """Make another version of a family the current one again, in one step; nothing is trained or deleted."""
    from modelfactory.commands.history import roll_back

    done = roll_back(call.options, family, to, dry_run=dry_run)
    now = done.manifest.version()
    if not done.changed or now is None:
        call.console.note(f"version {to} of family {family} is current already")
        return
    would = "would be" if dry_run else "is"
    call.console.note(f"family {family}: version {done.before} was current, version {to} {would} now")
    before = done.manifest.version(done.before)
    if before is not None and before.fingerprints.definition != now.fingerprints.definition:
        call.console.note("it was trained from another definition; `mf diff` shows how the files differ from it")
    call.console.note(f"the next build trains version {done.manifest.highest + 1}")


def prune(
    call: Invocation,
    select: Select = None,
    exclude: Exclude = None,
    selector: Selector = None,
    state: State = None,
    keep: Annotated[
        int | None,
        typer.Option("--keep", min=1, help="How many of the newest versions stay; 5 if not given."),
    ] = None,
    delete: Annotated[
        bool, typer.Option("--delete", help="Delete; without it, only what would be deleted is listed.")
    ] = False,
    output: Annotated[ShowOutput, typer.Option("--output", "-o", help="What to write.")] = ShowOutput.TEXT,
) -> None:
    """List old versions and leftovers that nothing needs, and delete them with --delete.

    The current version stays, and what a version that stays needs.
    """
    from modelfactory.cli.version_text import prune_json, prune_summary, prune_table
    from modelfactory.commands.history import prune_families
    from modelfactory.commands.workspace import open_workspace
    from modelfactory.store.history import KEEP

    keep = KEEP if keep is None else keep
    workspace = open_workspace(call.options, choice_of(select, exclude, selector, state), whole=False)
    call.console.opened(workspace)
    found = prune_families(workspace, keep=keep, delete=delete)
    if output == ShowOutput.JSON:
        call.console.data(prune_json(found, keep=keep, deleted=delete))
    elif any(family.versions or family.leftovers for family in found.families):
        call.console.table(prune_table(found, width=call.console.out.width))
    for line in prune_summary(found, deleted=delete):
        call.console.note(line)
    for error in found.errors:
        call.console.error(error)
    if found.errors:
        raise typer.Exit(max(error.exit_code for error in found.errors))


def forget(
    call: Invocation,
    family: FamilyName,
    key: Annotated[
        list[str],
        typer.Argument(
            metavar="COLUMN=VALUE",
            help="The group's key, once per column; of some columns alone, all groups with these values.",
        ),
    ],
    delete: Annotated[
        bool, typer.Option("--delete", help="Delete; without it, only what would be deleted is listed.")
    ] = False,
    output: Annotated[ShowOutput, typer.Option("--output", "-o", help="What to write.")] = ShowOutput.TEXT,
) -> None:
    """List the rows and models of a group in all versions of a family, and delete them for good with --delete.

    What stays is that something was forgotten, and not what.
    """
    from modelfactory.cli.version_text import forget_json, forget_summary, forget_table
    from modelfactory.commands.forgetting import forget_groups

    found = forget_groups(call.options, family, key, delete=delete)
    if output == ShowOutput.JSON:
        call.console.data(forget_json(found))
    elif found.forgotten.losses:
        call.console.table(forget_table(found, width=call.console.out.width))
    for line in forget_summary(found):
        call.console.note(line)
