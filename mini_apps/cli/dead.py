"""`mini-apps dead`: the updates that were given up; see them, try them again, drop them."""

import json
import re
import shutil
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

from mini_apps.cli.lanes import Action, Where
from mini_apps.cli.problem import EXIT_USAGE, Problem
from mini_apps.cli.tables import shorten
from mini_apps.cli.view import show
from shared.dead_letters import DeadLetter, DeadLetters
from shared.leases import Lease, Names
from shared.updates import BadUpdate, Overloaded, order_key

LETTER_ID = re.compile(r"[0-9]+-[0-9]+")
OTHER_COLUMNS = 78  # of the list, beside the reason
LEAST_REASON = 30


def listing(*, limit: int, as_json: bool) -> Action:
    """Make the action that lists the newest dead letters."""

    async def action(where: Where) -> None:
        letters = DeadLetters(where.broker, where.bus, where.app)
        count, shown = await letters.count(), await letters.newest(limit)
        if as_json:
            print(json.dumps({"app": where.app, "count": count, "letters": [one.to_json() for one in shown]}, indent=2))
            return
        if not count:
            print(f"{where.app} has no dead letters")
            return
        width = max(LEAST_REASON, shutil.get_terminal_size((140, 24)).columns - OTHER_COLUMNS)
        rows = [(*_row(one), shorten(f"{one.text('error')}: {one.text('reason')}", width)) for one in shown]
        show(("id", "died (UTC)", "update", "kind", "chat", "tries", "why"), rows)
        if count > len(shown):
            print(f"\nthe newest {len(shown)} of {count}; --limit shows more")

    return action


def showing(letter: str, *, as_json: bool) -> Action:
    """Make the action that shows one dead letter with everything in it."""

    async def action(where: Where) -> None:
        found = await _found(DeadLetters(where.broker, where.bus, where.app), letter)
        shown = found.to_json()
        if as_json:
            print(json.dumps(shown, indent=2, ensure_ascii=False))
            return
        trace, update = shown.pop("traceback", ""), shown.pop("update", "")
        for name, value in shown.items():
            print(f"{name:10} {_when(found, name) if name in ('died', 'received') else value}")
        print(f"\n{json.dumps(update, indent=2, ensure_ascii=False)}\n\n{trace}".rstrip())

    return action


def retrying(ids: Sequence[str], *, everything: bool) -> Action:
    """Make the action that puts dead letters back into their lanes."""
    _check(ids, everything=everything)

    async def action(where: Where) -> None:
        letters, failed, done = DeadLetters(where.broker, where.bus, where.app), 0, 0
        keys = where.keys
        lease = Lease(where.broker, Names(keys.lease("lanes"), keys.fence("lanes")), where.node_id)
        try:
            async for letter in _chosen(letters, ids, everything=everything):
                if not await lease.claim():
                    raise Problem("another command works on the lanes now; try again when it is done")
                try:
                    await letters.put_back(letter)
                except (BadUpdate, Overloaded) as error:
                    failed += 1
                    print(f"{letter.id} stays: {error}")
                else:
                    done += 1
        finally:
            await lease.release()
        print(f"put back into the lanes of {where.app}: {done}")
        if failed:
            raise Problem(f"{failed} dead letters stay")

    return action


def dropping(ids: Sequence[str], *, everything: bool) -> Action:
    """Make the action that forgets dead letters."""
    _check(ids, everything=everything)

    async def action(where: Where) -> None:
        letters, done = DeadLetters(where.broker, where.bus, where.app), 0
        async for letter in _chosen(letters, ids, everything=everything):
            done += await letters.drop(letter.id)
        print(f"dropped from the dead letters of {where.app}: {done}")

    return action


async def _chosen(letters: DeadLetters, ids: Sequence[str], *, everything: bool) -> AsyncIterator[DeadLetter]:
    """Give the letters named, or all there are now."""
    if not everything:
        for found in [await _found(letters, one) for one in ids]:
            yield found
        return
    newest = await letters.newest(1)
    after = ""
    while newest and (page := await letters.page(after)):
        for letter in page:
            yield letter
            if letter.id == newest[0].id:  # what dies from now on was not asked about
                return
        after = page[-1].id


async def _found(letters: DeadLetters, letter: str) -> DeadLetter:
    if not LETTER_ID.fullmatch(letter):
        raise Problem(f"{letter!r} is no id of a dead letter; `mini-apps dead list` shows them", EXIT_USAGE)
    found = await letters.get(letter)
    if found is None:
        raise Problem(f"there is no dead letter {letter}; `mini-apps dead list` shows them")
    return found


def _check(ids: Sequence[str], *, everything: bool) -> None:
    if bool(ids) == everything:
        raise Problem("name the letters by their ids, or say --all", EXIT_USAGE)


def _row(letter: DeadLetter) -> tuple[str, str, str, str, str, str]:
    update = letter.update() or {}
    kind = next((name for name in update if name != "update_id"), "")
    number = letter.text("id") or str(update.get("update_id", ""))
    return letter.id, _when(letter, "died"), number, kind, str(order_key(update) or ""), letter.text("tries")


def _when(letter: DeadLetter, name: str) -> str:
    text = letter.text(name)
    return f"{datetime.fromtimestamp(int(text) / 1000, UTC):%Y-%m-%d %H:%M:%S}" if text.isdigit() else text
