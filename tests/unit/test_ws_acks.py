"""What clients confirm: only what was sent to them, once, while it is fresh, and within a bound."""

from ws_server.acks import FRESH_SECONDS, Acks


def test_an_ack_counts_once_and_only_from_its_user() -> None:
    acks = Acks()
    acks.expect("a1", "ma:chat:user:{x}:1", "bot-1", 0.0)
    assert acks.confirm("a1", "ma:chat:user:{x}:2", 1.0) is None
    assert acks.confirm("a1", "ma:other:user:{x}:1", 1.0) is None
    assert acks.confirm("a1", None, 1.0) is None
    assert acks.confirm("a2", "ma:chat:user:{x}:1", 1.0) is None
    assert acks.confirm("a1", "ma:chat:user:{x}:1", 1.0) == "bot-1"
    assert acks.confirm("a1", "ma:chat:user:{x}:1", 1.0) is None


def test_an_old_ack_does_not_count_and_is_forgotten() -> None:
    acks = Acks()
    acks.expect("a1", "u", "bot-1", 0.0)
    assert acks.confirm("a1", "u", FRESH_SECONDS) is None
    acks.expect("a2", "u", "bot-1", FRESH_SECONDS)
    assert len(acks) == 1


def test_at_the_bound_the_oldest_gives_way() -> None:
    acks = Acks(bound=2)
    for number in (1, 2, 3):
        acks.expect(f"a{number}", "u", "bot-1", float(number))
    assert len(acks) == 2
    assert acks.confirm("a1", "u", 4.0) is None
    assert acks.confirm("a2", "u", 4.0) == "bot-1"
