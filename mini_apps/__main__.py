"""`python -m mini_apps` is the command `mini-apps`."""

import sys

from mini_apps.cli import main

if __name__ == "__main__":
    sys.exit(main())
