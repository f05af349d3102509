"""The command `broadcast`: write to everybody the bot may write to."""

from typing import Annotated

import typer

from mini_apps.cli.options import AppName, OfDev, of_dev

broadcast = typer.Typer(help="Write to everybody the bot may write to.")

JobId = Annotated[str, typer.Argument(help="The broadcast's id, as `broadcast list` shows it.", metavar="ID")]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Do not follow it to its end.")]


@broadcast.callback(invoke_without_command=True)
def start(
    context: typer.Context,
    app: AppName = "",
    text: Annotated[str, typer.Option(help="What to say; with --photo the caption.")] = "",
    parse_mode: Annotated[
        str | None, typer.Option(help="HTML, MarkdownV2 or empty for none [default: the app's parse-mode]")
    ] = None,
    photo: Annotated[str, typer.Option(help="File id or address of a photo.")] = "",
    paid: Annotated[
        bool, typer.Option("--paid", help="Faster, for 0.1 Star a message (allow_paid_broadcast).")
    ] = False,
    no_wait: NoWait = False,
    port: OfDev = None,
) -> None:
    """Write to everybody the bot may write to; a bot worker sends it, behind all other calls."""
    if context.invoked_subcommand is not None:
        return
    if not text and not photo:
        raise typer.BadParameter("say something with --text, or send a --photo", param_hint="--text")
    from mini_apps.cli import broadcast as command
    from mini_apps.cli import users

    message = command.Message(text, parse_mode, photo, paid)
    users.run(of_dev(context, port), app, command.starting(message, wait=not no_wait))


@broadcast.command("list")
def list_(context: typer.Context, app: AppName = "", port: OfDev = None) -> None:
    """List the broadcasts, the newest first."""
    from mini_apps.cli import broadcast as command
    from mini_apps.cli import users

    users.run(of_dev(context, port), app, command.listing)


@broadcast.command()
def show(
    context: typer.Context,
    job: JobId,
    app: AppName = "",
    unknown: Annotated[bool, typer.Option("--unknown", help="Print the ids of whom nobody knows about.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Follow it to its end.")] = False,
    port: OfDev = None,
) -> None:
    """Show how far a broadcast is."""
    from mini_apps.cli import broadcast as command
    from mini_apps.cli import users

    users.run(of_dev(context, port), app, command.showing(job, unknown=unknown, wait=wait))


@broadcast.command()
def pause(context: typer.Context, job: JobId, app: AppName = "", port: OfDev = None) -> None:
    """Let a broadcast stop where it is."""
    _change(context, job, app, port, "pause")


@broadcast.command()
def resume(
    context: typer.Context,
    job: JobId,
    app: AppName = "",
    resend_unknown: Annotated[
        bool,
        typer.Option("--resend-unknown", help="Send to those again of whom nobody knows; some may get it twice."),
    ] = False,
    no_wait: NoWait = False,
    port: OfDev = None,
) -> None:
    """Let a paused broadcast go on."""
    from mini_apps.cli import broadcast as command
    from mini_apps.cli import users

    if resend_unknown:
        users.run(of_dev(context, port), app, command.resending(job, wait=not no_wait))
    else:
        _change(context, job, app, port, "resume")


@broadcast.command()
def cancel(context: typer.Context, job: JobId, app: AppName = "", port: OfDev = None) -> None:
    """End a broadcast for good."""
    _change(context, job, app, port, "cancel")


def _change(context: typer.Context, job: str, app: str, port: int | None, change: str) -> None:
    from mini_apps.cli import broadcast as command
    from mini_apps.cli import users

    users.run(of_dev(context, port), app, command.changing(job, change))
