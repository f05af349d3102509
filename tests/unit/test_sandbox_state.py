"""The plain state of the sandbox: update queues, webhook plan, limits, pending queries."""

from random import Random

import pytest

from sandbox.config import RetryPolicy
from sandbox.limits import Limits
from sandbox.pending import Pending
from sandbox.updates import KEPT_SECONDS, QueueFullError, UpdateQueue
from sandbox.webhook_plan import DeliveryPlan


def filled(count, **options):
    queue = UpdateQueue(Random(1), **options)
    updates = [queue.append("message", {"n": n}, order_key=n % 2, now=100.0) for n in range(count)]
    return queue, [update.id for update in updates]


def ids(updates):
    return [update.id for update in updates]


def test_ids_follow_each_other():
    _, made = filled(3)
    assert made == [made[0], made[0] + 1, made[0] + 2]


def test_offset_confirms_what_lies_before():
    queue, made = filled(5)
    assert ids(queue.fetch(0, 100, 100.0)) == made
    assert ids(queue.fetch(0, 2, 100.0)) == made[:2], "0 confirms nothing"
    assert ids(queue.fetch(made[1] + 1, 2, 100.0)) == made[2:4]
    assert len(queue) == 3
    assert queue.fetch(made[-1] + 1, 100, 100.0) == []
    assert len(queue) == 0


def test_negative_offset_counts_from_the_end_and_forgets_the_rest():
    queue, made = filled(5)
    assert ids(queue.fetch(-2, 100, 100.0)) == made[3:]
    assert ids(queue.fetch(0, 100, 100.0)) == made[3:]
    assert ids(queue.fetch(-10, 100, 100.0)) == made[3:]


def test_updates_are_kept_a_day():
    queue, _ = filled(1)
    assert len(queue.fetch(0, 100, 100.0 + KEPT_SECONDS)) == 1
    assert queue.fetch(0, 100, 101.0 + KEPT_SECONDS) == []


def test_ids_start_anywhere_after_a_week_of_silence():
    queue, made = filled(1)
    queue.clear()
    update = queue.append("message", {}, order_key=1, now=100.0 + 8 * 24 * 3600)
    assert update.id != made[0] + 1


def test_allowed_updates():
    queue, _ = filled(0)
    assert queue.append("message_reaction", {}, order_key=1, now=1.0) is None, "not by default"
    queue.allowed = frozenset({"message_reaction"})
    assert queue.append("message_reaction", {}, order_key=1, now=1.0)
    assert queue.append("message", {}, order_key=1, now=1.0) is None


def test_a_full_queue_refuses_and_counts():
    queue, _ = filled(2, bound=2)
    with pytest.raises(QueueFullError):
        queue.append("message", {}, order_key=1, now=100.0)
    assert (len(queue), queue.refused) == (2, 1)


def test_webhook_keeps_order_in_a_chat_and_runs_chats_in_parallel():
    queue, made = filled(4)  # chats 0 1 0 1
    plan = DeliveryPlan(RetryPolicy(), connections=40)
    first = plan.due(queue, 100.0)
    assert ids(first) == made[:2]
    assert plan.due(queue, 100.0) == []
    plan.delivered(first[1])
    queue.discard([first[1]])
    assert ids(plan.due(queue, 100.0)) == [made[3]]


def test_webhook_holds_at_most_so_many_connections():
    queue, made = filled(4)
    plan = DeliveryPlan(RetryPolicy(), connections=1)
    assert ids(plan.due(queue, 100.0)) == made[:1]
    assert plan.due(queue, 100.0) == []


def test_webhook_backs_off_at_once_then_doubling():
    queue, _ = filled(1)
    plan = DeliveryPlan(RetryPolicy(), connections=1)
    now, waits = 100.0, []
    for _ in range(9):
        (update,) = plan.due(queue, now)
        plan.failed(update, now)
        waits.append(plan.next_retry() - now)
        assert waits[-1] == 0 or plan.due(queue, now) == []
        now = plan.next_retry()
    assert waits == [0, 2, 4, 8, 16, 32, 64, 120, 120]
    (update,) = plan.due(queue, now)
    plan.failed(update, now, retry_after=7.0)
    assert plan.next_retry() == now + 7


def test_limits_are_off_until_switched_on_then_hold_per_chat_and_overall():
    limits = Limits()
    assert all(limits.take(1, 0.0) is None for _ in range(100))
    limits.enabled = True
    assert [limits.take(1, 0.0) for _ in range(4)] == [None, None, None, 1]
    assert limits.take(2, 0.0) is None, "another chat is not held up"
    assert limits.take(1, 1.0) is None
    taken = [limits.take(chat, 1.0) for chat in range(10, 60)]
    assert taken.count(None) < 35
    assert taken[-1] <= 2


def test_groups_get_twenty_a_minute():
    limits = Limits()
    limits.enabled = True
    answers = [limits.take(-5, second / 1000) for second in range(21)]
    assert answers[:20] == [None] * 20
    assert answers[20] == 60
    assert limits.take(-6, 0.02) is None
    assert limits.take(-5, 59.9) == 1
    assert limits.take(-5, 60.1) is None
    assert limits.refused == {"group": 2}


def test_who_goes_on_in_spite_of_a_flood_wait_waits_longer():
    limits = Limits()
    limits.enabled = True
    answers = [limits.take(1, 0.0) for _ in range(35)]
    assert answers[:3] == [None] * 3
    assert answers[3:23] == [1] * 20, "what was on its way costs nothing more"
    assert answers[23:] == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300, 300]
    assert limits.take(1, 299.0) == 300
    assert limits.take(1, 599.5) is None
    assert limits.take(2, 600.0) is None, "the others were never silenced"


def test_paid_messages_have_a_limit_of_their_own():
    limits = Limits()
    limits.enabled = True
    paid = [limits.take(chat, 0.0, paid=True) for chat in range(1, 1200)]
    assert paid.count(None) == 1000
    assert limits.take(2000, 0.0) is None
    assert limits.refused == {"paid": 199}


def test_pending_forgets_by_time_and_bound():
    pending = Pending(10.0, bound=2)
    for name in "abc":
        pending.add(name, name.upper(), 0.0)
    assert pending.get("a", 0.0) is None
    assert pending.get("b", 10.0) == "B"
    assert pending.pop("b", 11.0) is None
    assert pending.pop("c", 1.0) == "C"
    assert pending.pop("c", 1.0) is None
