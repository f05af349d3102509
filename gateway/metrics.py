"""What the gateway counts, and what it reads in Redis for all; `docs/metrics.md` is made of it."""

from prometheus_client import Counter, Gauge, Histogram

requests = Counter(
    "mini_apps_gateway_requests",
    "HTTP requests answered; route `unmatched` is a path without a route, `unreadable` what was no HTTP, or no whole "
    "request in time",
    ["route", "status"],
)
seconds = Histogram(
    "mini_apps_gateway_request_seconds",
    "Time from request to the end of its answer; of webhooks the route is `/webhook/{path}`",
    ["route"],
)
WEBHOOK_ROUTE = "/webhook/{path}"
webhook_answers = requests.labels(WEBHOOK_ROUTE, 200)  # looked up once: there are thousands a second
webhook_seconds = seconds.labels(WEBHOOK_ROUTE)
updates = Counter(
    "mini_apps_gateway_updates",
    "Webhook requests: taken, duplicate; answered 503: overloaded (the lane is full), unavailable (no Redis); refused: "
    "bad, too large, too slow, wrong secret, wrong address",
    ["app", "verdict"],
)
negotiations = Counter(
    "mini_apps_gateway_negotiations",
    "Answers of negotiate: ok, none (no node takes clients), stale (the list is old), limited, unknown app",
    ["outcome"],
)
nodes = Gauge("mini_apps_gateway_ws_nodes", "Live WebSocket nodes in the list of this gateway")
addresses = Gauge("mini_apps_gateway_addresses", "Addresses whose negotiate rate is remembered")
forgotten = Counter("mini_apps_gateway_addresses_forgotten", "Addresses dropped from a full table, oldest first")
uploads = Counter("mini_apps_gateway_uploads", "Pictures that pages sent: taken, or why not", ["app", "verdict"])

# Read in Redis every five seconds by every gateway, each the same; none while Redis does not answer.
processes = Gauge("mini_apps_processes", "Processes whose lease in the register runs: gateway, bot, ws", ["kind"])
lane_lag = Gauge("mini_apps_lane_lag", "Updates in a lane that no bot worker has read yet", ["app", "lane"])
lane_pending = Gauge(
    "mini_apps_lane_pending", "Updates of a lane that are in the hooks or wait for their next try", ["app", "lane"]
)
lane_oldest = Gauge(
    "mini_apps_lane_oldest_seconds", "Age of the oldest update of a lane that is not done", ["app", "lane"]
)
lane_owned = Gauge("mini_apps_lane_owned", "1 where a bot worker holds the lane", ["app", "lane"])
dead_letters = Gauge("mini_apps_dead_letters", "Updates that were given up and not yet looked after", ["app"])
calls_waiting = Gauge(
    "mini_apps_calls_waiting",
    "Bot API calls of other processes in their stream, those being made among them: now, bulk",
    ["app", "stream"],
)
calls_oldest = Gauge(
    "mini_apps_calls_oldest_seconds", "Age of the oldest Bot API call in the stream", ["app", "stream"]
)
workers = Gauge("mini_apps_app_workers", "Bot workers that serve the app", ["app"])
bot_status = Gauge(
    "mini_apps_app_bot_status",
    "1 for what the app's bot is: disconnected, crashed, offline, starting, start_flood, running; 0 for the others",
    ["app", "status"],
)
flood_wait = Gauge("mini_apps_app_flood_wait_seconds", "Seconds left until Telegram lets the app's bot start", ["app"])

OF_REDIS = (
    processes,
    lane_lag,
    lane_pending,
    lane_oldest,
    lane_owned,
    dead_letters,
    calls_waiting,
    calls_oldest,
    workers,
    bot_status,
    flood_wait,
)
