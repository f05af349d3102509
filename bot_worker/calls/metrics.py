"""What a bot worker counts of the Bot API calls it makes; `docs/metrics.md` is made of it."""

from prometheus_client import Counter, Gauge, Histogram

from shared.bot_methods import known

calls = Counter(
    "mini_apps_bot_calls",
    "Bot API calls made here, by the status of HTTP, or unknown, failed, late, cancelled, error; unknown methods are "
    "`other`",
    ["app", "method", "outcome"],
)
seconds = Histogram("mini_apps_bot_call_seconds", "Time from a call to its result, waiting included", ["app"])
request_seconds = Histogram("mini_apps_bot_request_seconds", "Time Telegram took for one try of a call", ["app"])
running = Gauge("mini_apps_bot_calls_running", "Bot API calls that are being made or wait for their turn", ["app"])
held = Gauge(
    "mini_apps_bot_calls_held",
    "Calls of other processes that are made here or wait for their turn: now, bulk",
    ["app", "stream"],
)
inherited = Counter("mini_apps_bot_calls_taken_over", "Calls taken over from workers that died", ["app"])
waits = Counter(
    "mini_apps_bot_call_repeats",
    "Further tries of calls, by why the last did not do: flood (429), unreachable, no_answer, server_error",
    ["app", "reason"],
)


def shown(method: str) -> str:
    """Return a method as a label; names that nobody knows share one, since anybody can invent them."""
    return method if known(method) is not None else "other"
