"""What a bot worker counts of the updates it works off; `docs/metrics.md` is made of it."""

from functools import cache

from prometheus_client import Counter, Gauge, Histogram

WAIT_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)  # seconds

updates = Counter(
    "mini_apps_bot_updates", "Tries of updates: handled, unhandled, banned, failed, gone", ["app", "outcome"]
)
hook_seconds = Histogram("mini_apps_bot_hook_seconds", "Time one try of an update took in the hooks", ["app"])
wait_seconds = Histogram(
    "mini_apps_bot_update_wait_seconds",
    "Time from an update's arrival in Redis to its first try",
    ["app"],
    buckets=WAIT_BUCKETS,
)
retries = Counter("mini_apps_bot_retries", "Failed tries that are repeated later", ["app"])
dead = Counter("mini_apps_bot_dead_letters", "Updates given up, by the class of the error", ["app", "error"])
held = Gauge("mini_apps_bot_updates_held", "Updates read from the lanes and not done yet", ["app"])
running = Gauge("mini_apps_bot_hooks_running", "Updates in the hooks now", ["app"])
stuck = Gauge("mini_apps_bot_hooks_stuck", "Hooks that go on though they were cut off", ["app"])
lanes = Gauge("mini_apps_bot_lanes", "Lanes this worker owns", ["app"])
leader = Gauge("mini_apps_bot_ingest_leader", "1 where this worker polls for the bot or keeps its webhook", ["app"])
polled = Counter(
    "mini_apps_bot_polls", "Answers of getUpdates: updates, nothing, or the class of the error", ["app", "outcome"]
)
crashes = Counter("mini_apps_bot_crashes", "Times a bot ended by an error in this worker", ["app"])

budget_wait = Histogram(
    "mini_apps_bot_budget_wait_seconds",
    "Time calls waited for the rate budget: interactive, bulk, free (these count against nothing)",
    ["app", "queue"],
    buckets=WAIT_BUCKETS,
)
budget_waiting = Gauge(
    "mini_apps_bot_budget_waiting", "Calls that wait for the rate budget here; refused from 20,000 on", ["app", "queue"]
)
budget_refused = Counter(
    "mini_apps_bot_budget_refused", "Calls the rate budget refused: too_late, overloaded", ["app", "reason"]
)
budget_pauses = Counter(
    "mini_apps_bot_budget_pauses",
    "Pauses that Telegram asked for (429): of one chat, or of the whole bot",
    ["app", "what"],
)
budget_paused = Counter(
    "mini_apps_bot_budget_paused_seconds",
    "Seconds of the pauses that Telegram asked for: of one chat, or of the whole bot",
    ["app", "what"],
)

broadcast_messages = Counter(
    "mini_apps_bot_broadcast_messages",
    "Recipients of broadcast jobs: sent, blocked, failed, unknown",
    ["app", "outcome"],
)
broadcast_running = Gauge("mini_apps_bot_broadcasts_running", "Broadcast jobs that run in this worker", ["app"])


class Tries:
    """What is counted for each try of one app, looked up once.

    Args:
        app: its name.

    Attributes:
        held: updates read from the lanes and not done yet.
        running: updates in the hooks now.
    """

    def __init__(self, app: str) -> None:
        self._app = app
        self._outcomes: dict[str, Counter] = {}
        self.held = 0
        self.running = 0
        held.labels(app).set_function(lambda: self.held)
        running.labels(app).set_function(lambda: self.running)
        self.seconds = hook_seconds.labels(app)
        self.waits = wait_seconds.labels(app)

    def outcome(self, name: str) -> Counter:
        """Return the counter of one outcome."""
        found = self._outcomes.get(name)
        if found is None:
            found = self._outcomes[name] = updates.labels(self._app, name)
        return found


@cache
def tries(app: str) -> Tries:
    """Return the counts of one app, the same for all its lanes."""
    return Tries(app)
