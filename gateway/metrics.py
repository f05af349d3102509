"""What the gateway counts; `docs/http.md` explains each."""

from prometheus_client import Counter, Gauge, Histogram

requests = Counter("mini_apps_gateway_requests", "HTTP requests answered", ["route", "status"])
seconds = Histogram("mini_apps_gateway_request_seconds", "Time from request to the end of its answer", ["route"])
updates = Counter("mini_apps_gateway_updates", "Webhook requests", ["app", "verdict"])
negotiations = Counter("mini_apps_gateway_negotiations", "Answers of negotiate", ["outcome"])
nodes = Gauge("mini_apps_gateway_ws_nodes", "Live WebSocket nodes in the list of this gateway")
addresses = Gauge("mini_apps_gateway_addresses", "Addresses whose negotiate rate is remembered")
forgotten = Counter("mini_apps_gateway_addresses_forgotten", "Addresses dropped from a full table, oldest first")
