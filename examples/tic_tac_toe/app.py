"""Tic-tac-toe: two play, on whichever nodes they are, and others watch."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

from examples.tic_tac_toe import game as rules
from examples.tic_tac_toe import words
from examples.tic_tac_toe.game import Game, Player, view
from examples.tic_tac_toe.tables import ID, Tables, is_room, room_of
from mini_apps import App, AppError, Channel, Client, Notice, Send

if TYPE_CHECKING:
    from aiogram.types import InlineQuery, Message

GROUP_START: Final = "group"  # the start parameter of links for groups: which group it is, Telegram signs


class TicTacToe(App):
    """Keeps games in Redis and tells each change to everybody at the table.

    A change is made first and published then, with the whole game and its version: of two nodes that publish in the
    other order the page keeps the newer game.
    """

    # Who loses their node gets the changes they missed; who comes and goes is told to the table.
    channels: ClassVar = {"game:*": Channel(history=50, ttl=3600, presence=True)}

    @property
    def tables(self) -> Tables:
        """The games."""
        return Tables(self)

    async def on_client_authenticated(self, client: Client) -> None:
        """Tell whoever comes in where they are wanted, and which games they have."""
        launch = client.user.telegram_data or {}
        start, room = str(launch.get("start_param") or ""), room_of(launch)
        wanted = start if ID.fullmatch(start) else room
        await client.send(type="hello", wanted=wanted, room=room, games=await self._games(client))

    async def handle_message(self, client: Client, type: str, data: dict[str, Any]) -> Any:
        """Answer with the game after what was asked for."""
        who = Player(client.user.telegram_id, client.user.name)
        match type:
            case "games":
                return await self._games(client)
            case "new":
                return view(await self.tables.open(who))
        id = _text(data, "game")
        await self._check_may_see(client, id)
        match type:
            case "enter":
                return await self._enter(client, id)
            case "invite":
                return await self._invite(client, id)
            case "share":
                return await client.prepare_message(words.invitation(who.name, await self._address(id)), channels=False)
        return view(await self._change(type, who, id, data))

    async def on_subscribe(self, client: Client, channel: str) -> bool:
        """Let a page that comes back after its grant is void into its game again."""
        if not channel.startswith("game:"):
            return False
        try:
            await self._check_may_see(client, channel.removeprefix("game:"))
        except AppError:
            return False
        return True

    async def _games(self, client: Client) -> list[dict[str, Any]]:
        return [view(game) for game in await self.tables.of(client.user.telegram_id)]

    async def _check_may_see(self, client: Client, id: str) -> None:
        """Whoever has a game's link may watch; a group's table is for who came from there, or sits at it.

        Raises:
            AppError: `gone` or `room`.
        """
        if not ID.fullmatch(id):
            raise AppError("There is no such game", code="gone")
        game = await self.tables.find(id)
        if is_room(id) and id != room_of(client.user.telegram_data) and not game.knows(client.user.telegram_id):
            raise AppError("This table belongs to a group. Open it from there.", code="room")

    async def _enter(self, client: Client, id: str) -> dict[str, Any]:
        await client.join(f"game:{id}")
        game = await self.tables.find(id)  # after the join, so that no change falls between
        # The node of whoever made the last change may have died before it told the others.
        await self._publish_game(game)
        return {"game": view(game), "here": await self.presence(f"game:{id}")}

    async def _invite(self, client: Client, id: str) -> dict[str, str]:
        return {"link": await self._address(id), "text": f"{client.user.name} wants to play tic-tac-toe with you"}

    async def _change(self, type: str, who: Player, id: str, data: dict[str, Any]) -> Game:
        game = await self.tables.change(id, _change_of(type, who, data))
        await self._publish_game(game)
        if type in ("ask", "approve"):
            for player in (game.host, game.guest):
                if player is not None:
                    await self.tables.remember(player.id, id)
        await self._tell_who_is_away(type, who, game)
        return game

    async def _publish_game(self, game: Game) -> None:
        """Show a game to the table; the same version again within five minutes is not sent again."""
        if game.version:
            once = Send(id=f"{game.id}-{game.version}")
            await self.publish(f"game:{game.id}", type="game", game=view(game), options_=once)

    async def _tell_who_is_away(self, type: str, who: Player, game: Game) -> None:
        told = words.news(type, who, game)
        if told is None:
            return
        player, text = told
        # Who asks to play is told to a host whose page does not confirm it; other changes only to who left the table.
        here = {one["telegram_id"] for one in await self.presence(f"game:{game.id}")}
        if type != "ask" and player.id in here:
            return
        once = f"{game.id}-ask-{who.id}" if type == "ask" else f"{game.id}-{game.version}"
        button = words.game_button("Open the game", self.settings.url, game.id) if self.settings.url else None
        try:
            await self.notify(player.id, text, game=game.id, options_=Notice(id=once, reply_markup=button, wait=3))
        except Exception:  # the change is made, whatever Telegram says
            self.log.exception("could not tell a player who is away", player=player.id)

    async def _address(self, start: str) -> str:
        me = self.telegram_me or await self.learn_telegram_me()
        if me is None:
            raise AppError("The bot is not there yet, try again in a moment", code="bot")
        return words.link(me.username, self.settings.short_name, start)

    @App.bot_command
    async def start(self, args: str, event: "Message") -> Any:
        """Play tic-tac-toe."""
        if event.chat.type != "private":
            return await self.play(args, event)
        name = event.from_user.first_name if event.from_user else "stranger"
        button = words.game_button("Play", self.settings.url)
        return event.answer(words.GREETING.format(name=name), reply_markup=_markup(button), parse_mode=None)

    @App.bot_command
    async def play(self, args: str, event: "Message") -> Any:
        """Open the table of this chat."""
        if event.chat.type == "private":
            return await self.start(args, event)
        # Telegram allows web_app buttons in private chats only; a link tells the page which group it was pressed in.
        button = {"inline_keyboard": [[{"text": "To the table", "url": await self._address(GROUP_START)}]]}
        return event.answer(words.GROUP, reply_markup=_markup(button), parse_mode=None)

    async def on_telegram_inline(self, event: "InlineQuery") -> Any:
        """Offer an invitation to the game that the user has open, wherever they write `@bot`."""
        from aiogram.types import InlineQueryResultArticle

        game = await self.tables.open(Player(event.from_user.id, event.from_user.full_name))
        result = words.invitation(event.from_user.full_name, await self._address(game.id))
        return event.answer([InlineQueryResultArticle.model_validate(result)], is_personal=True, cache_time=0)


def _change_of(type: str, who: Player, data: dict[str, Any]) -> Callable[[Game], Game]:
    """Read what a page wants.

    Raises:
        AppError: it is nothing the game knows (`unknown`), or a field is wrong (`format`).
    """
    match type:
        case "ask":
            return partial(rules.ask, who=who)
        case "approve":
            return partial(rules.approve, who=who, guest=_number(data, "player"))
        case "decline":
            return partial(rules.decline, who=who, guest=_number(data, "player"))
        case "move":
            turn, cell = _number(data, "turn", 8), _number(data, "cell", 8)
            return partial(rules.move, who=who, round_=_number(data, "round"), turn=turn, cell=cell)
        case "rematch":
            return partial(rules.rematch, who=who, round_=_number(data, "round"))
        case "leave":
            return partial(rules.leave, who=who)
    raise AppError("I only know tic-tac-toe", code="unknown")


def _number(data: dict[str, Any], name: str, most: int = 2**53) -> int:
    value = data.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise AppError(f"{name} is a whole number from 0 to {most}", code="format")
    return value


def _text(data: dict[str, Any], name: str) -> str:
    value = data.get(name)
    if not isinstance(value, str):
        raise AppError(f"{name} is a text", code="format")
    return value


def _markup(button: dict[str, Any]) -> Any:
    from aiogram.types import InlineKeyboardMarkup

    return InlineKeyboardMarkup.model_validate(button)
