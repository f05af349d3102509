"""What a picture is by its bytes."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pictures import ALL, GIF, JPEG, PNG, WEBP, png
from shared.images import KINDS, BadImage, identify

EACH = [(suffix, raw) for suffix, raws in ALL.items() for raw in raws]


@pytest.mark.parametrize(("suffix", "raw"), EACH)
def test_each_kind_is_known_with_its_size(suffix: str, raw: bytes) -> None:
    image = identify(raw)
    assert (image.suffix, image.width, image.height, image.length) == (suffix, 3, 2, len(raw))
    assert image.content_type == KINDS[suffix]


@pytest.mark.parametrize(("suffix", "raw"), EACH)
def test_every_shorter_form_of_it_is_refused(suffix: str, raw: bytes) -> None:
    for length in range(len(raw)):
        with pytest.raises(BadImage):
            identify(raw[:length])


@pytest.mark.parametrize(("suffix", "raw"), EACH)
def test_what_follows_its_end_is_none_of_it(suffix: str, raw: bytes) -> None:
    for more in (b"<script>alert(1)</script>", b"PK\x03\x04", raw, b"\xff\xd9;"):
        assert identify(raw + more).length == len(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        b"<!doctype html><script>alert(1)</script>",
        b"%PDF-1.7",
        b"BM" + b"\0" * 60,
        b"RIFF\x24\0\0\0WAVEfmt ",
        b"------WebKitFormBoundary\r\nContent-Disposition: form-data\r\n\r\n" + PNG,
        b" " + PNG,
    ],
)
def test_what_is_no_picture_is_refused_by_its_type(raw: bytes) -> None:
    with pytest.raises(BadImage) as caught:
        identify(raw)
    assert caught.value.reason == "type"


@pytest.mark.parametrize(
    ("width", "height"), [(0, 1), (1, 0), (16_385, 1), (1, 16_385), (9_000, 9_000), (2**32 - 1, 2**32 - 1)]
)
def test_too_many_pixels_or_none_are_refused(width: int, height: int) -> None:
    with pytest.raises(BadImage) as caught:
        identify(png(width, height))
    assert caught.value.reason == "size"


def test_the_largest_phone_picture_passes() -> None:
    assert identify(png(8_000, 8_000)).width == 8_000


@given(st.sampled_from([PNG, GIF, WEBP, JPEG]), st.binary(max_size=200), st.integers(0, 400))
def test_whatever_stands_in_it_ends_in_a_picture_or_a_refusal(begin: bytes, noise: bytes, at: int) -> None:
    raw = begin[:at] + noise + begin[at:]
    with contextlib.suppress(BadImage):
        assert 0 < identify(raw).length <= len(raw)
