"""Methods that answer callback queries, inline queries and mini apps.

Source: https://core.telegram.org/bots/api#answercallbackquery, https://core.telegram.org/bots/api#inline-mode
"""

from collections.abc import Mapping
from types import MappingProxyType

from sandbox.errors import ApiError, bad_request
from sandbox.files import Sent
from sandbox.inline_results import check_result, result_content
from sandbox.keyboards import inline_keyboard
from sandbox.methods import Call, method
from sandbox.model import Json, Message, User
from sandbox.state import PREPARED_SECONDS, Bot, Dialog, Query, World

MAX_CALLBACK_TEXT = 200
MAX_RESULTS = 50
MAX_OFFSET_BYTES = 64
CHAT_KINDS = ("user", "bot", "group", "channel")
NOTHING: Mapping[str, Sent] = MappingProxyType({})


def _too_old() -> ApiError:
    return bad_request("query is too old and response timeout expired or query ID is invalid")


@method("answerCallbackQuery")
def answer_callback_query(call: Call) -> bool:
    """Stop the button's spinner, with a toast or an alert when there is text."""
    text = call.params.text("text")
    if len(text) > MAX_CALLBACK_TEXT:
        raise bad_request("MESSAGE_TOO_LONG")
    query_id = call.params.text("callback_query_id")
    query = call.bot.callback_queries.pop(query_id, call.now)
    if query is None:
        raise _too_old()
    answer = {
        "query_id": query_id,
        "text": text,
        "show_alert": call.params.flag("show_alert"),
        "url": call.params.text("url"),
    }
    call.world.emit_chat(call.bot, query.dialog, "callback_answer", answer)
    return True


@method("answerInlineQuery")
def answer_inline_query(call: Call) -> bool:
    """Show up to 50 results above the text box."""
    results = call.params.array("results")
    if results is None:
        raise bad_request("can't parse inline query results: results are not specified")
    if len(results) > MAX_RESULTS:
        raise bad_request("RESULTS_TOO_MUCH")
    checked = [check_result(result) for result in results]
    if len({result["id"] for result in checked}) < len(checked):
        raise bad_request("RESULT_ID_DUPLICATE")
    next_offset = call.params.text("next_offset")
    if len(next_offset.encode()) > MAX_OFFSET_BYTES:
        raise bad_request("NEXT_OFFSET_INVALID")
    query_id = call.params.text("inline_query_id")
    query = call.bot.inline_queries.pop(query_id, call.now)
    if query is None:
        raise _too_old()
    answer = {
        "query_id": query_id,
        "results": checked,
        "next_offset": next_offset,
        "button": call.params.obj("button"),
    }
    kept = {**answer, "query": query.data.get("query", ""), "chat": query.dialog.chat.id}
    call.bot.inline_answers.add(query_id, kept, call.now)
    call.world.emit_chat(call.bot, query.dialog, "inline_answer", answer)
    return True


@method("answerWebAppQuery")
def answer_web_app_query(call: Call) -> Json:
    """Send a message on behalf of the user whose mini app session this is."""
    result = check_result(call.params.obj("result"))
    query = call.bot.web_app_queries.pop(call.params.text("web_app_query_id"), call.now)
    if query is None:
        raise _too_old()
    message = post_result(call.world, call.bot, query.dialog, query.user, result, call.now, call.params.files)
    return {"inline_message_id": message.inline_id} if message.inline_id else {}


@method("savePreparedInlineMessage")
def save_prepared_inline_message(call: Call) -> Json:
    """Keep a message that its user may share from a mini app, once, within a day."""
    result = check_result(call.params.obj("result"))
    result_content(result, call.world.files, call.params.files)
    user = call.world.users.get(call.params.integer("user_id"))
    if user is None or user.id not in call.bot.dialogs:
        raise bad_request("USER_ID_INVALID")
    allowed = [kind for kind in CHAT_KINDS if call.params.flag(f"allow_{kind}_chats")]
    if not allowed:
        raise bad_request("PEER_TYPES_INVALID")
    prepared_id = call.world.new_id()
    query = Query(
        user, call.world.dialog(call.bot, user), {"result": result, "allowed": allowed, "files": call.params.files}
    )
    call.bot.prepared.add(prepared_id, query, call.now)
    return {"id": prepared_id, "expiration_date": int(call.now + PREPARED_SECONDS)}


def post_result(
    world: World, bot: Bot, dialog: Dialog, user: User, result: Json, now: float, fetched: Mapping[str, Sent] = NOTHING
) -> Message:
    """Send a result as the user, via the bot; it can be edited later only if it has an inline keyboard.

    Args:
        world: where it happens.
        bot: whose result it is.
        dialog: where it is sent.
        user: who sends it.
        result: checked.
        now: unix seconds.
        fetched: files by address.

    Raises:
        ApiError: the result holds nothing that can be sent here.
    """
    markup = inline_keyboard(result.get("reply_markup"))
    content = result_content(result, world.files, fetched)
    return world.post(
        bot,
        dialog,
        user,
        content.text,
        now,
        extra=content.extra,
        markup=markup,
        via_bot=bot.user,
        inline_id=f"AgAA{world.new_id()}" if markup else "",
    )
