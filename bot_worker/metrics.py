"""What a bot worker counts; `docs/bot.md` explains each."""

from prometheus_client import Counter, Gauge, Histogram

updates = Counter("mini_apps_bot_updates", "Updates taken out of the lanes", ["app", "outcome"])
hook_seconds = Histogram("mini_apps_bot_hook_seconds", "Time one try of an update took in the hooks", ["app"])
retries = Counter("mini_apps_bot_retries", "Failed tries that are repeated later", ["app"])
dead = Counter("mini_apps_bot_dead_letters", "Updates given up", ["app", "error"])
held = Gauge("mini_apps_bot_updates_held", "Updates read from the lanes and not done yet", ["app"])
running = Gauge("mini_apps_bot_hooks_running", "Updates in the hooks now", ["app"])
lanes = Gauge("mini_apps_bot_lanes", "Lanes this worker owns", ["app"])
leader = Gauge("mini_apps_bot_ingest_leader", "1 where this worker polls for the bot or keeps its webhook", ["app"])
polled = Counter("mini_apps_bot_polled", "Answers of getUpdates", ["app", "outcome"])
crashes = Counter("mini_apps_bot_crashes", "Times a bot ended by an error in this worker", ["app"])
