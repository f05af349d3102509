"""Groups of the sandbox: what the bot hears, who comes and goes, and mini apps that know their chat."""

from urllib.parse import parse_qs, urlsplit

import pytest
from aiogram.exceptions import TelegramBadRequest, TelegramForbiddenError, TelegramMigrateToChat
from aiogram.types import (
    BotCommand,
    BotCommandScopeAllGroupChats,
    BotCommandScopeChatAdministrators,
    ChatPermissions,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    InlineQueryResultArticle,
    InputTextMessageContent,
    WebAppInfo,
)

from sandbox_desk import ADA, APP_URL, BEN, TOKEN, desk
from shared.init_data import validate, webapp_key

ALL = ["message", "edited_message", "my_chat_member", "chat_member", "callback_query", "inline_query",
       "chosen_inline_result"]  # fmt: skip


class Table:
    """A sandbox with a group of Ada's, in which Ben and the bot are."""

    def __init__(self, running, bot, group):
        self.running, self.bot, self.group = running, bot, group["id"]

    async def act(self, user, action, **fields):
        return await self.running.act(user, action, chat_id=self.group, **fields)

    async def heard(self):
        """Take the updates that wait."""
        updates = await self.bot.get_updates(allowed_updates=ALL)
        if updates:
            await self.bot.get_updates(offset=updates[-1].update_id + 1)
        return updates

    async def promote(self):
        await self.act(ADA, "members", user_id=42, status="administrator")
        await self.heard()


@pytest.fixture(params=["group", "supergroup"])
async def table(request):
    async with desk() as running, running.bot() as bot:
        await bot.get_updates(allowed_updates=ALL)
        group = await running.act(ADA, "groups", title="Chess", type=request.param, members=[BEN])
        yield Table(running, bot, group)


async def test_a_bot_is_told_that_it_was_added_and_thrown_out(table):
    added, created = await table.heard()
    change = added.my_chat_member
    assert (change.chat.title, change.from_user.id) == ("Chess", ADA)
    assert (change.old_chat_member.status, change.new_chat_member.status) == ("left", "member")
    assert created.message.group_chat_created or created.message.supergroup_chat_created
    await table.act(BEN, "members", user_id=42, status="kicked")
    thrown_out = await table.heard()
    assert thrown_out[0].my_chat_member.new_chat_member.status == "kicked"
    with pytest.raises(TelegramForbiddenError, match=f"bot was kicked from the {change.chat.type} chat"):
        await table.bot.send_message(table.group, "x")
    await table.act(ADA, "messages", text="/start")
    assert await table.heard() == []


async def test_with_privacy_it_hears_only_what_is_meant_for_it(table):
    await table.heard()
    sent = await table.bot.send_message(table.group, "Who plays?")
    for text in ("hello all", "/play@another_bot", "@counter_bot hi", "say /play"):
        await table.act(BEN, "messages", text=text)
    await table.act(BEN, "messages", text="/play e4")
    await table.act(BEN, "messages", text="/PLAY@Counter_Bot e5")
    await table.act(BEN, "messages", text="me", reply_to=sent.message_id)
    heard = await table.heard()
    assert [update.message.text for update in heard] == ["/play e4", "/PLAY@Counter_Bot e5", "me"]
    assert heard[2].message.reply_to_message.text == "Who plays?"
    assert {update.message.chat.id for update in heard} == {table.group}
    await table.promote()
    await table.act(BEN, "messages", text="hello all")
    assert [update.message.text for update in await table.heard()] == ["hello all"], "an administrator hears all"


async def test_without_privacy_it_hears_everything_and_edits(table):
    await table.heard()
    await table.running.post("bots/counter/privacy", enabled=False)
    assert (await table.bot.get_me()).can_read_all_group_messages
    sent = await table.act(BEN, "messages", text="e4")
    await table.act(BEN, "edit", message_id=sent["message_id"], text="e5")
    message, edited = await table.heard()
    assert (message.message.text, edited.edited_message.text) == ("e4", "e5")
    assert edited.edited_message.edit_date
    await table.act(ADA, "edit", expect=403, message_id=sent["message_id"], text="mine")
    await table.act(ADA, "delete", message_id=sent["message_id"])
    assert await table.heard() == []


async def test_members_come_and_go(table):
    await table.heard()
    await table.promote()
    await table.act(BEN, "members", user_id=BEN, status="left")
    change, service = await table.heard()
    assert (change.chat_member.new_chat_member.status, service.message.left_chat_member.id) == ("left", BEN)
    await table.act(BEN, "messages", expect=403, text="x")
    await table.act(ADA, "members", user_id=BEN, status="member")
    change, service = await table.heard()
    assert (change.chat_member.from_user.id, service.message.new_chat_members[0].id) == (ADA, BEN)
    assert await table.bot.get_chat_member_count(table.group) == 3
    assert (await table.bot.get_chat_member(table.group, BEN)).status == "member"
    admins = await table.bot.get_chat_administrators(table.group)
    assert {(member.user.id, member.status) for member in admins} == {(ADA, "creator"), (42, "administrator")}


async def test_an_administrator_bot_bans_pins_and_renames(table):
    await table.heard()
    with pytest.raises(TelegramBadRequest, match="not enough rights"):
        await table.bot.ban_chat_member(table.group, BEN)
    spam = await table.act(BEN, "messages", text="spam")
    with pytest.raises(TelegramBadRequest, match="message can't be deleted"):
        await table.bot.delete_message(table.group, spam["message_id"])
    await table.promote()
    assert await table.bot.delete_message(table.group, spam["message_id"])
    assert await table.bot.ban_chat_member(table.group, BEN)
    assert (await table.heard())[0].chat_member.new_chat_member.status == "kicked"
    await table.act(BEN, "messages", expect=403, text="x")
    assert await table.bot.unban_chat_member(table.group, BEN)
    with pytest.raises(TelegramBadRequest, match="can't remove chat owner"):
        await table.bot.ban_chat_member(table.group, ADA)
    sent = await table.bot.send_message(table.group, "rules")
    assert await table.bot.pin_chat_message(table.group, sent.message_id)
    assert (await table.running.chat(ADA, chat_id=table.group))["pinned"] == [sent.message_id]
    assert (await table.bot.get_chat(table.group)).pinned_message.text == "rules"
    assert await table.bot.unpin_all_chat_messages(table.group)
    assert await table.bot.set_chat_title(table.group, "Go")
    assert (await table.bot.get_chat(table.group)).title == "Go"
    assert await table.bot.leave_chat(table.group)
    with pytest.raises(TelegramForbiddenError, match="bot is not a member"):
        await table.bot.get_chat(table.group)


async def test_a_restricted_member_of_a_supergroup_cannot_write(table):
    await table.promote()
    restrict = table.bot.restrict_chat_member(table.group, BEN, ChatPermissions(can_send_messages=False))
    if (await table.running.chat(ADA, chat_id=table.group))["group"]["type"] == "group":
        with pytest.raises(TelegramBadRequest, match="available only for supergroups"):
            await restrict
        return
    assert await restrict
    await table.act(BEN, "messages", expect=403, text="x")
    assert (await table.bot.get_chat_member(table.group, BEN)).status == "restricted"


async def test_a_mini_app_from_a_group_knows_its_chat(table):
    data = {}
    for user in (ADA, BEN):
        url = (await table.act(user, "launch", start_param="room"))["url"]
        raw = parse_qs(urlsplit(url).fragment)["tgWebAppData"][0]
        data[user] = validate(raw, webapp_key(TOKEN))
    kind = (await table.running.chat(ADA, chat_id=table.group))["group"]["type"]
    assert {item.chat_type for item in data.values()} == {kind}
    assert data[ADA].chat_instance == data[BEN].chat_instance, "one room for all who came from one group"
    private = (await table.running.act(ADA, "launch", start_param="room"))["url"]
    assert data[ADA].chat_instance not in private


async def test_buttons_and_inline_results_work_in_a_group(table):
    await table.heard()
    opens = InlineKeyboardButton(text="open", web_app=WebAppInfo(url=APP_URL))
    with pytest.raises(TelegramBadRequest, match="BUTTON_TYPE_INVALID"):
        await table.bot.send_message(table.group, "x", reply_markup=InlineKeyboardMarkup(inline_keyboard=[[opens]]))
    markup = InlineKeyboardMarkup(inline_keyboard=[[InlineKeyboardButton(text="go", callback_data="go")]])
    sent = await table.bot.send_message(table.group, "x", reply_markup=markup)
    await table.act(BEN, "callback", message_id=sent.message_id, data="go")
    asked = await table.act(BEN, "inline", query="q", offset="")
    pressed, query = await table.heard()
    assert (pressed.callback_query.message.chat.id, pressed.callback_query.from_user.id) == (table.group, BEN)
    assert query.inline_query.chat_type in ("group", "supergroup")
    content = InputTextMessageContent(message_text="chosen")
    article = InlineQueryResultArticle(id="1", title="One", input_message_content=content, reply_markup=markup)
    await table.bot.answer_inline_query(asked["query_id"], [article])
    await table.act(BEN, "choose", query_id=asked["query_id"], result_id="1")
    chosen, message = await table.heard()
    assert chosen.chosen_inline_result.inline_message_id
    assert (message.message.chat.id, message.message.via_bot.id) == (table.group, 42)


async def test_commands_of_groups_and_their_administrators(table):
    await table.bot.set_my_commands([BotCommand(command="all", description="all")], BotCommandScopeAllGroupChats())
    admins = BotCommandScopeChatAdministrators(chat_id=table.group)
    await table.bot.set_my_commands([BotCommand(command="admin", description="admin")], admins)
    shown = [(await table.running.chat(user, chat_id=table.group))["commands"] for user in (ADA, BEN)]
    assert [[command["command"] for command in commands] for commands in shown] == [["admin"], ["all"]]


async def test_a_group_that_became_a_supergroup_says_where_it_went():
    async with desk() as running, running.bot() as bot:
        old = (await running.act(ADA, "groups", title="Chess", type="group", members=[BEN]))["id"]
        new = (await running.act(ADA, "upgrade", chat_id=old))["id"]
        with pytest.raises(TelegramMigrateToChat) as caught:
            await bot.send_message(old, "x")
        assert caught.value.migrate_to_chat_id == new
        assert (await bot.send_message(new, "x")).chat.type == "supergroup"
        moved = [update.message for update in await bot.get_updates() if update.message]
        assert [message.migrate_to_chat_id for message in moved[-2:]] == [new, None]
        assert moved[-1].migrate_from_chat_id == old


async def test_people_come_by_a_link_while_it_leads_somewhere():
    async with desk() as running, running.bot() as bot:
        group = (await running.act(ADA, "groups", title="Chess"))["id"]
        await running.act(ADA, "members", chat_id=group, user_id=42, status="administrator")
        await bot.get_updates(offset=-1, allowed_updates=ALL)
        invite = await bot.create_chat_invite_link(group, name="Friends", member_limit=1)
        assert (await running.act(BEN, "join", link=invite.invite_link))["id"] == group
        (change, _) = await bot.get_updates(offset=-2, allowed_updates=ALL)
        assert change.chat_member.invite_link.name == "Friends"
        await running.act(BEN, "members", chat_id=group, user_id=BEN, status="left")
        await running.act(BEN, "join", expect=404, link=invite.invite_link)
        main = await bot.export_chat_invite_link(group)
        await bot.revoke_chat_invite_link(group, main)
        await running.act(BEN, "join", expect=404, link=main)
        await bot.set_chat_permissions(group, ChatPermissions(can_send_messages=False))
        await running.act(BEN, "join", link=await bot.export_chat_invite_link(group))
        await running.act(BEN, "messages", expect=403, chat_id=group, text="x")
        await running.act(ADA, "messages", chat_id=group, text="x")


async def test_group_refusals():
    async with desk() as running:
        await running.act(ADA, "groups", expect=400, title="")
        await running.act(ADA, "groups", expect=400, title="x", type="channel")
        await running.act(ADA, "groups", expect=404, title="x", members=[7])
        group = (await running.act(ADA, "groups", title="x"))["id"]
        await running.act(BEN, "messages", expect=403, chat_id=group, text="x")
        await running.act(BEN, "members", expect=403, chat_id=group, user_id=ADA, status="kicked")
        await running.act(ADA, "messages", expect=404, chat_id=-7, text="x")
        await running.act(ADA, "messages", expect=400, chat_id="x", text="x")
