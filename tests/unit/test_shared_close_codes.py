"""The close codes: their ranges carry the policy, and the documentation has the same table."""

import re
from pathlib import Path

from shared.close_codes import CloseCode

PROTOCOL = Path(__file__).parents[2] / "docs" / "protocol.md"


def test_the_range_says_whether_to_come_back() -> None:
    back = {
        CloseCode.NORMAL,
        CloseCode.ABNORMAL,
        CloseCode.INTERNAL_ERROR,
        CloseCode.LOGIN_TIMEOUT,
        CloseCode.SLOW_CONSUMER,
    }
    back |= {CloseCode.TOO_MANY_MESSAGES, CloseCode.NODE_FULL, CloseCode.DRAINING, CloseCode.RESYNC}
    back |= {CloseCode.NO_BROKER}
    assert {code for code in CloseCode if not code.for_good} == back


def test_codes_are_codes_that_can_happen() -> None:
    assert all(code in (1000, 1006, 1011) or 4000 <= code <= 4999 for code in CloseCode)
    assert all(0 < len(code.reason.encode()) <= 123 for code in CloseCode)  # RFC 6455, section 5.5


def test_the_documentation_has_the_same_table() -> None:
    rows = re.findall(r"^\| (\d{4}) \| (\w+) \|", PROTOCOL.read_text(), re.MULTILINE)
    assert [(int(code), name) for code, name in rows] == [(int(code), code.name) for code in CloseCode]
