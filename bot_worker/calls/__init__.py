"""Bot API calls of all processes: intake, rate budget, and the one place that makes them."""
