"""Bytes of a message and back."""

import contextlib

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.codec import DecodeError, decode_json, decode_msgpack, encode_json, encode_msgpack, json_to_msgpack

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
records = st.dictionaries(st.text(), values, max_size=5)


@given(records)
def test_both_forms_carry_the_same(message: dict[str, object]) -> None:
    assert decode_json(encode_json(message)) == message
    assert decode_msgpack(encode_msgpack(message)) == message
    assert decode_msgpack(json_to_msgpack(encode_json(message))) == message


@given(st.binary(max_size=200))
def test_bytes_are_a_message_or_a_decode_error(data: bytes) -> None:
    for decode in (decode_json, decode_msgpack):
        with contextlib.suppress(DecodeError):
            assert isinstance(decode(data), dict)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"\xff",
        b'{"a": 1} x',
        b"[1]",
        b'"text"',
        b"7",
        b"1.5",
        b"true",
        b"null",
        b'{"a": NaN}',
        b'{"a": "\xff"}',
        b'{"a": "\\ud800"}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
)
def test_what_is_no_json_message(data: bytes) -> None:
    with pytest.raises(DecodeError) as caught:
        decode_json(data)
    assert "\\xff" not in str(caught.value)
    assert len(str(caught.value)) < 100


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x81",
        msgpack.packb([1]),
        msgpack.packb(7),
        msgpack.packb(None),
        msgpack.packb({"a": 1}) + b"\x00",
        msgpack.packb({1: 2}),
        msgpack.packb({"a": {1: 2}}),
        msgpack.packb({"a": b"bytes"}),
        msgpack.packb({"a": msgpack.ExtType(5, b"x")}),
        msgpack.packb({"a": msgpack.Timestamp(1)}),
        b"\x81\xa1a\xa1\xff",
        b"\x81\xa1a\xdd\xff\xff\xff\xff",
        b"\x91" * 100_000,
        b"\x81\xa1a" * 300 + b"\xc0",
    ],
)
def test_what_is_no_msgpack_message(data: bytes) -> None:
    with pytest.raises(DecodeError):
        decode_msgpack(data)


@pytest.mark.parametrize("value", [{1, 2}, b"bytes", object(), 2**70])
def test_what_has_no_json_form(value: object) -> None:
    with pytest.raises(TypeError, match="no JSON form"):
        encode_json({"a": value})
