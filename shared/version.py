"""The version of this package, for the register of processes and for people."""

from importlib.metadata import PackageNotFoundError, version

DISTRIBUTION = "mini-apps-mesh"


def package_version() -> str:
    """Return the installed version, or `checkout` where the packages run without being installed."""
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return "checkout"
