"""Which keys belong together: names with what stands for something in capitals, as `docs/redis.md` writes them."""

import re
from typing import Final

CAPITALS: Final = tuple(  # the first that fits, for what is behind the prefix and the app
    (re.compile(pattern, re.DOTALL), name)
    for pattern, name in (
        (r"\{lane-(?:\d+|fast)\}:seen:\d+", r"{lane-N}:seen:BLOCK"),
        (r"\{lane-(?:\d+|fast)\}:(\w+)", r"{lane-N}:\1"),
        (r"(valid-after|revoked):\{[0-9a-f]{8}\}:.*", r"\1:{H}:USER"),
        (r"ids:\{[0-9a-f]{8}\}:.*:\d+", r"ids:{H}:NAME:BUCKET"),
        (r"([a-z-]+):\{[0-9a-f]{8}\}:.*", r"\1:{H}:NAME"),
        (r"\{calls\}:(done|file):.*", r"{calls}:\1:ID"),
        (r"\{calls\}:budget:(chat|group):.*", r"{calls}:budget:\1:CHAT"),
        (r"\{calls\}:broadcast:[0-9a-f]{8}(:open|:unknown)?", r"{calls}:broadcast:JOB\1"),
        (r"\{(?:poller|tasks|commands|lanes)\}:(lease|fence)", r"{ROLE}:\1"),
        (r"fsm:.*:(state|data)", r"fsm:CHAT:USER:DESTINY:\1"),
        (r"(notice|own):.*", r"\1:NAME"),
        (r"holds:.*", r"holds:OWNER"),
    )
)


def family(key: str, prefix: str) -> str:
    """Return what a key is called in the documentation.

    Args:
        key: whole.
        prefix: of the deployment.

    Returns:
        For example `ma:APP:{lane-N}:updates`; a key that nobody knows is returned as it is.
    """
    app, _, rest = key.removeprefix(f"{prefix}:").partition(":")
    if app == "_":
        return f"{prefix}:_:node:NODE" if rest.startswith("node:") else f"{prefix}:_:{rest}"
    for pattern, name in CAPITALS:
        if (found := pattern.fullmatch(rest)) is not None:
            return f"{prefix}:APP:{found.expand(name)}"
    return f"{prefix}:APP:{rest}"
