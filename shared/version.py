"""The version of this package, for the register of processes and for people."""

import functools
from importlib.metadata import PackageNotFoundError, version

DISTRIBUTION = "mini-apps-mesh"


@functools.cache
def package_version() -> str:
    """Return the installed version, or `checkout` where the packages run without being installed."""
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return "checkout"
