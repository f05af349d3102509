"""What the diaries of a proof run say: who ran, how often, in which order, and what excuses a repeat."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

Update = tuple[int, int]  # chat, number
Seen = Callable[[Update, int, int], bool]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that was killed.

    Attributes:
        what: in words.
        at: the monotonic clock in ns, once it was dead.
        waiting: updates that were not acknowledged then.
        seconds: until its work went on, None where that does not apply.
    """

    what: str
    at: int
    waiting: frozenset[Update]
    seconds: float | None


@dataclass(slots=True)
class Verdict:
    """What was found; each of the first four should be empty.

    Attributes:
        missing: updates whose hook never came to its end.
        backwards: starts of an update after a later one of its chat had started.
        overlapping: starts of an update before the hook of the one before it ended in a process that lived on.
        unexcused: repeats of an update that was seen acknowledged, and that no fault brought back.
        repeats: repeats, by the fault that excuses them.
    """

    missing: list[Update] = field(default_factory=list)
    backwards: list[Update] = field(default_factory=list)
    overlapping: list[Update] = field(default_factory=list)
    unexcused: list[Update] = field(default_factory=list)
    repeats: Counter[str] = field(default_factory=Counter)

    @property
    def good(self) -> bool:
        """Whether every promise was kept."""
        return not (self.missing or self.backwards or self.overlapping or self.unexcused)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a diary."""

    what: str
    at: int
    update: Update


def read(folder: Path) -> list[Line]:
    """Read all diaries in the order of time; a line a dying process wrote by halves is left out."""
    lines = []
    for path in folder.glob("*.txt"):
        for text in path.read_text().splitlines():
            parts = text.split()
            if len(parts) == 4:
                lines.append(Line(parts[0], int(parts[1]), (int(parts[2]), int(parts[3]))))
    return sorted(lines, key=lambda line: line.at)


def judge(lines: Iterable[Line], expected: Iterable[Update], faults: list[Fault], seen: Seen) -> Verdict:
    """Hold the diaries against what was sent and what was killed.

    Args:
        lines: of the diaries.
        expected: the updates that were sent.
        faults: that happened.
        seen: tells whether an update was seen acknowledged between two times; a process that is starved loses what it
            has in hand as one that dies does, and that is no broken promise.
    """
    verdict = Verdict()
    starts: defaultdict[Update, list[int]] = defaultdict(list)
    ends: defaultdict[Update, list[int]] = defaultdict(list)
    latest: dict[int, int] = {}
    for line in lines:
        chat, number = line.update
        if line.what == "ended":
            ends[line.update].append(line.at)
            continue
        if number < latest.get(chat, -1):
            verdict.backwards.append(line.update)
        elif number and (chat, number - 1) not in ends:
            verdict.overlapping.append(line.update)
        latest[chat] = max(number, latest.get(chat, -1))
        starts[line.update].append(line.at)
    verdict.missing = [update for update in expected if update not in ends]
    for update, times in starts.items():
        for before, after in pairwise(times):
            excuse = next((fault for fault in faults if before <= fault.at <= after and update in fault.waiting), None)
            if excuse is not None:
                verdict.repeats[excuse.what] += 1
            elif any(before <= end <= after and seen(update, end, after) for end in ends[update]):
                verdict.unexcused.append(update)
            else:
                verdict.repeats["in flight elsewhere"] += 1
    return verdict
