"""The commands about updates that wait and updates that were given up: `lanes`, `dead`."""

from typing import Annotated

import typer

from mini_apps.cli.options import AppName, AsJson, OfDev, of_dev, settings_file

dead = typer.Typer(help="See, retry or drop the updates that were given up.", no_args_is_help=True)
lanes = typer.Typer(help="See an app's lanes, change their number.", no_args_is_help=True)

LetterId = Annotated[str, typer.Argument(help="The letter's id, as `dead list` shows it.", metavar="ID")]
LetterIds = Annotated[list[str] | None, typer.Argument(help="The letters' ids.", metavar="ID…")]
All = Annotated[bool, typer.Option("--all", help="All there are.")]


@dead.command("list")
def dead_list(
    context: typer.Context,
    app: AppName = "",
    limit: Annotated[int, typer.Option(help="The newest so many.", min=1)] = 50,
    as_json: AsJson = False,
    port: OfDev = None,
) -> None:
    """List the updates that were given up, and why."""
    from mini_apps.cli import dead as command
    from mini_apps.cli import lanes as redis

    redis.run(of_dev(context, port), app, command.listing(limit=limit, as_json=as_json))


@dead.command("show")
def dead_show(
    context: typer.Context, letter: LetterId, app: AppName = "", as_json: AsJson = False, port: OfDev = None
) -> None:
    """Show one of them: reason, update, traceback."""
    from mini_apps.cli import dead as command
    from mini_apps.cli import lanes as redis

    redis.run(of_dev(context, port), app, command.showing(letter, as_json=as_json))


@dead.command("retry")
def dead_retry(
    context: typer.Context, letters: LetterIds = None, app: AppName = "", everything: All = False, port: OfDev = None
) -> None:
    """Try them again, behind what their chats have waiting."""
    from mini_apps.cli import dead as command
    from mini_apps.cli import lanes as redis

    redis.run(of_dev(context, port), app, command.retrying(letters or [], everything=everything))


@dead.command("drop")
def dead_drop(
    context: typer.Context,
    letters: LetterIds = None,
    app: AppName = "",
    everything: All = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    port: OfDev = None,
) -> None:
    """Forget them for good."""
    from mini_apps.cli import dead as command
    from mini_apps.cli import lanes as redis

    action = command.dropping(letters or [], everything=everything)
    if everything and not yes:
        typer.confirm("Forget all dead letters for good?", abort=True)
    redis.run(of_dev(context, port), app, action)


@lanes.command("show")
def lanes_show(context: typer.Context, app: AppName = "", as_json: AsJson = False, port: OfDev = None) -> None:
    """Show what waits in each lane, and which bot worker has it."""
    from mini_apps.cli import lanes as command

    command.run(of_dev(context, port), app, command.showing(as_json=as_json))


@lanes.command("resize")
def lanes_resize(
    context: typer.Context, number: Annotated[int, typer.Argument(help="How many lanes.")], app: AppName = ""
) -> None:
    """Change the number of lanes, while no gateway and no bot worker runs."""
    from mini_apps.cli import lanes as command

    command.run(settings_file(context), app, command.resizing(number))
