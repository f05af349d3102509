"""Methods that answer callback queries, inline queries and mini apps.

Source: https://core.telegram.org/bots/api#answercallbackquery, https://core.telegram.org/bots/api#inline-mode
"""

from typing import Any

from sandbox.errors import ApiError, bad_request
from sandbox.formatting import bot_text
from sandbox.keyboards import inline_keyboard
from sandbox.methods import Call, method
from sandbox.model import Json, Message, RichText
from sandbox.state import Bot, Dialog, World

MAX_CALLBACK_TEXT = 200
MAX_RESULTS = 50
MAX_RESULT_ID_BYTES = 64
MAX_OFFSET_BYTES = 64


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
    call.bot.inline_answers.add(query_id, {**answer, "query": query.data.get("query", "")}, call.now)
    call.world.emit_chat(call.bot, query.dialog, "inline_answer", answer)
    return True


@method("answerWebAppQuery")
def answer_web_app_query(call: Call) -> Json:
    """Send a message on behalf of the user whose mini app session this is."""
    result = check_result(call.params.obj("result"))
    query = call.bot.web_app_queries.pop(call.params.text("web_app_query_id"), call.now)
    if query is None:
        raise _too_old()
    message = post_result(call.world, call.bot, query.dialog, result, call.now)
    return {"inline_message_id": message.inline_id} if message.inline_id else {}


def check_result(result: Any) -> Json:
    """Return an inline query result that can be shown and sent.

    Raises:
        ApiError: no object, a bad id, or content Telegram refuses.
    """
    if not isinstance(result, dict) or not isinstance(result.get("type"), str):
        raise bad_request("can't parse inline query result: InlineQueryResult must be an Object")
    id_ = result.get("id")
    if not isinstance(id_, str) or not 0 < len(id_.encode()) <= MAX_RESULT_ID_BYTES:
        raise bad_request("RESULT_ID_INVALID")
    if result["type"] == "article":
        if not result.get("title"):
            raise bad_request("can't parse inline query result: Can't find field \"title\"")
        result_content(result)
    inline_keyboard(result.get("reply_markup"))
    return result


def result_content(result: Json) -> RichText:
    """Return the text a chosen result sends.

    Raises:
        ApiError: it has no `input_message_content` with a text.
    """
    content = result.get("input_message_content")
    if not isinstance(content, dict) or "message_text" not in content:
        raise bad_request("can't parse inline query result: Can't find field \"message_text\"")
    return bot_text(str(content["message_text"]), str(content.get("parse_mode") or ""), content.get("entities"))


def post_result(world: World, bot: Bot, dialog: Dialog, result: Json, now: float) -> Message:
    """Send a result as the user, via the bot; it can be edited later only if it has an inline keyboard.

    Raises:
        ApiError: the result holds nothing that can be sent here.
    """
    user = dialog.chat.user
    if user is None:
        raise bad_request("QUERY_ID_INVALID")
    markup = inline_keyboard(result.get("reply_markup"))
    return world.post(
        bot,
        dialog,
        user,
        result_content(result),
        now,
        markup=markup,
        via_bot=bot.user,
        inline_id=f"AgAA{world.new_id()}" if markup else "",
    )
