"""What reaches the output of a logging process: everything but secrets, in both formats, whoever logs."""

import io
import json
import subprocess
import sys
import time

import pytest

from shared.redact import clean, protect, scrub

TOKEN = "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"
HASH = "c501b71e775f74ce10e377dea85a7ea24ecd640b223ea86dfe453e0eaed2e2b2"
SIGNATURE = "Qmz9kZ-eZRZkRYJ2gc4e1zHzE4_Nl5s" * 2 + "abcdefghijklmnopqrstuvwxyz"
QUERY = "AAHdF6IQAAAAAN0XohDhrOrc"
USER = "%7B%22id%22%3A279058397%2C%22first_name%22%3A%22Vladislav%22%7D"
INIT_DATA = f"query_id={QUERY}&user={USER}&auth_date=1662771648&signature={SIGNATURE}&hash={HASH}"
ENCODED = INIT_DATA.replace("%", "%25").replace("&", "%26").replace("=", "%3D")
SESSION = "AQ" + "xY3-_k9Z" * 20
WORD = "an odd/secret+of any (shape)"
PARTS = (TOKEN, TOKEN.partition(":")[2], HASH, SIGNATURE, QUERY, "Vladislav", SESSION, WORD, "hunter2")

START = f"""
import logging, sys, threading
from shared.log import LogSource, configure, get_logger, protect
from shared.settings import LogSettings
TOKEN, HASH, INIT_DATA, ENCODED, SESSION, WORD = {(TOKEN, HASH, INIT_DATA, ENCODED, SESSION, WORD)!r}
configure(LogSettings(level=LEVEL, format=FORMAT), process="ws", node="ws-1")
protect(WORD)
log = get_logger("counter")
"""


def run(script: str, format_: str = "json", level: str = "debug", code: int = 0) -> str:
    """Run a script in a process of its own and give all it wrote."""
    start = START.replace("LEVEL", repr(level)).replace("FORMAT", repr(format_))
    done = subprocess.run(
        [sys.executable, "-c", start + script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    return done.stderr


def lines(output: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in output.splitlines()]


SECRETIVE = """
class Odd:
    def __repr__(self):
        return f"<Odd {TOKEN} {INIT_DATA}>"

class Broken:
    def __repr__(self):
        raise ValueError(TOKEN)

def fail(local):
    inner = "hunter2" + "!"
    try:
        raise KeyError(f"deep {ENCODED}")
    except KeyError as error:
        error.add_note(f"note {TOKEN}")
        raise RuntimeError(f"cannot open https://api.telegram.org/bot{TOKEN}/getMe?{INIT_DATA}") from error

log.info(f"event {TOKEN} {INIT_DATA}")
log.info("event %s", TOKEN)
log.info("values", url=f"https://api.telegram.org/bot{TOKEN}/getMe", page=f"https://x/#tgWebAppData={ENCODED}&x=1",
         raw=INIT_DATA, inner={"list": [TOKEN, {"deep": (INIT_DATA, b"hash=" + HASH.encode())}]}, odd=Odd(),
         broken=Broken(), word=f"before {WORD} after", **{f"key {TOKEN}": 1})
log.info("keys", token="hunter2", secret="hunter2", session="hunter2", init_data="hunter2", authorization="hunter2",
         api_key="hunter2", bot_token="hunter2",
         nested={"X-Telegram-Bot-Api-Secret-Token": "hunter2", "session": ["hunter2"]})
log.info("message " + '{"type":"login","app":"counter","session":"hunter2","data":"' + INIT_DATA + '"}')
log.info("bare " + SESSION + " and " + HASH)
log.info("header Authorization: Bearer hunter2")
log.info("address redis://me:hunter2@localhost:6379/0")
other = logging.getLogger("aiogram.dispatcher")
other.warning("failed %s for /bot%s/sendMessage", INIT_DATA, TOKEN)
other.error("values %r", {"token": "hunter2", "hash": HASH})
for logger in (log, other):
    try:
        fail(TOKEN)
    except RuntimeError:
        logger.exception("failed")
try:
    raise ExceptionGroup(f"group {WORD}", [ValueError(INIT_DATA), OSError(TOKEN)])
except ExceptionGroup as group:
    log.error("group", exc_info=group)
log.info("stack", stack_info=True)
other.info("%d", TOKEN)
def in_thread():
    raise RuntimeError(f"in thread {TOKEN}")
thread = threading.Thread(target=in_thread)
thread.start()
thread.join()
class Dying:
    def __del__(self):
        raise RuntimeError(f"dying {TOKEN}")
Dying()
raise RuntimeError(f"at the end {TOKEN} {INIT_DATA} {WORD}")
"""


@pytest.mark.parametrize("format_", ["json", "console"])
def test_no_secret_survives_in_any_place(format_: str) -> None:
    output = run(SECRETIVE, format_, code=1)
    for part in PARTS:
        assert part not in output
    for kept in ("failed", "deep", "note", "cannot open https://api.telegram.org/bot***", "in thread", "dying"):
        assert kept in output
    for kept in (
        "at the end",
        "before *** after",
        "redis://***@localhost:6379/0",
        "RuntimeError",
        "could not be written",
    ):
        assert kept in output
    assert "local" not in output.replace("localhost", "").replace("def fail(local)", "")


def test_a_json_line_says_who_when_what_and_in_which_trace() -> None:
    script = """
import structlog
structlog.contextvars.bind_contextvars(trace="u-17")
log.bind(app="counter").info("clicked", count=3, big=2**70, odd="\\ud800", none=None, more={"a": [1, 2.5, True]})
logging.getLogger("aiogram").warning("from %s", "aiogram")
"""
    ours, theirs = lines(run(script))
    assert ours["event"] == "clicked"
    assert (ours["level"], ours["logger"], ours["process"], ours["node"]) == ("info", "counter", "ws", "ws-1")
    assert (ours["trace"], ours["app"], ours["count"]) == ("u-17", "counter", 3)
    assert (ours["big"], ours["odd"], ours["none"]) == (str(2**70), "\\ud800", None)
    assert ours["more"] == {"a": [1, 2.5, True]}
    assert str(ours["time"]).endswith("Z")
    assert list(ours)[:3] == ["time", "level", "event"]
    assert (theirs["event"], theirs["level"], theirs["logger"]) == ("from aiogram", "warning", "aiogram")
    assert (theirs["trace"], theirs["node"]) == ("u-17", "ws-1")


def test_each_line_of_a_task_shows_the_correlation_id_it_has_now() -> None:
    script = """
from shared import trace
log.info("before")
with trace.bound("update-17"):
    log.info("inside")
    logging.getLogger("aiogram").warning("theirs")
    log.info("own", trace="other")
    with trace.bound(""):
        log.info("aside")
log.info("after")
trace.bind("abc-1")
log.info("from now on")
"""
    found = [(line["event"], line.get("trace")) for line in lines(run(script))]
    assert found == [
        ("before", None),
        ("inside", "update-17"),
        ("theirs", "update-17"),
        ("own", "other"),
        ("aside", None),
        ("after", None),
        ("from now on", "abc-1"),
    ]


def test_console_lines_are_short_and_without_colours_off_a_terminal() -> None:
    output = run('log.info("clicked", count=3)', "console")
    time_, rest = output.split(" ", 1)
    assert len(time_) == len("12:34:56")
    assert rest.split() == ["[info", "]", "clicked", "[ws-1", "counter]", "count=3"]
    assert "\x1b" not in output


def test_auto_is_json_off_a_terminal() -> None:
    assert lines(run('log.info("clicked")', "auto"))[0]["event"] == "clicked"


def test_the_level_holds_for_everybody() -> None:
    script = (
        'log.info("no"); log.warning("yes"); logging.getLogger("x").info("no"); logging.getLogger("x").error("yes")'
    )
    assert [line["event"] for line in lines(run(script, level="warning"))] == ["yes", "yes"]


def test_loggers_that_write_requests_and_frames_are_kept_quiet() -> None:
    script = """
logging.getLogger("aiohttp.access").info("GET /?x=1")
logging.getLogger("websockets.server").debug("< TEXT")
logging.getLogger("sqlalchemy.engine.Engine").info("SELECT")
"""
    assert run(script) == ""


def test_an_access_log_of_a_real_request_is_not_written() -> None:
    script = """
import asyncio, aiohttp
from aiohttp import web
async def main():
    runner = web.AppRunner(web.Application())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    async with aiohttp.ClientSession() as session:
        async with session.get(f"http://127.0.0.1:{port}/?hunter2=1") as answer:
            log.info("answered", status=answer.status)
    await runner.cleanup()
asyncio.run(main())
"""
    output = run(script, level="info")
    assert "hunter2" not in output
    assert [line["event"] for line in lines(output)] == ["answered"]


def test_a_log_source_is_named_after_itself_or_its_class() -> None:
    script = """
class Counter(LogSource):
    pass
counter = Counter()
counter.log.info("first")
counter.name = "clicks"
counter.log.info("second")
"""
    assert [line["logger"] for line in lines(run(script))] == ["Counter", "clicks"]


def test_before_configuration_nothing_secret_is_written_either() -> None:
    script = f"""
from shared.log import LogSource
def fail():
    inner = "hunter" + "2"
    raise ValueError({TOKEN!r})
try:
    fail()
except ValueError:
    LogSource().log.exception("failed", token="hunter2")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == ""
    assert "ValueError: ***" in done.stderr
    assert "hunter2" not in done.stderr
    assert TOKEN not in done.stderr


def test_warnings_go_the_same_way() -> None:
    output = run("import warnings\nwarnings.warn(f'careful with {TOKEN}')")
    assert lines(output)[0]["logger"] == "py.warnings"
    assert TOKEN not in output


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"at {TOKEN}.", "at ***."),
        (f"/bot{TOKEN}/getMe", "/bot***/getMe"),
        ("/bot1:short/test/getMe", "/bot***/test/getMe"),
        (f"bot{TOKEN.replace(':', '%3A')}", "bot***"),
        (f"data {INIT_DATA} end", "data *** end"),
        (f"https://x/app?{INIT_DATA}", "https://x/app?***"),
        (f"https://x/app#tgWebAppData={ENCODED}", "https://x/app#***"),
        ("tgWebAppData=abc&tgWebAppVersion=8", "tgWebAppData=***&tgWebAppVersion=8"),
        (f"hash={HASH}", "hash=***"),
        ("signature=abc&x=1", "signature=***&x=1"),
        (f"query_id={QUERY}&x=1", "query_id=***&x=1"),
        (HASH, "***"),
        ("{'token': 'a b', 'x': 1}", "{'token': '***', 'x': 1}"),
        ('{"session":"a"}', '{"session":"***"}'),
        (r'"{\"session\":\"a\"}"', r'"{\"session\":\"***\"}"'),
        ("Session(token='abc')", "Session(token='***')"),
    ],
)
def test_scrub_takes_the_secret_and_leaves_the_rest(text: str, left: str) -> None:
    assert scrub(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "12:30:05 ready in 3.5 s",
        "update 900719925 of chat -1001234567890",
        "http://127.0.0.1:8080/apps/counter/",
        "ma:counter:{lane-3}:updates",
        "sessions: 12, tokens left: 3",
        "examples.counter.app:Counter",
        "offset 1795328095871553",
    ],
)
def test_scrub_leaves_what_is_no_secret(text: str) -> None:
    assert scrub(text) == text


@pytest.mark.parametrize(
    "piece", ["1", "a", "A-", "://", "hash", 'token="', "token='", "auth_date", " ", "\\", "1:", "%3D", "bot1"]
)
def test_scrub_takes_no_quadratic_time_on_what_strangers_send(piece: str) -> None:
    def cost(size: int) -> float:
        text = piece * (size // len(piece))
        start = time.process_time()
        scrub(text)
        return time.process_time() - start

    assert cost(400_000) < 5  # quadratic patterns take minutes


def test_clean_survives_what_holds_itself() -> None:
    loop: list[object] = []
    loop.append(loop)
    assert "..." in str(clean(loop))


def test_protected_values_go_longest_first_and_short_ones_are_left() -> None:
    protect("swordfish", "swordfish-and-more", "abc", "")
    assert scrub("swordfish-and-more swordfish abc") == "*** *** abc"


def test_colours_on_a_terminal_unless_not_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    from shared.log import wants_colors

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.delenv("NO_COLOR", raising=False)
    assert wants_colors(Terminal())
    assert not wants_colors(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not wants_colors(Terminal())
