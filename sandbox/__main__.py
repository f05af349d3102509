"""`python -m sandbox`: serve the local Telegram until a signal."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from aiohttp import web

from sandbox.config import ConfigError, SandboxConfig, load, parse_app, parse_faults
from sandbox.server import create_app
from shared.lifecycle import Process, StartError, run
from shared.log import configure, get_logger
from shared.settings.model import LogSettings

DRAIN_SECONDS = 5.0

log = get_logger("sandbox")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sandbox and return its exit code."""
    options = _parser().parse_args(arguments)
    configure(LogSettings(level=options.log_level), process="sandbox")
    try:
        config = _config(options)
        app = create_app(config)
    except ConfigError as error:
        print(f"sandbox: {error}", file=sys.stderr)  # noqa: T201 - a command line tells its mistakes plainly
        return 2

    async def serve(process: Process) -> None:
        await _serve(process, app, config)

    return run(serve, "sandbox", drain_seconds=DRAIN_SECONDS)


async def _serve(process: Process, app: web.Application, config: SandboxConfig) -> None:
    # No access log: its lines hold tokens.
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=DRAIN_SECONDS / 2)
    await runner.setup()
    try:
        await _listen(runner, config)
        process.started()
        await process.stopping.wait()
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, config: SandboxConfig) -> None:
    try:
        await web.TCPSite(runner, config.host, config.port, backlog=1024).start()
    except OSError as error:
        raise StartError(
            f"cannot listen on {config.host}:{config.port} ({error.strerror}): "
            "stop what runs there, or give another --port"
        ) from error
    for address in runner.addresses:
        log.info("listening", host=address[0], port=address[1], bots=[bot.name for bot in config.bots])


def _config(options: argparse.Namespace) -> SandboxConfig:
    config = load(options.config) if options.config else SandboxConfig()
    return replace(
        config,
        host=options.host or config.host,
        port=config.port if options.port is None else options.port,
        bots=(*config.bots, *parse_app(options.app)),
        limits=options.limits or config.limits,
        faults=(*config.faults, *parse_faults(options.fault)),
        allow_remote=options.allow_remote or config.allow_remote,
        allow_real_token=options.allow_real_token or config.allow_real_token,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sandbox", description="A local Telegram: Bot API and phones in a web page.")
    parser.add_argument("--config", type=Path, help="JSON file with host, port, bots, users, limits")
    parser.add_argument("--host", help="address to listen on (default 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to listen on (default 8083)")
    parser.add_argument("--app", action="append", default=[], metavar="NAME=TOKEN,URL", help="a bot and its mini app")
    parser.add_argument("--limits", action="store_true", help="switch Telegram's sending limits on")
    parser.add_argument("--fault", action="append", default=[], metavar="JSON", help="something that shall go wrong")
    parser.add_argument("--allow-remote", action="store_true", help="let other machines in (they can act as any user)")
    parser.add_argument("--allow-real-token", action="store_true", help="accept a token that looks like Telegram's")
    parser.add_argument("--log-level", default="info", help="debug, info, warning, error")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
