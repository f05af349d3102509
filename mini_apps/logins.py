"""How a login is judged, in this order, each step with its own refusal.

1. The proof: a session token (`session`), init data (`hash`, `expired`, `format`, …), or in development the fake user.
2. The live ban of `App.ban`: `banned`, 4501. The tokens that `App.revoke` or a ban made void: `session`.
3. The user's row, found or made.
4. The app's filter: `banned`, 4501. What it and the live set of admins say of `is_admin` holds for this login.
"""

from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mini_apps.bot_status import read_me
from mini_apps.bound import ME_FIELDS
from mini_apps.errors import LoginRefused
from mini_apps.hooks import call
from mini_apps.sessions import launch_data
from mini_apps.users import display_name, mark_admin
from shared.close_codes import CloseCode
from shared.init_data import PRODUCTION_KEY, TEST_KEY, InitData, InitDataError, validate, validate_signature
from shared.session_token import SessionError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mini_apps.app import App
    from mini_apps.client import Client
    from mini_apps.models import User

__all__ = ["LiveFacts", "authenticate", "decode", "live_facts", "log_in", "recheck"]


@dataclass(slots=True)
class Attempt:
    """One run of `App.login`: the fake user it may use, whom the default `get_user` let in, and by a token of when."""

    fake: "Mapping[str, Any] | None"
    admitted: Any = None
    marked_admin: bool = False
    token_issued: float | None = None


@dataclass(frozen=True, slots=True)
class LiveFacts:
    """What Redis knows of a user now.

    Attributes:
        banned: by `App.ban`.
        admin: by `App.set_admin`.
        valid_after: unix seconds; the user's session tokens of then and before are void.
    """

    banned: bool
    admin: bool
    valid_after: float


@dataclass(frozen=True, slots=True)
class Proof:
    """Who somebody proved to be.

    Attributes:
        telegram_id: the user.
        data: the decoded launch fields.
        name: what Telegram calls the user; None where the proof is not fresh enough to rename.
        issued: when the session token was made, unix seconds; None for init data.
        first_login: when init data was shown, unix seconds; None for now.
    """

    telegram_id: int
    data: dict[str, Any]
    name: str | None = None
    issued: float | None = None
    first_login: float | None = None


_attempt: ContextVar[Attempt | None] = ContextVar("login_attempt", default=None)
_reason: ContextVar[str | None] = ContextVar("init_data_reason", default=None)


async def log_in(app: "App", client: "Client", message: dict[str, Any]) -> None:
    """Carry out `App.login`.

    Raises:
        LoginRefused: the client may not come in.
        BrokerUnavailable: Redis could not be asked.
    """
    attempt = Attempt(_fake_user(app, client, message))
    before = _attempt.set(attempt)
    try:
        user = await call(app.get_user, message)
    finally:
        _attempt.reset(before)
    if user is None:
        return
    if attempt.admitted is not user:  # an override found the user by itself: bans and filters hold all the same
        facts = await live_facts(app, user.telegram_id)
        user = _admit(app, user, facts)
        attempt.marked_admin, attempt.token_issued = facts.admin, None
    client.user, client.marked_admin, client.token_issued = user, attempt.marked_admin, attempt.token_issued
    app.clients[client.id] = client


async def authenticate(app: "App", message: "Mapping[str, Any]") -> "User":
    """Carry out `App.get_user`.

    Raises:
        LoginRefused: with the reason of the first step that fails.
        BrokerUnavailable: Redis could not be asked.
    """
    proof = _prove(app, message)
    facts = await live_facts(app, proof.telegram_id)
    _refuse_banned(banned=facts.banned)
    _refuse_void(proof.issued, facts.valid_after)
    user = await app.mesh.users.get(proof.telegram_id, proof.name)
    user.telegram_data = proof.data
    user.first_login = proof.first_login
    marked_admin = user.is_admin or facts.admin
    admitted: User = _admit(app, user, facts)
    if (attempt := _attempt.get()) is not None:
        attempt.admitted, attempt.marked_admin, attempt.token_issued = admitted, marked_admin, proof.issued
    return admitted


async def recheck(app: "App", client: "Client") -> None:
    """Look once more, after the client's subscriptions are confirmed: what changed since the first look went unheard.

    Raises:
        LoginRefused: the user has been banned, or the session ended.
        BrokerUnavailable: Redis could not be asked.
    """
    telegram_id = client.user.telegram_id
    admitted = None
    if client.marked_admin:  # by Redis or by the row: who loses one loses both
        found = await app.mesh.users.find(telegram_id)
        admitted = None if found is None else app.user_filter.filter_user(found)
    banned, admin, valid_after = await app.mesh.bus.calls(*_marks(app, telegram_id))
    _refuse_banned(banned=bool(banned))
    _refuse_void(client.token_issued, float(valid_after or 0))
    if client.marked_admin is None:
        return  # it was told meanwhile, which is newer than what was read here
    if admin or client.marked_admin:
        mark_admin(client.user, is_admin=bool(admin) or (admitted is not None and admitted.is_admin))


def _marks(app: "App", telegram_id: int) -> "list[tuple[str, ...]]":
    """Give the commands that tell whether a user is banned, whether an admin, and since when tokens count."""
    keys, user = app.keys, str(telegram_id)
    return [
        ("SISMEMBER", keys.banned, user),
        ("SISMEMBER", keys.admins, user),
        ("GET", keys.valid_after(telegram_id)),
    ]


async def live_facts(app: "App", telegram_id: int) -> LiveFacts:
    """Ask Redis about a user, in one round trip.

    Raises:
        BrokerUnavailable: it did not answer.
    """
    commands = _marks(app, telegram_id)
    if app.wonders_who_it_is():  # the bot worker may have started after this process
        commands.append(("HMGET", app.keys.bot, *ME_FIELDS))
    # Over the bus's connection, where all logins of a loop turn share one write.
    banned, admin, valid_after, *me = await app.mesh.bus.calls(*commands)
    if me:
        app.telegram_me = read_me(me[0])
    return LiveFacts(bool(banned), bool(admin), float(valid_after or 0))


def decode(app: "App", raw: str) -> dict[str, Any] | None:
    """Carry out `App.decode_telegram_data`, and remember why it failed for the refusal.

    Raises:
        RuntimeError: the settings give nothing to check with.
    """
    _reason.set(None)
    try:
        return _validated(app, raw).to_dict()
    except InitDataError as error:
        _reason.set(error.reason)
        return None


def _validated(app: "App", raw: str) -> InitData:
    settings, now = app.settings, app.clock.time()
    if settings.verify == "signature" and settings.bot_id is not None:
        public_key = TEST_KEY if settings.test_environment else PRODUCTION_KEY
        age = settings.init_data_max_age
        return validate_signature(raw, settings.bot_id, public_key=public_key, now=now, max_age=age)
    key = settings.key_for_init_data()
    if key is None:
        raise RuntimeError(f"app {app.name!r} cannot check a login: set bot-token or webapp-key in its settings")
    return validate(raw, key, now=now, max_age=settings.init_data_max_age)


def _prove(app: "App", message: "Mapping[str, Any]") -> Proof:
    attempt = _attempt.get()
    if attempt is not None and attempt.fake is not None:
        user = dict(attempt.fake)
        return Proof(user["id"], {"user": user, "auth_date": str(int(app.clock.time()))}, display_name(user))
    if message.get("session"):
        return _prove_session(app, message["session"])
    return _prove_init_data(app, message.get("data") or "")


def _prove_session(app: "App", token: Any) -> Proof:
    try:
        session = app.sessions.open(token, app.clock.time())
    except SessionError as error:
        raise LoginRefused(error.reason) from None
    data = launch_data(session)
    return Proof(session.telegram_id, data, issued=session.issued, first_login=session.first_login)


def _prove_init_data(app: "App", raw: str) -> Proof:
    _reason.set(None)
    data = app.decode_telegram_data(raw)
    if data is None:
        raise LoginRefused(_reason.get() or CloseCode.LOGIN_REFUSED.reason)
    user = data.get("user")
    if not isinstance(user, dict) or type(user.get("id")) is not int:
        raise LoginRefused("user")
    return Proof(user["id"], data, display_name(user))


def _fake_user(app: "App", client: "Client", message: "Mapping[str, Any]") -> "Mapping[str, Any] | None":
    """Give the development's fake user to a page that has nothing to prove, opened on this very machine."""
    fake = app.settings.fake_user
    if not fake or message.get("data") or message.get("session"):
        return None
    return fake if client.peer is not None and client.peer.local else None


def _admit(app: "App", user: Any, facts: LiveFacts) -> Any:
    _refuse_banned(banned=facts.banned)
    admitted = app.user_filter.filter_user(user)
    if admitted is None:
        raise LoginRefused(CloseCode.BANNED.reason, code=CloseCode.BANNED)
    mark_admin(admitted, is_admin=admitted.is_admin or facts.admin)
    return admitted


def _refuse_banned(*, banned: bool) -> None:
    if banned:
        raise LoginRefused(CloseCode.BANNED.reason, code=CloseCode.BANNED)


def _refuse_void(issued: float | None, valid_after: float) -> None:
    if issued is not None and issued <= valid_after:
        raise LoginRefused(SessionError.reason)
