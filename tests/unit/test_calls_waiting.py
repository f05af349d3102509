"""Who is asked for next: plain values in, plain values out."""

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from bot_worker.calls.waiting import Lane, Waiting

NOW = 100.0


def names(lines):
    return [(line.lane, line.chat) for line in lines]


def test_interactive_calls_are_asked_for_before_bulk_ones():
    waiting = Waiting()
    waiting.add(Lane.BULK, "1", "b")
    waiting.add(Lane.INTERACTIVE, "2", "i")
    waiting.add(Lane.FREE, "", "f")
    assert names(waiting.take(NOW, 10)) == [(Lane.FREE, ""), (Lane.INTERACTIVE, "2"), (Lane.BULK, "1")]


def test_a_lane_that_is_held_keeps_its_order_and_stops_no_other():
    waiting = Waiting()
    for chat in "123":
        waiting.add(Lane.BULK, chat, chat)
    waiting.hold(waiting.take(NOW, 2), NOW + 1)
    assert waiting.take(NOW, 10) == []
    waiting.add(Lane.INTERACTIVE, "9", "i")
    assert names(waiting.take(NOW, 10)) == [(Lane.INTERACTIVE, "9")]
    assert waiting.next() == NOW + 1
    assert [line.chat for line in waiting.take(NOW + 1, 10)] == ["1", "2", "3"]


def test_a_chat_that_rests_is_in_nobodys_way():
    waiting = Waiting()
    waiting.add(Lane.INTERACTIVE, "1", "a")
    waiting.add(Lane.INTERACTIVE, "2", "b")
    first, second = waiting.take(NOW, 10)
    waiting.rest(first, NOW + 30)
    assert waiting.went(second) == ["b"]
    waiting.add(Lane.INTERACTIVE, "1", "c")  # joins the line that rests
    assert waiting.take(NOW, 10) == []
    assert waiting.next() == NOW + 30
    (line,) = waiting.take(NOW + 30, 10)
    assert waiting.went(line) == ["a"]
    assert waiting.went(waiting.take(NOW + 30, 10)[0]) == ["c"]
    assert (len(waiting), waiting.next()) == (0, None)


def test_chats_of_a_lane_take_turns():
    waiting = Waiting()
    for call in ("1a", "1b", "1c", "2a", "2b"):
        waiting.add(Lane.BULK, call[0], call)
    went = []
    while lines := waiting.take(NOW, 1):
        went += waiting.went(lines[0])
    assert went == ["1a", "2a", "1b", "2b", "1c"]


def test_calls_that_count_against_nothing_go_together():
    waiting = Waiting()
    for call in "abc":
        waiting.add(Lane.FREE, "", call)
    assert waiting.went(waiting.take(NOW, 10)[0]) == ["a", "b", "c"]


def test_who_left_is_not_asked_for():
    waiting = Waiting()
    waiting.add(Lane.BULK, "1", "a")
    waiting.remove(Lane.BULK, "1", "a")
    waiting.remove(Lane.BULK, "1", "a")
    assert len(waiting) == 0
    assert waiting.take(NOW, 10) == []
    waiting.add(Lane.BULK, "1", "b")
    assert waiting.went(waiting.take(NOW, 10)[0]) == ["b"]


def test_lines_that_are_dropped_give_their_calls_back():
    waiting = Waiting()
    for call in ("1a", "1b", "2a"):
        waiting.add(Lane.BULK, call[0], call)
    assert waiting.drop(waiting.take(NOW, 10)) == ["1a", "1b", "2a"]
    assert len(waiting) == 0
    waiting.add(Lane.BULK, "1", "1c")
    assert waiting.went(waiting.take(NOW, 10)[0]) == ["1c"]


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("add"), st.sampled_from(Lane), st.integers(0, 3)),
            st.tuples(st.just("take"), st.integers(1, 4), st.lists(st.sampled_from("wrhd"), min_size=4, max_size=4)),
            st.tuples(st.just("remove"), st.integers(0, 5), st.just(None)),
            st.tuples(st.just("later"), st.integers(0, 3), st.just(None)),
        )
    )
)
def test_nobody_is_lost_and_each_chat_keeps_its_order(steps):
    waiting, now, number = Waiting(), NOW, 0
    there, gone = {}, defaultdict(list)
    for kind, one, two in steps:
        if kind == "add":
            number += 1
            name = "" if one is Lane.FREE else str(two)
            waiting.add(one, name, number)
            there[number] = (one, name)
        elif kind == "remove" and there:
            call = sorted(there)[one % len(there)]
            waiting.remove(*there.pop(call), call)
        elif kind == "later":
            now += one
        elif kind == "take":
            held = []
            for line, what in zip(waiting.take(now, one), two, strict=False):
                if what == "w":
                    for call in waiting.went(line):
                        gone[there.pop(call)].append(call)
                elif what == "r":
                    waiting.rest(line, now + 1)
                elif what == "h":
                    held.append(line)
                else:
                    for call in waiting.drop([line]):
                        del there[call]
            waiting.hold(held, now + 2)
        assert len(waiting) == len(there)
        assert (waiting.next() is not None) >= bool(there)
    while there:
        now = max(now, waiting.next())
        for line in waiting.take(now, 100):
            for call in waiting.went(line):
                gone[there.pop(call)].append(call)
    assert all(calls == sorted(calls) for calls in gone.values())
