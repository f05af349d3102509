"""The close codes: their ranges carry the policy, and the documentation has the same table."""

import re
from pathlib import Path

import pytest
from websockets.exceptions import ProtocolError
from websockets.frames import Close

from shared.close_codes import CloseCode, check_code

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


@pytest.mark.parametrize("code", [1000, 1001, 1011, 3000, 4000, 4499, 4500, 4999])
def test_codes_that_can_be_sent(code: int) -> None:
    assert check_code(code) == code
    Close(code, "").serialize()


@pytest.mark.parametrize("code", [0, 5, 999, 1004, 1005, 1006, 1015, 2000, 5000, 99999])
def test_codes_that_cannot_be_sent_are_refused_where_they_are_given(code: int) -> None:
    with pytest.raises(ValueError, match=f"^{code} is no close code"):
        check_code(code)
    with pytest.raises(ProtocolError):
        Close(code, "").serialize()
