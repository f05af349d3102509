"""The better of two random nodes."""

import random
from collections import Counter

from gateway.node_list import pick
from shared.nodes import Node


def node(name: str, connections: int = 0, capacity: int = 0, *, draining: bool = False) -> Node:
    return Node(name, "ws", f"ws://{name}/ws", connections, capacity, draining=draining)


def test_nobody_to_pick() -> None:
    assert pick([]) is None
    assert pick([node("a", draining=True), node("b", 5, 5), node("c", 9, 5)]) is None


def test_draining_and_full_nodes_get_nobody() -> None:
    nodes = [node("a", draining=True), node("b", 10, 10), node("c", 9, 10)]
    assert {chosen.id for _ in range(50) if (chosen := pick(nodes))} == {"c"}


def test_the_less_loaded_of_the_two() -> None:
    nodes = [node("a", 7), node("b", 3), node("c", 5)]
    chosen = pick(nodes, lambda all_nodes, count: list(all_nodes[:count]))
    assert chosen is not None
    assert chosen.id == "b"
    chosen = pick(nodes, lambda all_nodes, count: [all_nodes[0], all_nodes[2]][:count])
    assert chosen is not None
    assert chosen.id == "c"


def test_equal_nodes_share_and_the_least_loaded_does_not_get_all() -> None:
    draw = random.Random(7)
    equal = [node(name) for name in "abcd"]
    counts = Counter(chosen.id for _ in range(2000) if (chosen := pick(equal, draw.sample)))
    assert set(counts) == set("abcd")
    assert max(counts.values()) < 700
    uneven = [node("a", 0), node("b", 1), node("c", 1), node("d", 1)]
    counts = Counter(chosen.id for _ in range(2000) if (chosen := pick(uneven, draw.sample)))
    assert 800 < counts["a"] < 1200  # a pair holds it half the time; "always the least loaded" would herd all to it


def test_clients_on_their_way_count() -> None:
    nodes = [node("a", 7), node("b", 3)]
    chosen = pick(nodes, coming=["b"] * 5)
    assert chosen is not None
    assert chosen.id == "a"


def test_equal_nodes_take_turns() -> None:
    nodes = [node("a"), node("b")]
    for last, first in (("a", "b"), ("b", "a")) * 10:
        chosen = pick(nodes, coming=[first, last])
        assert chosen is not None
        assert chosen.id == first
