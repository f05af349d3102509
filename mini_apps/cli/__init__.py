"""The command `mini-apps`. Each command imports what it needs when it runs, so that the light ones stay quick."""

import sys
from collections.abc import Sequence

from mini_apps.cli.packages import check_packages
from mini_apps.cli.problem import EXIT_USAGE, Problem
from mini_apps.cli.words import settings_first


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; 2 for wrong usage or settings, 1 for other failures.

    Args:
        arguments: as on the command line, without the program's name; those of the process when not given.
    """
    try:
        check_packages()
    except Problem as problem:
        return _fail(problem)

    from mini_apps.cli.commands import app
    from shared.settings import SettingsError

    try:
        app(args=settings_first(sys.argv[1:] if arguments is None else arguments), prog_name="mini-apps")
    except Problem as problem:
        return _fail(problem)
    except SettingsError as error:
        print(*error.mistakes, sep="\n", file=sys.stderr)
        return EXIT_USAGE
    except SystemExit as end:  # how typer ends, each time
        return end.code if isinstance(end.code, int) else 0
    return 0


def _fail(problem: Problem) -> int:
    print(f"mini-apps: {problem}", file=sys.stderr)
    return problem.code
