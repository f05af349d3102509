"""Files by address, inline results with files, polls, reactions and what people share."""

import pytest
from aiogram.exceptions import TelegramBadRequest
from aiogram.types import (
    InlineQueryResultDocument,
    InputMediaPhoto,
    KeyboardButton,
    KeyboardButtonRequestUsers,
    ReactionTypeEmoji,
    ReplyKeyboardMarkup,
)

from sandbox_desk import ADA, BEN, desk

ALL = ["message", "poll", "poll_answer", "message_reaction", "chosen_inline_result", "inline_query"]


@pytest.fixture
async def table():
    async with desk() as running, running.bot() as bot:
        await running.act(ADA, "messages", text="/start")
        await bot.get_updates(offset=-1, allowed_updates=ALL)
        yield running, bot


async def last(bot, count=1):
    return await bot.get_updates(offset=-count, allowed_updates=ALL)


async def test_a_file_is_fetched_by_its_address(table):
    running, bot = table
    address = f"{running.base}/sandbox/page/favicon.svg"
    sent = await bot.send_document(ADA, address, caption="a picture")
    assert (sent.document.file_name, sent.document.file_size > 100) == ("favicon.svg", True)
    photo = await bot.edit_message_media(InputMediaPhoto(media=address), chat_id=ADA, message_id=sent.message_id)
    assert photo.photo
    assert photo.document is None
    for wrong in (f"{running.base}/nothing", "http://127.0.0.1:1/a.png"):
        with pytest.raises(TelegramBadRequest, match="failed to get HTTP URL content"):
            await bot.send_photo(ADA, wrong)


async def test_an_inline_result_can_be_a_file(table):
    running, bot = table
    asked = await running.act(ADA, "inline", query="", offset="")
    address = f"{running.base}/sandbox/page/favicon.svg"
    document = InlineQueryResultDocument(id="1", title="One", document_url=address, mime_type="application/pdf")
    gone = document.model_copy(update={"id": "2", "document_url": f"{running.base}/nothing"})
    assert await bot.answer_inline_query(asked["query_id"], [document, gone])
    sent = await running.act(ADA, "choose", query_id=asked["query_id"], result_id="1")
    assert (sent["document"]["file_name"], sent["via_bot"]["id"]) == ("favicon.svg", 42)
    answer = await running.act(ADA, "choose", expect=400, query_id=asked["query_id"], result_id="2")
    assert "cannot be fetched" in answer["error"]


async def test_people_vote_and_change_their_mind(table):
    running, bot = table
    poll = await bot.send_poll(ADA, "Who?", ["I", "You"], is_anonymous=False)
    await running.act(ADA, "vote", message_id=poll.message_id, options=[1])
    answer, counts = await last(bot, 2)
    assert (answer.poll_answer.user.id, answer.poll_answer.option_ids) == (ADA, [1])
    assert [option.voter_count for option in counts.poll.options] == [0, 1]
    await running.act(ADA, "vote", expect=400, message_id=poll.message_id, options=[0, 1])
    await running.act(ADA, "vote", message_id=poll.message_id, options=[])
    stopped = await bot.stop_poll(ADA, poll.message_id)
    assert (stopped.is_closed, stopped.total_voter_count) == (True, 0)
    await running.act(ADA, "vote", expect=400, message_id=poll.message_id, options=[0])


async def test_reactions_reach_the_page_and_the_bot(table):
    running, bot = table
    sent = await bot.send_message(ADA, "Nice?")
    await running.act(ADA, "react", message_id=sent.message_id, emoji="👍")
    assert (await last(bot))[0].message_reaction.new_reaction[0].emoji == "👍"
    await bot.set_message_reaction(ADA, sent.message_id, [ReactionTypeEmoji(emoji="👍")])
    assert (await running.chat(ADA))["reactions"] == {str(sent.message_id): {"👍": 2}}


async def test_people_send_files_their_number_and_other_people(table):
    running, bot = table
    path = f"{running.base}/sandbox/api/bots/counter/users/{ADA}/files"
    binary = {"Content-Type": "application/octet-stream"}
    params = {"kind": "photo", "name": "a.jpg", "caption": "look /now"}
    async with running.http.post(path, params=params, data=b"jpeg", headers=binary) as response:
        assert response.status == 200
    message = (await last(bot))[0].message
    assert (message.caption, message.caption_entities[0].type, len(message.photo)) == ("look /now", "bot_command", 1)
    assert (await bot.download(message.photo[-1])).read() == b"jpeg"
    async with running.http.post(path, data=b"", headers=binary) as response:
        assert (response.status, (await response.json())["error"]) == (400, "file must be non-empty")
    async with running.http.post(path, data="x", headers={"Content-Type": "text/plain"}) as response:
        assert response.status == 415
    await running.act(ADA, "contact")
    assert (await last(bot))[0].message.contact.user_id == ADA
    button = KeyboardButton(text="Who?", request_users=KeyboardButtonRequestUsers(request_id=7, request_name=True))
    await bot.send_message(ADA, "x", reply_markup=ReplyKeyboardMarkup(keyboard=[[button]]))
    await running.act(ADA, "share_users", button_text="Who?", user_ids=[BEN])
    shared = (await last(bot))[0].message.users_shared
    assert (shared.request_id, shared.users[0].first_name) == (7, "Ben")
    await running.act(ADA, "share_users", expect=404, button_text="Other", user_ids=[BEN])
