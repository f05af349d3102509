"""Tic-tac-toe as it runs: two nodes, a bot worker, a real Valkey and the local Telegram."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from examples.tic_tac_toe import game as rules
from examples.tic_tac_toe.app import TicTacToe
from examples.tic_tac_toe.tables import Tables
from mini_apps import AppError
from mini_apps.testing import MiniAppTest, Page

Deployment = Callable[..., MiniAppTest]
View = dict[str, Any]

LINK = "https://t.me/tic_tac_toe_bot/tic_tac_toe?startapp="


@pytest.fixture
async def t(mini_app_test: Deployment) -> AsyncIterator[MiniAppTest]:
    async with mini_app_test(TicTacToe, name="tic_tac_toe", nodes=2) as test:
        yield test


async def enter(page: Page, game: str) -> View:
    """Sit down at a table and return the game there."""
    entered: View = await page.request(type="enter", game=game)
    return entered["game"]  # type: ignore[no-any-return]  # JSON


async def begun(t: MiniAppTest) -> tuple[Page, Page, str]:
    """Let Ada on one node and Ben on the other play with each other; Ada begins."""
    ada = await t.open("ada", node=0)
    game = (await ada.request(type="new"))["id"]
    await enter(ada, game)
    ben = await t.open("ben", node=1, start_param=game)
    assert (await ben.receive("hello"))["wanted"] == game
    await enter(ben, game)
    await ben.request(type="ask", game=game)
    assert (await shown(ada, 2))["asking"] == [{"id": t.user("ben").id, "name": "Ben"}]
    await ada.request(type="approve", game=game, player=t.user("ben").id)
    assert (await shown(ben, 3))["status"] == "playing"
    return ada, ben, game


async def shown(page: Page, version: int) -> View:
    """Wait until the page is told of a version of its game."""
    while True:
        game: View = (await page.receive("game"))["game"]
        if game["version"] == version:
            return game


async def move(page: Page, game: str, turn: int, cell: int, round: int = 1) -> View:  # noqa: A002 - as the message has it
    made: View = await page.request(type="move", game=game, round=round, turn=turn, cell=cell)
    return made


async def play(pages: tuple[Page, Page], game: str, *cells: int, round: int = 1) -> View:  # noqa: A002 - the same
    """Move in turns, the first page first; return the game."""
    for turn, cell in enumerate(cells):
        made = await move(pages[turn % 2], game, turn, cell, round)
    return made


async def test_two_on_different_nodes_play_win_and_play_again(t: MiniAppTest) -> None:
    ada, ben, game = await begun(t)
    won = await play((ada, ben), game, 4, 0, 2, 1, 6)
    assert (won["status"], won["winner"], sorted(won["line"])) == ("won", t.user("ada").id, [2, 4, 6])
    assert (await shown(ben, won["version"]))["wins"] == [1, 0, 0]
    await ben.request(type="rematch", game=game, round=1)
    again = await ada.request(type="rematch", game=game, round=1)
    assert (again["round"], again["next"]) == (2, t.user("ben").id)
    drawn = await play((ben, ada), game, 4, 0, 2, 6, 3, 5, 8, 1, 7, round=2)
    assert (drawn["status"], drawn["wins"]) == ("draw", [1, 0, 1])
    assert (await shown(ada, drawn["version"]))["board"] == "OOXXXOOXX"


async def test_of_moves_at_the_same_time_one_is_made(t: MiniAppTest) -> None:
    ada, _, game = await begun(t)
    tabs = [ada, *[await t.open("ada", node=number % 2) for number in range(5)]]
    asked = [move(tab, game, 0, cell) for cell, tab in enumerate(tabs)]
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    made = [outcome for outcome in outcomes if isinstance(outcome, dict)]
    refused = [outcome.code for outcome in outcomes if isinstance(outcome, AppError)]
    assert (len(made), refused) == (1, ["late"] * 5)
    assert made[0]["board"].count("X") == 1
    now = await enter(ada, game)
    assert (now["board"], now["version"]) == (made[0]["board"], 4)


async def test_a_move_that_is_sent_twice_is_made_once(t: MiniAppTest) -> None:
    ada, ben, game = await begun(t)
    once, twice = await move(ada, game, 0, 4), await move(ada, game, 0, 4)
    assert once == twice
    await move(ben, game, 1, 0)
    assert (await move(ada, game, 0, 4))["board"] == "O...X...."


async def test_a_game_outlives_either_node_and_who_comes_back_missed_nothing(t: MiniAppTest) -> None:
    ada, ben, game = await begun(t)
    await move(ada, game, 0, 4)
    await shown(ada, 4)
    await t.nodes[0].kill()
    await move(ben, game, 1, 0)
    await ada.reconnect(node=1)
    assert ada.welcome["channels"][f"game:{game}"]["recovered"]
    assert (await shown(ada, 5))["next"] == t.user("ada").id
    await t.nodes[0].start()
    await t.nodes[1].kill()
    await ben.reconnect(node=0)
    await ada.reconnect(node=0)
    await move(ada, game, 2, 2)
    await move(ben, game, 3, 1)
    assert (await move(ada, game, 4, 6))["status"] == "won"
    assert (await shown(ben, 8))["winner"] == t.user("ada").id


async def test_who_comes_back_tells_the_table_what_a_dead_node_could_not(t: MiniAppTest) -> None:
    ada, ben, game = await begun(t)
    await t.settled()
    ben.messages.clear()
    # As if the node had died between the move and telling of it.
    who = rules.Player(t.user("ada").id, "Ada Lovelace")
    await Tables(t.app).change(game, lambda before: rules.move(before, who, 1, 0, 4))
    await ben.nothing_received("game")
    await enter(ada, game)
    assert (await shown(ben, 4))["board"] == "....X...."


async def test_a_host_who_is_away_is_written_to_once(t: MiniAppTest) -> None:
    await t.user("ada").sends("/start")
    assert (await t.bot.sent("ada", "Hello Ada!")).buttons[0]["web_app"]["url"] == t.app.settings.url
    ada = await t.open("ada")
    game = (await ada.request(type="new"))["id"]
    await ada.close()
    ben = await t.open("ben", start_param=game)
    await ben.request(type="ask", game=game)
    written = await t.bot.sent("ada", "Ben wants to play tic-tac-toe with you.")
    assert written.buttons[0]["web_app"]["url"].endswith(f"?game={game}")
    await ben.request(type="leave", game=game)
    await ben.request(type="ask", game=game)
    await t.bot.nothing_sent("ada")


async def test_a_host_who_is_there_hears_it_on_the_page_only(t: MiniAppTest) -> None:
    await t.user("ada").sends("/start")
    await t.bot.sent("ada", "Hello")
    ada = await t.open("ada")
    game = (await ada.request(type="new"))["id"]
    ben = await t.open("ben", start_param=game)
    await ben.request(type="ask", game=game)
    await ada.receive("notify", text="Ben wants to play tic-tac-toe with you.", game=game)
    await t.bot.nothing_sent()


async def test_who_is_not_at_the_table_is_told_when_it_is_their_turn(t: MiniAppTest) -> None:
    await t.user("ben").sends("/start")
    await t.bot.sent("ben", "Hello")
    ada, ben = await t.open("ada"), await t.open("ben")
    game = (await ada.request(type="new"))["id"]
    await enter(ada, game)
    await ben.request(type="ask", game=game)
    await ada.request(type="approve", game=game, player=t.user("ben").id)
    await ben.receive("notify", text="Ada Lovelace plays with you. Come and see.", game=game)
    await ben.close()
    await move(ada, game, 0, 4)
    await t.bot.sent("ben", "Ada Lovelace has moved. It is your turn.")
    back = await t.open("ben")
    await enter(back, game)
    await move(back, game, 1, 0)
    await move(ada, game, 2, 2)
    await t.bot.nothing_sent()


async def test_others_watch_and_who_stays_plays_with_the_next(t: MiniAppTest) -> None:
    ada, ben, game = await begun(t)
    eve = await t.open("eve", start_param=game)
    entered = await eve.request(type="enter", game=game)
    assert {user["telegram_id"] for user in entered["here"]} == {t.user(name).id for name in ("ada", "ben", "eve")}
    with pytest.raises(AppError, match="not your turn"):
        await move(eve, game, 0, 4)
    await move(ada, game, 0, 4)
    assert (await shown(eve, 4))["board"] == "....X...."
    await eve.request(type="ask", game=game)
    left = await ada.request(type="leave", game=game)
    assert (left["host"]["name"], left["guest"], left["left"]["name"]) == ("Ben", None, "Ada Lovelace")
    assert (await ben.request(type="approve", game=game, player=t.user("eve").id))["board"] == "." * 9


async def test_a_list_of_games_and_one_open_game_however_often_one_is_asked_for(t: MiniAppTest) -> None:
    ada, _, game = await begun(t)
    first, second = [(await ada.request(type="new"))["id"] for _ in range(2)]
    assert first == second != game
    assert {one["id"] for one in await ada.request(type="games")} == {first, game}
    tab = await t.open("ada")
    assert len((await tab.receive("hello"))["games"]) == 2


async def test_what_nobody_touches_goes_away(t: MiniAppTest) -> None:
    ada, _, game = await begun(t)
    key, games = t.app.key(f"game:{game}"), t.app.key(f"games:{t.user('ada').id}")
    for found in (key, games):
        assert 0 < await t.redis.ttl(found) <= 86_400
    for number in range(12):
        await Tables(t.app).remember(t.user("ada").id, f"g{number:012}")
    assert await t.redis.zcard(games) == 10
    await t.redis.delete(key)
    with pytest.raises(AppError, match="This game is over") as refused:
        await move(ada, game, 0, 4)
    assert refused.value.code == "gone"
    assert await ada.request(type="games") == []


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"type": "dance"}, "unknown"),
    ({"type": "move", "round": 1, "turn": 0, "cell": 9}, "format"),
    ({"type": "move", "round": 1, "turn": 0, "cell": "4"}, "format"),
    ({"type": "move", "round": 1, "turn": -1, "cell": 4}, "format"),
    ({"type": "move", "round": True, "turn": 0, "cell": 4}, "format"),
    ({"type": "approve"}, "format"),
    ({"type": "enter", "game": 7}, "format"),
    ({"type": "enter", "game": "g../../x"}, "gone"),
    ({"type": "enter", "game": "gAAAAAAAAAAAA"}, "gone"),
]


async def test_what_makes_no_sense_is_refused_and_changes_nothing(t: MiniAppTest) -> None:
    ada = await t.open("ada")
    game = (await ada.request(type="new"))["id"]
    for message, code in MISTAKES:
        with pytest.raises(AppError) as refused:
            await ada.request(**{"game": game, **message})
        assert (message, refused.value.code) == (message, code)
    assert (await enter(ada, game))["version"] == 1


class Group:
    """A group of the local Telegram with the bot in it."""

    def __init__(self, t: MiniAppTest) -> None:
        self._t = t
        self.id = 0

    async def post(self, user: str, action: str, **fields: Any) -> Any:
        path = f"{self._t.telegram.url}/sandbox/api/bots/tic_tac_toe/users/{self._t.user(user).id}/{action}"
        async with self._t.http.post(path, json=fields) as answer:
            found = await answer.json()
            assert answer.status == 200, found
            return found

    async def made(self, owner: str, *members: str) -> None:
        ids = [self._t.user(name).id for name in members]
        self.id = (await self.post(owner, "groups", title="Friends", type="supergroup", members=ids))["id"]

    async def opened(self, user: str, start: str) -> Page:
        """Open the mini app by a link in the group."""
        url = (await self.post(user, "launch", source="direct", start_param=start, chat_id=self.id))["url"]
        page = self._t.page(user, parse_qs(urlsplit(url).fragment)["tgWebAppData"][0])
        await page.connect()
        await page.login()
        return page


async def test_friends_of_a_group_meet_at_one_table_and_others_do_not(t: MiniAppTest) -> None:
    group = Group(t)
    await group.made("ada", "ben")
    await group.post("ada", "messages", text="/play", chat_id=group.id)
    link = (await t.bot.sent(group.id, "One table for this group")).buttons[0]["url"]
    assert link == LINK + "group"
    ada, ben = await group.opened("ada", "group"), await group.opened("ben", "group")
    room = (await ada.receive("hello"))["wanted"]
    assert (await ben.receive("hello"))["wanted"] == room
    assert (await enter(ada, room))["status"] == "empty"
    assert (await ada.request(type="ask", game=room))["host"]["name"] == "Ada Lovelace"
    await ben.request(type="ask", game=room)
    begun = await ada.request(type="approve", game=room, player=t.user("ben").id)
    assert begun["status"] == "playing"
    eve = await t.open("eve", start_param=room)
    with pytest.raises(AppError, match="belongs to a group"):
        await enter(eve, room)
    assert (await enter(await t.open("ben"), room))["status"] == "playing"  # from the bot's message, say


async def test_an_inline_query_offers_an_invitation_to_the_open_game(t: MiniAppTest) -> None:
    ada = await t.open("ada")
    game = (await ada.request(type="new"))["id"]
    query = (await Group(t).post("ada", "inline", query="", offset=""))["query_id"]
    await t.settled()
    (result,) = t.telegram.answers[query]["results"]
    assert result["reply_markup"]["inline_keyboard"][0][0]["url"] == LINK + game
    assert (await ada.request(type="invite", game=game))["link"] == LINK + game
    assert await ada.request(type="share", game=game)


async def test_a_name_with_markup_reaches_the_host_as_it_is(t: MiniAppTest) -> None:
    await t.user("ada").sends("/start")
    await t.bot.sent("ada", "Hello")
    ada = await t.open("ada")
    game = (await ada.request(type="new"))["id"]
    await ada.close()
    name = "<b>Bobby</b> & *co*"
    bobby = t.user("bobby", first_name=name)
    await (await t.open("bobby", start_param=game)).request(type="ask", game=game)
    assert (await t.bot.sent("ada", name)).text == f"{name} wants to play tic-tac-toe with you."
    await bobby.sends("/start")
    assert (await t.bot.sent("bobby", "Hello")).text.startswith(f"Hello {name}!")
