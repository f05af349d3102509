"""Print what the project depends on, a requirement a line, for an image layer that changes with these only."""

import argparse
import tomllib
from pathlib import Path


def main() -> None:
    """Read `pyproject.toml` of the working directory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--extra", action="append", default=[], help="an optional group to add")
    parser.add_argument("--without", action="append", default=[], help="a package to leave out")
    options = parser.parse_args()
    project = tomllib.loads(Path("pyproject.toml").read_text("utf-8"))["project"]
    groups = [project["dependencies"], *(project["optional-dependencies"][extra] for extra in options.extra)]
    for requirement in (requirement for group in groups for requirement in group):
        if not requirement.startswith(tuple(options.without)):
            print(requirement)  # noqa: T201 - its output is what it is for


if __name__ == "__main__":
    main()
