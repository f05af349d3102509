"""The page about scaling says what was measured last."""

from itertools import pairwise

from bench.scaling import BEGIN, END, PAGE, USERS, Costs, need, tables


def test_the_page_holds_what_the_results_say() -> None:
    shown = PAGE.read_text().partition(BEGIN)[2].partition(END)[0].strip()
    assert shown == tables(Costs.measured()), "run .venv/bin/python -m bench.scaling"


def test_more_users_need_no_less_of_anything() -> None:
    costs = Costs.measured()
    needs = [need(users, costs) for users in USERS]
    for few, many in pairwise(needs):
        assert few.nodes <= many.nodes
        assert few.shards <= many.shards
        assert few.node_cores < many.node_cores


def test_a_node_takes_no_more_than_its_connections() -> None:
    idle = Costs(6.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1e9)
    assert need(1_000_000, idle).nodes == 3  # 50,000 online, 20,000 a node
