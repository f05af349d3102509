"""How far a broadcast is, in one line."""

from collections import deque

from mini_apps.broadcast_jobs import BroadcastJob

BAR = 24  # characters
WINDOW = 10.0  # seconds over which the speed is taken


class Pace:
    """How fast something goes on, over the last seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def note(self, now: float, done: int) -> float:
        """Take a look at what is done and return how much it is a second.

        Args:
            now: seconds of any clock.
            done: so far.
        """
        self._seen.append((now, done))
        while len(self._seen) > 2 and self._seen[0][0] < now - WINDOW:
            self._seen.popleft()
        (since, before), seconds = self._seen[0], now - self._seen[0][0]
        return (done - before) / seconds if now > since else 0.0


def line(job: BroadcastJob, speed: float, *, bar: bool) -> str:
    """Return the line.

    Args:
        job: as it is.
        speed: recipients a second.
        bar: with a bar, for a terminal.
    """
    total = max(job.total, job.done)
    share = job.done / total if total else float(job.state == "done")
    parts = [f"{job.done}/{total} ({share:.0%})", f"sent {job.sent}"]
    parts += [f"{name} {many}" for name in ("blocked", "failed", "unknown") if (many := getattr(job, name))]
    if job.state == "running" and speed > 0:
        parts += [f"{speed:.1f}/s", f"{clock((total - job.done) / speed)} left"]
    elif job.state != "running":
        parts.append(job.state)
    filled = round(share * BAR)
    return f"[{'#' * filled}{'.' * (BAR - filled)}] " * bar + ", ".join(parts)


def clock(seconds: float) -> str:
    """Return a duration as 1:02:03 or 2:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
