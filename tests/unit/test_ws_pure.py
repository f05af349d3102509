"""The other pure parts of a node: the conversation, the wheel, the bucket, the frames."""

import pytest
from websockets.frames import Frame, Opcode

from shared import messages
from shared.messages import parse
from ws_server.framing import binary_frame, text_frame
from ws_server.limits import TokenBucket
from ws_server.session import NOTHING, PONG, Action, Answer, Confirm, Enqueue, Stage, StartLogin, decide
from ws_server.wheel import Wheel


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 70000])
def test_frames_are_what_the_library_would_write(size: int) -> None:
    body = b"x" * size
    assert text_frame(body) == Frame(Opcode.TEXT, body).serialize(mask=False)
    assert binary_frame(body) == Frame(Opcode.BINARY, body).serialize(mask=False)


def test_before_login_only_login_and_ping_are_understood() -> None:
    assert decide(Stage.OPEN, None, parse({"type": "ping"})) is PONG
    assert isinstance(decide(Stage.OPEN, None, parse({"type": "login", "app": "a", "data": ""})), StartLogin)
    for message in ({"type": "click", "id": 3}, {"type": "subscribe", "channel": "c", "id": 3}):
        answer = decide(Stage.OPEN, None, parse(message))
        assert answer == Answer({"type": "error", "msg": "You need to login first", "code": "login", "id": 3})


@pytest.mark.parametrize("stage", [Stage.LOGGING_IN, Stage.READY])
def test_after_login_messages_queue_up_in_order(stage: Stage) -> None:
    for message in ({"type": "click"}, {"type": "click", "app": "a"}, {"type": "subscribe", "channel": "c"}):
        parsed = parse(dict(message))
        assert decide(stage, "a", parsed) == Enqueue(parsed)  # type: ignore[arg-type]


@pytest.mark.parametrize(("stage", "wanted"), [(Stage.LOGGING_IN, NOTHING), (Stage.READY, Confirm("1"))])
def test_an_ack_counts_after_the_login(stage: Stage, wanted: Action) -> None:
    assert decide(stage, "a", parse({"type": "ack", "ack": "1"})) == wanted


@pytest.mark.parametrize("stage", [Stage.LOGGING_IN, Stage.READY])
def test_a_message_for_another_app_never_gets_there(stage: Stage) -> None:
    answer = decide(stage, "a", parse({"type": "click", "app": "b", "id": "x"}))
    assert isinstance(answer, Answer)
    assert (answer.message["code"], answer.message["id"]) == ("app", "x")


def test_a_second_login_is_refused_without_ending_the_first() -> None:
    answer = decide(Stage.READY, "a", parse({"type": "login", "app": "b"}))
    assert isinstance(answer, Answer)
    assert answer.message["code"] == "login"


def test_login_without_app_has_the_text_of_the_original() -> None:
    with pytest.raises(messages.MessageError, match=r"^Missing App ID$"):
        parse({"type": "login", "data": "x"})


def test_the_wheel_brings_each_item_once_and_not_too_early() -> None:
    wheel: Wheel[str] = Wheel(0.5)
    wheel.add(10.0, "a")
    wheel.add(10.6, "b")
    assert wheel.due(9.9) == []
    assert wheel.due(10.4) == []
    assert wheel.due(10.5) == ["a"]
    assert wheel.due(30.0) == ["b"]
    assert wheel.due(60.0) == []


def test_what_is_added_late_comes_up_next() -> None:
    wheel: Wheel[str] = Wheel(0.5)
    assert wheel.due(100.0) == []
    slot = wheel.add(3.0, "late")
    assert wheel.due(100.6) == ["late"]
    wheel.remove(slot, "late")
    gone = wheel.add(103.0, "gone")
    wheel.remove(gone, "gone")
    assert wheel.due(200.0) == []


def test_the_bucket_allows_a_burst_of_twice_the_rate_then_the_rate() -> None:
    bucket = TokenBucket(10, now=0.0)
    assert [bucket.take(0.0) for _ in range(21)].count(True) == 20
    assert bucket.take(0.1)
    assert not bucket.take(0.1)
    assert all(TokenBucket(0, 0.0).take(0.0) for _ in range(1000))
