"""The page docs/settings.md, written from the settings' own declarations.

`python -m shared.settings.docs > docs/settings.md` writes it anew.
"""

import json
import sys
from collections.abc import Iterator
from inspect import cleandoc
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from shared.settings.app import AppSettings
from shared.settings.model import SECTIONS, Section, TelegramSettings, WsAppSettings, file_key, shown
from shared.settings.sources import variable_name
from shared.settings.types import is_secret

INTRODUCTION = """\
# Settings

<!-- Written by `python -m shared.settings.docs > docs/settings.md`; change the text in shared/settings/. -->

All processes read one file, TOML or JSON by its suffix: the one `--settings` names, else the one the environment
variable `MINI_APPS_SETTINGS` names, else `mini-apps.toml` in the working directory. Without a file the environment is
enough.

- In keys `-` and `_` are the same. Relative paths start from the file's folder.
- Every key can be set by an environment variable, which wins over the file: `MINI_APPS__REDIS__URL`,
  `MINI_APPS__APPS__COUNTER__BOT_TOKEN`, in any case. A list is JSON or separated by commas, a table is JSON; one key
  inside a table has a variable too (`MINI_APPS__APPS__COUNTER__FAKE_USER__ID`). An empty variable counts as not set,
  except for texts and lists.
- A secret (marked †) can be read from a file: `MINI_APPS__APPS__COUNTER__BOT_TOKEN_FILE=/run/secrets/token`, or
  `bot-token-file = "token.txt"`. The content is stripped.
- `[apps]` is read again while a process runs: when the settings file or a secret file changed (seen within 3 s), and at
  SIGHUP. See [Changing apps while they run](deploy.md#changing-apps-while-they-run). Everything else needs a restart.
- In every limit 0 means none. Times are in seconds, sizes in bytes.
- All mistakes are reported at once, a line each. `mini-apps settings` shows what is in force, without secrets.
"""

APPS = """\
One section for each app. Its name is in its addresses and Redis keys: `a-z` and `0-9`, then also `_` and `-`. Keys that
are not listed are the app's own and reach it as `self.settings.get("my-key")`.
"""

INHERITED = """\
An app may also set these for itself; unset, it has those of the global sections:
"""


def document() -> str:
    """Write the whole page."""
    return "\n".join([INTRODUCTION, *(_part(name, section) for name, section in SECTIONS.items()), _apps()])


def _part(name: str, section: type[Section]) -> str:
    return f"## [{name}]\n\n{cleandoc(section.__doc__ or '')}\n\n" + _table((name,), section, set())


def _apps() -> str:
    inherited = {*TelegramSettings.model_fields, *WsAppSettings.model_fields}
    keys = ", ".join(f"`{shown(name)}`" for name in AppSettings.model_fields if name in inherited)
    return f"## [apps.NAME]\n\n{APPS}\n{_table(('apps', 'NAME'), AppSettings, inherited)}\n{INHERITED}{keys}.\n"


def _table(place: tuple[str, ...], section: type[Section], without: set[str]) -> str:
    rows = ["| key | default | meaning | environment |", "|---|---|---|---|"]
    rows += [_row(place, name, field) for name, field in _fields(section) if name not in without]
    return "\n".join(rows) + "\n"


def _fields(section: type[Section]) -> Iterator[tuple[str, FieldInfo]]:
    """Give the section's own settings before those it shares with the apps."""
    shared = [
        name for name in section.model_fields if section is not WsAppSettings and name in WsAppSettings.model_fields
    ]
    yield from ((name, field) for name, field in section.model_fields.items() if name not in shared)
    yield from ((name, section.model_fields[name]) for name in shared)


def _row(place: tuple[str, ...], name: str, field: FieldInfo) -> str:
    key = file_key(name, field)
    mark = " †" if is_secret(field) else ""
    default = _default(field.default)
    return f"| `{shown(key)}`{mark} | {default} | {field.description} | `{variable_name((*place, key))}` |"


def _default(value: Any) -> str:
    if value is None or value == "":
        return ""
    if isinstance(value, SecretStr):  # a default is public
        value = value.get_secret_value()
    return f"`{json.dumps(value)}`"


if __name__ == "__main__":
    sys.stdout.write(document())
