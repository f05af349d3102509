"""The soak: half an hour of the steady load, and whether memory and descriptors of each process stay flat."""

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from bench.chaos.load import Load, Size
from bench.chaos.site import Site

WARM_UP = 0.2  # share of the time after which a process has what it needs
SAMPLE_SECONDS = 5.0
SETTLE_SECONDS = 60.0
MAY_GROW = 0.05  # of memory, between the first and the last fifth behind the warm-up
MAY_GROW_MB = 4.0
MAY_GROW_FILES = 5

Say = Callable[[str], None]


@dataclass(slots=True)
class Course:
    """What one process used: resident megabytes and open descriptors, one value a sample."""

    megabytes: list[float] = field(default_factory=list)
    files: list[int] = field(default_factory=list)

    def growth(self) -> tuple[float, float, int, int]:
        """Return the medians of the first and the last fifth behind the warm-up: memory twice, descriptors twice."""
        behind = int(len(self.megabytes) * WARM_UP)
        part = max(1, (len(self.megabytes) - behind) // 5)
        memory, files = self.megabytes[behind:], self.files[behind:]
        return median(memory[:part]), median(memory[-part:]), int(median(files[:part])), int(median(files[-part:]))

    def flat(self) -> bool:
        """Tell whether neither grew by more than noise."""
        before, after, files, files_after = self.growth()
        return after - before <= max(MAY_GROW * before, MAY_GROW_MB) and files_after - files <= MAY_GROW_FILES


async def soak(site: Site, size: Size, seconds: float, say: Say) -> tuple[dict[str, Course], bool]:
    """Run the load, and return what each process used, and whether every client has everything at the end.

    Args:
        site: that runs.
        size: of the load.
        seconds: how long.
        say: shows a line of progress.
    """
    courses = {name: Course() for name in (*site.children.all, "valkey")}
    load = Load(site, size)
    async with load.running():
        load.going.set()
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            for name, course in courses.items():
                _sample(course, _pid(site, name))
            if len(courses["valkey"].files) % 12 == 1:
                most = max(course.megabytes[-1] for course in courses.values())
                delivered = load.crowd.ledger.delivered
                say(f"{left:6.0f} s left; {delivered:,} messages delivered; the largest process has {most:.0f} MB")
            await asyncio.sleep(min(SAMPLE_SECONDS, left))
        load.going.clear()
        whole = await load.crowd.all_there(SETTLE_SECONDS)
    seen = load.crowd.ledger
    return courses, whole and not (seen.gaps or seen.duplicates or seen.told)


def _pid(site: Site, name: str) -> int:
    process = site.valkey.process if name == "valkey" else site.children.all[name].process
    assert process is not None
    return process.pid


def _sample(course: Course, pid: int) -> None:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    course.megabytes.append(pages * os.sysconf("SC_PAGE_SIZE") / 2**20)
    course.files.append(len(os.listdir(f"/proc/{pid}/fd")))  # noqa: PTH208 - only their number


def table(courses: dict[str, Course]) -> str:
    """Say what each process used at the beginning and at the end."""
    lines = ["| process | memory, early and late | descriptors, early and late | flat |", "|---|---|---|---|"]
    for name, course in courses.items():
        before, after, files, files_after = course.growth()
        flat = "yes" if course.flat() else "**no**"
        lines.append(f"| {name} | {before:.1f} and {after:.1f} MB | {files} and {files_after} | {flat} |")
    return "\n".join(lines)
