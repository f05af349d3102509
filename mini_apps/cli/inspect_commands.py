"""The commands that look into a running deployment: `inspect`, `top`, `tail`."""

from typing import Annotated

import typer

from mini_apps.cli.options import AsJson, OfDev, of_dev

inspect = typer.Typer(help="See what a running deployment is doing.", no_args_is_help=True)

AnyApp = Annotated[str, typer.Option("--app", help="Only this app.")]
Most = Annotated[int, typer.Option("--limit", help="The most shown.", min=1)]
OneApp = Annotated[str, typer.Option("--app", help="The app's name; needed when there are several.")]


@inspect.command("nodes")
def nodes(context: typer.Context, as_json: AsJson = False, port: OfDev = None) -> None:
    """Show the processes: what each is, how full and how busy."""
    from mini_apps.cli.inspect import looking
    from mini_apps.cli.inspect import nodes as command

    looking.run(of_dev(context, port), command.showing(as_json=as_json))


@inspect.command("bots")
def bots(context: typer.Context, as_json: AsJson = False, port: OfDev = None) -> None:
    """Show how each app's bot is doing, and why (as `mini-apps bots`)."""
    from mini_apps.cli import bots as command

    command.show(of_dev(context, port), as_json=as_json)


@inspect.command("lanes")
def lanes(context: typer.Context, app: OneApp = "", as_json: AsJson = False, port: OfDev = None) -> None:
    """Show what waits in each lane, and who has it (as `lanes show`)."""
    from mini_apps.cli import lanes as command

    command.run(of_dev(context, port), app, command.showing(as_json=as_json))


@inspect.command("channels")
def channels(
    context: typer.Context,
    pattern: Annotated[str, typer.Argument(help="Names, such as game:*", metavar="[PATTERN]")] = "*",
    app: AnyApp = "",
    limit: Most = 100,
    as_json: AsJson = False,
    port: OfDev = None,
) -> None:
    """Show channels: who hears them, what is kept, who is there."""
    from mini_apps.cli.inspect import channels as command
    from mini_apps.cli.inspect import looking

    looking.run(of_dev(context, port), command.channels(app, pattern, limit, as_json=as_json))


@inspect.command("presence")
def presence(
    context: typer.Context,
    channel: Annotated[str, typer.Argument(help="The channel; none: all, with how many.", metavar="[CHANNEL]")] = "",
    app: AnyApp = "",
    limit: Most = 100,
    as_json: AsJson = False,
    port: OfDev = None,
) -> None:
    """Show who is in a channel, and on which nodes."""
    from mini_apps.cli.inspect import channels as command
    from mini_apps.cli.inspect import looking

    looking.run(of_dev(context, port), command.presence(app, channel, limit, as_json=as_json))


@inspect.command("calls")
def calls(
    context: typer.Context, app: AnyApp = "", limit: Most = 10, as_json: AsJson = False, port: OfDev = None
) -> None:
    """Show Bot API calls that wait, and what holds them up."""
    from mini_apps.cli.inspect import calls as command
    from mini_apps.cli.inspect import looking

    looking.run(of_dev(context, port), command.showing(app, limit, as_json=as_json))


@inspect.command("dead")
def dead(
    context: typer.Context, app: OneApp = "", limit: Most = 50, as_json: AsJson = False, port: OfDev = None
) -> None:
    """Show the updates that were given up (as `dead list`)."""
    from mini_apps.cli import dead as command
    from mini_apps.cli import lanes as redis

    redis.run(of_dev(context, port), app, command.listing(limit=limit, as_json=as_json))


@inspect.command("keys")
def keys(
    context: typer.Context,
    pattern: Annotated[
        str, typer.Argument(help="Keys behind the prefix, such as counter:own:*", metavar="[PATTERN]")
    ] = "",
    limit: Annotated[int, typer.Option("--limit", help="The most keys looked at.", min=1)] = 100_000,
    as_json: AsJson = False,
    port: OfDev = None,
) -> None:
    """Show what Redis holds, by kind of key; or the keys of a pattern."""
    from mini_apps.cli.inspect import keys as command
    from mini_apps.cli.inspect import looking

    looking.run(of_dev(context, port), command.showing(pattern, limit, as_json=as_json))


def top(
    context: typer.Context,
    app: AnyApp = "",
    every: Annotated[float, typer.Option(help="Seconds between two looks.", min=0.2)] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="Look once and end.")] = False,
    as_json: AsJson = False,
    port: OfDev = None,
) -> None:
    """Watch nodes, lanes, bots and calls; q quits."""
    from mini_apps.cli.inspect import looking
    from mini_apps.cli.inspect import top as command

    looking.run(of_dev(context, port), command.showing(app, every, once=once, as_json=as_json))


def tail(  # noqa: PLR0917 - each is an option
    context: typer.Context,
    app: AnyApp = "",
    user: Annotated[int, typer.Option(help="Only what is to or from this Telegram id.")] = 0,
    channel: Annotated[str, typer.Option(help="Only channels such as game:*")] = "",
    trace: Annotated[str, typer.Option(help="Only this correlation id (logs show it as trace), or its begin.")] = "",
    kind: Annotated[
        list[str] | None, typer.Option(help="Only messages, commands, signals, updates, calls or results.")
    ] = None,
    bodies: Annotated[bool, typer.Option("--bodies", help="Show what people wrote; secrets stay hidden.")] = False,
    limit: Annotated[int, typer.Option(help="End after so many lines.", min=0)] = 0,
    seconds: Annotated[float, typer.Option(help="End after so long.", min=0)] = 0.0,
    as_json: AsJson = False,
    port: OfDev = None,
) -> None:
    """Watch what passes: messages, updates, calls of the bot.

    For looking into trouble: it hears all messages of the apps, so leave it off on a busy deployment.
    """
    from mini_apps.cli.inspect import looking
    from mini_apps.cli.inspect import tail as command

    kinds = command.kinds_of(kind or [])
    found = command.Filter(user, channel, trace, kinds)
    looking.run(of_dev(context, port), command.showing(command.Ask(app, found, bodies, limit, seconds, as_json)))
