"""Every Bot API method of the sandbox, called by real aiogram."""

import pytest
from aiogram.exceptions import (
    TelegramBadRequest,
    TelegramForbiddenError,
    TelegramNotFound,
    TelegramRetryAfter,
    TelegramUnauthorizedError,
)
from aiogram.types import (
    BotCommand,
    BotCommandScopeAllPrivateChats,
    BotCommandScopeChat,
    ForceReply,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    InlineQueryResultArticle,
    InputTextMessageContent,
    KeyboardButton,
    MenuButtonDefault,
    MenuButtonWebApp,
    ReplyKeyboardMarkup,
    ReplyKeyboardRemove,
    ReplyParameters,
    WebAppInfo,
)

from sandbox_desk import ADA, APP_URL, BEN, TOKEN, desk


def keyboard(*buttons):
    return InlineKeyboardMarkup(inline_keyboard=[list(buttons)])


def plain(*values):
    """What was sent or received, without the Bot that aiogram ties to received objects."""
    return [value.model_dump(exclude_none=True) for value in values]


def article(id_, **fields):
    content = InputTextMessageContent(message_text=f"chosen {id_}")
    return InlineQueryResultArticle(id=id_, title=f"Title {id_}", input_message_content=content, **fields)


@pytest.fixture
async def table():
    """A sandbox where Ada has started the bot, and the bot."""
    async with desk() as running, running.bot() as bot:
        await running.act(ADA, "messages", text="/start")
        await bot.get_updates(offset=-1)
        yield running, bot


async def last_update(bot):
    (update,) = await bot.get_updates(offset=-1)
    return update


async def test_get_me(table):
    _, bot = table
    me = await bot.get_me()
    assert (me.id, me.is_bot, me.username, me.has_main_web_app) == (42, True, "counter_bot", True)


async def test_get_chat(table):
    _, bot = table
    chat = await bot.get_chat(ADA)
    assert (chat.id, chat.type, chat.first_name, chat.username) == (ADA, "private", "Ada", "ada")
    assert (await bot.get_chat("@ada")).id == ADA


async def test_send_message_formats_and_shows(table):
    running, bot = table
    message = await bot.send_message(ADA, "<b>Hi</b> there", parse_mode="HTML", protect_content=True)
    assert (message.text, message.html_text, message.has_protected_content) == ("Hi there", "<b>Hi</b> there", True)
    shown = (await running.chat(ADA))["messages"][-1]
    assert (shown["text"], shown["from"]["id"]) == ("Hi there", 42)
    assert shown["entities"] == [{"type": "bold", "offset": 0, "length": 2}]


async def test_message_ids_grow_and_replies_quote(table):
    _, bot = table
    first = await bot.send_message(ADA, "one")
    second = await bot.send_message(ADA, "two", reply_parameters=ReplyParameters(message_id=first.message_id))
    assert second.message_id == first.message_id + 1
    assert second.reply_to_message.text == "one"
    with pytest.raises(TelegramBadRequest, match="message to be replied not found"):
        await bot.send_message(ADA, "x", reply_parameters=ReplyParameters(message_id=999))


@pytest.mark.parametrize(
    ("arguments", "description"),
    [
        ((ADA, ""), "message text is empty"),
        ((ADA, "x" * 4097), "message is too long"),
        ((5, "x"), "chat not found"),
        ((BEN, "x"), "chat not found"),
        (("@nobody", "x"), "chat not found"),
    ],
)
async def test_send_message_refusals(table, arguments, description):
    _, bot = table
    with pytest.raises(TelegramBadRequest, match=f"Bad Request: {description}"):
        await bot.send_message(*arguments)


async def test_writing_first_is_forbidden_once_the_bot_knows_the_user(table):
    running, bot = table
    await running.act(BEN, "launch")
    with pytest.raises(TelegramForbiddenError, match="bot can't initiate conversation with a user"):
        await bot.send_message(BEN, "x")


async def test_blocked_by_the_user(table):
    running, bot = table
    await running.act(ADA, "block", blocked=True)
    change = (await last_update(bot)).my_chat_member
    assert (change.old_chat_member.status, change.new_chat_member.status) == ("member", "kicked")
    with pytest.raises(TelegramForbiddenError, match="bot was blocked by the user"):
        await bot.send_message(ADA, "x")
    await running.act(ADA, "messages", text="hello again")
    assert (await bot.send_message(ADA, "x")).text == "x"


async def test_inline_keyboard_buttons(table):
    _, bot = table
    markup = keyboard(
        InlineKeyboardButton(text="a", callback_data="1"),
        InlineKeyboardButton(text="b", url="https://example.com"),
        InlineKeyboardButton(text="c", web_app=WebAppInfo(url=APP_URL)),
    )
    message = await bot.send_message(ADA, "x", reply_markup=markup)
    assert plain(message.reply_markup) == plain(markup)


@pytest.mark.parametrize(
    ("button", "description"),
    [
        ({"text": "a"}, "Text buttons are unallowed in the inline keyboard"),
        ({"text": "a", "callback_data": "x" * 65}, "BUTTON_DATA_INVALID"),
        ({"text": "a", "web_app": {"url": "http://example.com"}}, "Only HTTPS links are allowed"),
        ({"text": "a", "url": "javascript:alert(1)"}, "Unsupported URL protocol"),
    ],
)
async def test_bad_buttons(table, button, description):
    _, bot = table
    with pytest.raises(TelegramBadRequest, match=description):
        await bot.send_message(ADA, "x", reply_markup=keyboard(InlineKeyboardButton(**button)))


async def test_reply_keyboard_comes_and_goes(table):
    running, bot = table
    markup = ReplyKeyboardMarkup(keyboard=[[KeyboardButton(text="One")]])
    await bot.send_message(ADA, "x", reply_markup=markup)
    assert (await running.chat(ADA))["keyboard"]["keyboard"][0][0]["text"] == "One"
    await bot.send_message(ADA, "x", reply_markup=ReplyKeyboardRemove())
    assert (await running.chat(ADA))["keyboard"] is None
    await bot.send_message(ADA, "x", reply_markup=ForceReply())
    assert (await running.chat(ADA))["keyboard"]["force_reply"] is True


async def test_edit_message(table):
    running, bot = table
    message = await bot.send_message(ADA, "one")
    edited = await bot.edit_message_text("*two*", chat_id=ADA, message_id=message.message_id, parse_mode="MarkdownV2")
    assert (edited.text, edited.entities[0].type, edited.edit_date is not None) == ("two", "bold", True)
    markup = keyboard(InlineKeyboardButton(text="a", callback_data="1"))
    await bot.edit_message_reply_markup(chat_id=ADA, message_id=message.message_id, reply_markup=markup)
    shown = (await running.chat(ADA))["messages"][-1]
    assert (shown["text"], shown["reply_markup"]["inline_keyboard"][0][0]["text"]) == ("two", "a")
    with pytest.raises(TelegramBadRequest, match="message is not modified"):
        await bot.edit_message_reply_markup(chat_id=ADA, message_id=message.message_id, reply_markup=markup)
    with pytest.raises(TelegramBadRequest, match="message to edit not found"):
        await bot.edit_message_text("x", chat_id=ADA, message_id=999)
    with pytest.raises(TelegramBadRequest, match="message can't be edited"):
        await bot.edit_message_text("x", chat_id=ADA, message_id=1)


async def test_delete_message(table):
    running, bot = table
    message = await bot.send_message(ADA, "one")
    assert await bot.delete_message(ADA, message.message_id)
    with pytest.raises(TelegramBadRequest, match="message to delete not found"):
        await bot.delete_message(ADA, message.message_id)
    assert await bot.delete_messages(ADA, [1, 777])
    assert (await running.chat(ADA))["messages"] == []


async def test_chat_action_reaches_the_page(table):
    running, bot = table
    async with running.events() as events:
        assert await bot.send_chat_action(ADA, "typing")
        assert await anext(events) == ("action", {"bot": 42, "chat": ADA, "action": "typing"})
    with pytest.raises(TelegramBadRequest, match="wrong parameter action"):
        await bot.send_chat_action(ADA, "dancing")


async def test_commands_by_scope_and_language(table):
    running, bot = table
    start, hello, private, own = (BotCommand(command=name, description=name) for name in ("start", "hallo", "p", "own"))
    await bot.set_my_commands([start])
    await bot.set_my_commands([hello], language_code="de")
    assert plain(*await bot.get_my_commands()) == plain(start)
    assert plain(*await bot.get_my_commands(language_code="de")) == plain(hello)
    assert (await running.chat(ADA))["commands"] == [{"command": "start", "description": "start"}]
    await bot.set_my_commands([private], scope=BotCommandScopeAllPrivateChats())
    await bot.set_my_commands([own], scope=BotCommandScopeChat(chat_id=ADA))
    assert [command["command"] for command in (await running.chat(ADA))["commands"]] == ["own"]
    assert [command["command"] for command in (await running.chat(BEN))["commands"]] == ["p"]
    await bot.delete_my_commands(scope=BotCommandScopeChat(chat_id=ADA))
    assert [command["command"] for command in (await running.chat(ADA))["commands"]] == ["p"]
    with pytest.raises(TelegramBadRequest, match="BOT_COMMAND_INVALID"):
        await bot.set_my_commands([BotCommand(command="Not valid", description="x")])
    with pytest.raises(TelegramBadRequest, match="BOT_COMMANDS_TOO_MUCH"):
        await bot.set_my_commands([start] * 101)


async def test_menu_button(table):
    running, bot = table
    button = MenuButtonWebApp(text="Play", web_app=WebAppInfo(url=f"{APP_URL}play"))
    assert await bot.set_chat_menu_button(chat_id=ADA, menu_button=button)
    assert plain(await bot.get_chat_menu_button(chat_id=ADA)) == plain(button)
    assert isinstance(await bot.get_chat_menu_button(), MenuButtonDefault)
    assert (await running.chat(ADA))["menu_button"]["text"] == "Play"
    assert (await running.chat(BEN))["menu_button"]["web_app"]["url"] == APP_URL, "the default opens the mini app"


async def test_callback_query(table):
    running, bot = table
    message = await bot.send_message(
        ADA, "x", reply_markup=keyboard(InlineKeyboardButton(text="a", callback_data="go"))
    )
    pressed = await running.act(ADA, "callback", message_id=message.message_id, data="go")
    query = (await last_update(bot)).callback_query
    assert (query.id, query.data, query.from_user.id) == (pressed["query_id"], "go", ADA)
    assert query.message.message_id == message.message_id
    async with running.events() as events:
        assert await bot.answer_callback_query(query.id, text="done", show_alert=True)
        kind, answer = await anext(events)
    assert (kind, answer["query_id"], answer["text"], answer["show_alert"]) == (
        "callback_answer", query.id, "done", True,
    )  # fmt: skip
    for query_id in (query.id, "123"):
        with pytest.raises(
            TelegramBadRequest, match="query is too old and response timeout expired or query ID is inv"
        ):
            await bot.answer_callback_query(query_id)
    with pytest.raises(TelegramBadRequest, match="MESSAGE_TOO_LONG"):
        await bot.answer_callback_query(query.id, text="x" * 201)
    await running.act(ADA, "callback", expect=404, message_id=message.message_id, data="no such button")


async def test_a_callback_query_grows_old():
    now = [1_000_000.0]
    async with desk(clock=lambda: now[0]) as running, running.bot() as bot:
        await running.act(ADA, "messages", text="/start")
        message = await bot.send_message(
            ADA, "x", reply_markup=keyboard(InlineKeyboardButton(text="a", callback_data="go"))
        )
        pressed = await running.act(ADA, "callback", message_id=message.message_id, data="go")
        now[0] += 61
        with pytest.raises(TelegramBadRequest, match="query is too old"):
            await bot.answer_callback_query(pressed["query_id"])


async def test_inline_query_and_chosen_result(table):
    running, bot = table
    asked = await running.act(ADA, "inline", query="hello", offset="")
    query = (await last_update(bot)).inline_query
    assert (query.id, query.query, query.from_user.id) == (asked["query_id"], "hello", ADA)
    markup = keyboard(InlineKeyboardButton(text="a", callback_data="go"))
    async with running.events() as events:
        assert await bot.answer_inline_query(query.id, [article("1"), article("2", reply_markup=markup)])
        kind, answer = await anext(events)
    assert (kind, [result["id"] for result in answer["results"]]) == ("inline_answer", ["1", "2"])
    sent = await running.act(ADA, "choose", query_id=query.id, result_id="2")
    assert (sent["text"], sent["via_bot"]["id"], sent["from"]["id"]) == ("chosen 2", 42, ADA)
    updates = await bot.get_updates(offset=-2)
    chosen = updates[0].chosen_inline_result
    assert (chosen.result_id, chosen.query, updates[1].message.via_bot.id) == ("2", "hello", 42)
    assert await bot.edit_message_text("later", inline_message_id=chosen.inline_message_id) is True
    assert (await running.chat(ADA))["messages"][-1]["text"] == "later"
    with pytest.raises(TelegramBadRequest, match="query is too old"):
        await bot.answer_inline_query(query.id, [])
    await running.act(ADA, "choose", expect=404, query_id=query.id, result_id="9")


async def test_inline_results_are_checked(table):
    running, bot = table
    asked = await running.act(ADA, "inline", query="", offset="")
    with pytest.raises(TelegramBadRequest, match="RESULT_ID_DUPLICATE"):
        await bot.answer_inline_query(asked["query_id"], [article("1"), article("1")])
    with pytest.raises(TelegramBadRequest, match="RESULTS_TOO_MUCH"):
        await bot.answer_inline_query(asked["query_id"], [article(str(n)) for n in range(51)])
    assert await bot.answer_inline_query(asked["query_id"], []), "a refused answer leaves the query open"


async def test_web_app_query(table):
    running, bot = table
    query_id = await running.act(ADA, "launch")
    (query_id,) = list(running.runtime.world.bots[42].web_app_queries._values)
    sent = await bot.answer_web_app_query(query_id, article("1"))
    assert sent.inline_message_id is None
    message = (await running.chat(ADA))["messages"][-1]
    assert (message["text"], message["from"]["id"], message["via_bot"]["id"]) == ("chosen 1", ADA, 42)
    with pytest.raises(TelegramBadRequest, match="query is too old"):
        await bot.answer_web_app_query(query_id, article("1"))


async def test_web_app_data_from_a_keyboard_button(table):
    running, bot = table
    button = KeyboardButton(text="Pick", web_app=WebAppInfo(url=APP_URL))
    await bot.send_message(ADA, "x", reply_markup=ReplyKeyboardMarkup(keyboard=[[button]]))
    await running.act(ADA, "web_app_data", button_text="Pick", data="7")
    data = (await last_update(bot)).message.web_app_data
    assert (data.button_text, data.data) == ("Pick", "7")
    await running.act(ADA, "web_app_data", expect=404, button_text="Another", data="7")


async def test_log_out_locks_the_bot_out(table):
    _, bot = table
    assert await bot.log_out()
    with pytest.raises(TelegramBadRequest, match="Logged out"):
        await bot.get_me()


async def test_close_asks_to_wait_in_the_first_ten_minutes():
    now = [1_000_000.0]
    async with desk(clock=lambda: now[0]) as running, running.bot() as bot:
        with pytest.raises(TelegramRetryAfter) as caught:
            await bot.close()
        assert caught.value.retry_after == 600
        now[0] += 601
        assert await bot.close()


async def test_limits_answer_429(table):
    running, bot = table
    async with running.http.post(f"{running.base}/sandbox/api/bots/counter/limits", json={"enabled": True}) as answer:
        assert (await answer.json())["limits"] is True
    for _ in range(3):  # a short burst passes
        await bot.send_message(ADA, "x")
    with pytest.raises(TelegramRetryAfter) as caught:
        await bot.send_message(ADA, "x")
    assert caught.value.retry_after == 1
    status, body = await running.raw("sendMessage", json={"chat_id": ADA, "text": "x"})
    assert (status, body["parameters"], body["description"]) == (
        429, {"retry_after": 1}, "Too Many Requests: retry after 1",
    )  # fmt: skip


async def test_unknown_token_and_method(table):
    running, bot = table
    async with running.bot("42:wrong") as stranger:
        with pytest.raises(TelegramUnauthorizedError):
            await stranger.get_me()
    with pytest.raises(TelegramNotFound):
        await bot.get_available_gifts()
    assert await running.raw("getMe", token="42:wrong") == (
        401, {"ok": False, "error_code": 401, "description": "Unauthorized"},
    )  # fmt: skip
    assert await running.raw("noSuchMethod") == (404, {"ok": False, "error_code": 404, "description": "Not Found"})


async def test_all_ways_to_pass_parameters(table):
    running, _ = table
    values = {"chat_id": str(ADA), "text": "x", "entities": '[{"type":"bold","offset":0,"length":1}]'}
    typed = {"chat_id": ADA, "text": "x", "entities": [{"type": "bold", "offset": 0, "length": 1}]}
    for options in ({"data": values}, {"json": typed}, {"params": values}, {"json": {"text": "x"}, "params": values}):
        status, body = await running.raw("sendMESSAGE", **options)
        assert (status, body["result"]["entities"][0]["type"]) == (200, "bold")
    async with running.http.get(f"{running.base}/bot{TOKEN}/sendMessage", params=values) as response:
        assert response.status == 200
    async with running.http.get(f"{running.base}/bot{TOKEN}/test/getMe") as response:
        assert (await response.json())["result"]["id"] == 42


@pytest.mark.parametrize(
    ("body", "description"),
    [
        (b"{", "can't parse JSON object"),
        (b"[]", "object expected as request body"),
        (b'{"text":"x"}', "chat_id is empty"),
        (b'{"chat_id":1001,"text":"x","reply_markup":"nonsense"}', "can't parse reply markup JSON object"),
        (b'{"chat_id":1001,"text":"x","reply_markup":[1]}', "object expected as reply markup"),
        (b'{"chat_id":1001,"text":"x","reply_markup":{"inline_keyboard":[{}]}}', "Array of Array"),
        (
            b'{"chat_id":1001,"text":"x","reply_markup":{"inline_keyboard":[[{"text":"a","web_app":"b"}]]}}',
            "Web App URL",
        ),
        (b'{"chat_id":1001,"text":"x","entities":[1]}', "entity must be an object"),
        (b'{"chat_id":1001,"text":"x","reply_parameters":{"message_id":"no"}}', "message to be replied not found"),
    ],
)
async def test_garbage_is_refused_not_crashed_on(table, body, description):
    running, _ = table
    status, answer = await running.raw("sendMessage", data=body, headers={"Content-Type": "application/json"})
    assert (status, answer["ok"]) == (400, False)
    assert description in answer["description"]
