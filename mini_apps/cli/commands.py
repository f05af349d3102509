"""The commands: their words and help. What they do is in the module each imports when it runs."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from mini_apps.cli import inspect_commands, lane_commands, packages, tied
from mini_apps.cli.broadcast_commands import broadcast
from mini_apps.cli.options import (
    AppName,
    AsJson,
    DevPort,
    Host,
    OfDev,
    Port,
    Reload,
    Shared,
    UserId,
    of_dev,
    settings_file,
)

app = typer.Typer(
    help="A Telegram Mini App's backend: gateway, bot worker and WebSocket nodes over Redis.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
users = typer.Typer(help="See, ban and promote an app's users.", no_args_is_help=True)
webhook = typer.Typer(help="See, set or delete an app's webhook.", no_args_is_help=True)
app.add_typer(users, name="users")
app.add_typer(webhook, name="webhook")
app.add_typer(lane_commands.dead, name="dead")
app.add_typer(lane_commands.lanes, name="lanes")
app.add_typer(broadcast, name="broadcast")
app.add_typer(inspect_commands.inspect, name="inspect")
app.command("top")(inspect_commands.top)
app.command("tail")(inspect_commands.tail)


@app.callback()
def root(
    context: typer.Context,
    settings: Annotated[
        Path | None,
        typer.Option(help="Settings file, TOML or JSON [default: $MINI_APPS_SETTINGS or mini-apps.toml]"),
    ] = None,
    end_with_parent: Annotated[bool, typer.Option("--tied", hidden=True)] = False,
) -> None:
    """Take the options of all commands."""
    if end_with_parent and context.invoked_subcommand != "valkey":  # that one watches for itself: it has a child
        tied.end_with_parent()
    context.obj = Shared(settings)
    packages.look_in(packages.author_folder(settings))


@app.command()
def dev(
    context: typer.Context,
    app: Annotated[str | None, typer.Argument(help="module:Class; none: the apps in the settings.")] = None,
    port: Annotated[int, typer.Option(help="First of six ports in a row; 0 looks for free ones.")] = 8080,
    redis: Annotated[str | None, typer.Option(help="A Redis or Valkey to use instead of the embedded one.")] = None,
    reload: Reload = False,
    no_sandbox: Annotated[
        bool, typer.Option("--no-sandbox", help="Use real Telegram with the real bot tokens.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show everything the processes log.")] = False,
) -> None:
    """Run everything here, with a local Telegram."""
    from mini_apps.cli.dev.command import Request, dev

    request = Request(app, port, redis, reload, not no_sandbox, verbose, settings_file(context))
    raise typer.Exit(dev(request))


@app.command()
def gateway(context: typer.Context, host: Host = "", port: Port = None) -> None:
    """Run a gateway: webhooks in, pages out."""
    from gateway.__main__ import main

    _serve(context, main, host, port)


@app.command()
def bot(context: typer.Context, host: Host = "", port: Port = None, reload: Reload = False) -> None:
    """Run a bot worker: Telegram's updates to the bot's hooks."""
    if reload:
        _reload(context, "bot", host, port)
    from bot_worker.__main__ import main

    _serve(context, main, host, port)


@app.command()
def ws(
    context: typer.Context,
    host: Host = "",
    port: Port = None,
    node_id: Annotated[str, typer.Option(help="Name of the node; overrides the settings.")] = "",
    reload: Reload = False,
) -> None:
    """Run a WebSocket node."""
    named = ("--node-id", node_id) if node_id else ()
    if reload:
        _reload(context, "ws", host, port, *named)
    from ws_server.__main__ import main

    _serve(context, main, host, port, *named)


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
def sandbox(context: typer.Context) -> None:
    """Run the local Telegram alone."""
    from sandbox.__main__ import main

    raise typer.Exit(main(context.args))


@app.command(hidden=True)
def valkey(port: int = 6379, folder: Path = Path()) -> None:
    """Hold the embedded Valkey for `dev`."""
    from mini_apps.cli.dev.valkey import hold

    raise typer.Exit(hold(port, folder))


@app.command()
def check(context: typer.Context) -> None:
    """Look for what is wrong, before users do.

    Settings, Redis, the apps' classes and pages, bot tokens, ports.
    """
    from mini_apps.cli.check import check

    raise typer.Exit(check(settings_file(context)))


@app.command()
def bots(context: typer.Context, as_json: AsJson = False, port: OfDev = None) -> None:
    """Show how each app's bot is doing, and why."""
    from mini_apps.cli import bots as command

    command.show(of_dev(context, port), as_json=as_json)


@app.command()
def client(
    context: typer.Context,
    app: AppName = "",
    url: Annotated[str, typer.Option(help="The node's ws:// address; none: ask the gateway.")] = "",
    user: Annotated[int, typer.Option(help="Telegram id to log in as.")] = 1001,
    name: Annotated[str, typer.Option(help="First name to log in with.")] = "Ada",
    init_data: Annotated[str, typer.Option(help="Log in with this instead of data signed here.")] = "",
    wait: Annotated[float, typer.Option(help="Seconds to go on listening after the last line of input.")] = 1.0,
    port: DevPort = 8080,
) -> None:
    """Log in to an app and talk to it.

    Each line typed is a message (`click by=2`, or JSON), each line shown one received.
    """
    from mini_apps.cli.terminal import Login, talk

    raise typer.Exit(talk(settings_file(context), port, Login(app, url, user, name, init_data, wait)))


@app.command("init-data")
def init_data(
    context: typer.Context,
    app: AppName = "",
    user: Annotated[int, typer.Option(help="The user's Telegram id.")] = 1001,
    name: Annotated[str, typer.Option(help="The user's first name.")] = "Ada",
    start_param: Annotated[str, typer.Option(help="The start parameter of the launch.")] = "",
    url: Annotated[bool, typer.Option("--url", help="Print the page's address with the data in it.")] = False,
    port: DevPort = 8080,
) -> None:
    """Print signed init data.

    As Telegram would hand it to the page, signed with the app's token.
    """
    from mini_apps.cli.launch import launch_string

    print(launch_string(settings_file(context), port, app, user, name, start_param, as_url=url))


@app.command()
def new(name: Annotated[str, typer.Argument(help="Folder and app name, such as counter.")]) -> None:
    """Write a small mini app into a new folder.

    App, page, test, settings and README, ready to run.
    """
    from mini_apps.cli.new import new

    for line in new(name, Path.cwd()):
        print(line)


@app.command()
def settings(
    context: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="As JSON, not TOML.")] = False
) -> None:
    """Print the effective settings, secrets hidden."""
    from mini_apps.cli.show_settings import show

    print(show(settings_file(context), as_json=as_json))


@app.command()
def version() -> None:
    """Print the version."""
    from shared.version import package_version

    print(f"mini-apps-mesh {package_version()} (Python {sys.version.split()[0]})")


@users.command("list")
def users_list(context: typer.Context, app: AppName = "", port: OfDev = None) -> None:
    """List who has logged in, who is an admin and who is banned."""
    from mini_apps.cli import users as command

    command.run(of_dev(context, port), app, command.show)


@users.command("admin")
def users_admin(
    context: typer.Context,
    user: UserId,
    app: AppName = "",
    off: Annotated[bool, typer.Option("--off", help="Take it back.")] = False,
    port: OfDev = None,
) -> None:
    """Make a user an admin, at once on every node."""
    from mini_apps.cli import users as command

    command.run(of_dev(context, port), app, command.setting_admin(user, is_admin=not off))


@users.command("ban")
def users_ban(context: typer.Context, user: UserId, app: AppName = "", port: OfDev = None) -> None:
    """Ban a user and close their connections on every node."""
    from mini_apps.cli import users as command

    command.run(of_dev(context, port), app, command.banning(user, banned=True))


@users.command("unban")
def users_unban(context: typer.Context, user: UserId, app: AppName = "", port: OfDev = None) -> None:
    """Let a banned user in again."""
    from mini_apps.cli import users as command

    command.run(of_dev(context, port), app, command.banning(user, banned=False))


@users.command("revoke")
def users_revoke(context: typer.Context, user: UserId, app: AppName = "", port: OfDev = None) -> None:
    """End all sessions of a user: a lost phone, a leaked token. Their pages log in again with init data; no ban."""
    from mini_apps.cli import users as command

    command.run(of_dev(context, port), app, command.revoking(user))


@users.command("disconnect")
def users_disconnect(
    context: typer.Context,
    user: UserId,
    app: AppName = "",
    code: Annotated[int, typer.Option(help="Close code; from 4500 on the pages stay away.")] = 1000,
    reason: Annotated[str, typer.Option(help="A short reason for the page.")] = "disconnected",
    port: OfDev = None,
) -> None:
    """Close a user's connections on every node; their pages come back by themselves."""
    from mini_apps.cli import users as command

    command.run(of_dev(context, port), app, command.disconnecting(user, code, reason))


@webhook.command("info")
def webhook_info(context: typer.Context, app: AppName = "") -> None:
    """Show what Telegram knows of the webhook."""
    from mini_apps.cli import webhook as command

    command.run(settings_file(context), app, command.info)


@webhook.command("set")
def webhook_set(
    context: typer.Context,
    app: AppName = "",
    drop_pending: Annotated[bool, typer.Option("--drop-pending", help="Forget updates from before.")] = False,
) -> None:
    """Tell Telegram to send the bot's updates to the gateway's public-url."""
    from mini_apps.cli import webhook as command

    command.run(settings_file(context), app, command.setting(drop_pending=drop_pending))


@webhook.command("delete")
def webhook_delete(
    context: typer.Context,
    app: AppName = "",
    drop_pending: Annotated[bool, typer.Option("--drop-pending", help="Forget updates that wait.")] = False,
) -> None:
    """Tell Telegram to keep the bot's updates for polling."""
    from mini_apps.cli import webhook as command

    command.run(settings_file(context), app, command.deleting(drop_pending=drop_pending))


def _serve(
    context: typer.Context, main: Callable[[Sequence[str]], int], host: str, port: int | None, *more: str
) -> None:
    """Hand on the options that were given to a service's own command line."""
    raise typer.Exit(main([*_options(context, host, port), *more]))


def _reload(context: typer.Context, command: str, host: str, port: int | None, *more: str) -> None:
    """Run the same command as a child that starts anew when the author saved a file."""
    from mini_apps.cli import reloading

    file = settings_file(context)
    raise typer.Exit(reloading.run([command, *_options(context, host, port), *more], file))


def _options(context: typer.Context, host: str, port: int | None) -> list[str]:
    file = settings_file(context)
    arguments = [*(("--settings", str(file)) if file else ()), *(("--host", host) if host else ())]
    return arguments + (["--port", str(port)] if port is not None else [])
