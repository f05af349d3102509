"""What the bot writes: invitations and news for who is away. Plain texts: names are never read as markup."""

from typing import Any

from examples.tic_tac_toe.game import Game, Player

__all__ = ["GREETING", "GROUP", "game_button", "invitation", "link", "news"]

GREETING = "Hello {name}! Play tic-tac-toe with a friend: open it, press “New game” and send the invitation."
GROUP = "One table for this group: two play, the others watch."


def link(username: str, short_name: str | None, start: str) -> str:
    """Give the address that opens the mini app from any chat.

    Source: https://core.telegram.org/api/links#direct-mini-app-links

    Args:
        username: of the bot.
        short_name: of the mini app at @BotFather; without one the bot's main mini app is opened.
        start: what the mini app gets as start parameter.
    """
    app = f"/{short_name}" if short_name else ""
    return f"https://t.me/{username}{app}?startapp={start}"


def invitation(host: str, address: str) -> dict[str, Any]:
    """Give a message that invites to a game, as an inline result of the Bot API."""
    return {
        "type": "article",
        "id": "invitation",
        "title": "Invite to tic-tac-toe",
        "description": "Whoever presses the button asks you to play",
        "input_message_content": {"message_text": f"{host} wants to play tic-tac-toe. Who dares?"},
        "reply_markup": {"inline_keyboard": [[{"text": "Play", "url": address}]]},
    }


def game_button(text: str, url: str, game: str = "") -> dict[str, Any]:
    """Give a button for a private chat with the bot, which opens the page, at a game if one is named."""
    address = f"{url}{'&' if '?' in url else '?'}game={game}" if game else url
    return {"inline_keyboard": [[{"text": text, "web_app": {"url": address}}]]}


def news(kind: str, who: Player, game: Game) -> tuple[Player, str] | None:
    """Tell who must hear of a change, and what the bot writes if they are away; None where nobody must.

    Args:
        kind: of the change: `ask`, `approve`, `move` or `rematch`.
        who: did it.
        game: after it.
    """
    if kind == "ask" and game.host is not None and any(player.id == who.id for player in game.asking):
        return game.host, f"{who.name} wants to play tic-tac-toe with you."
    other = game.guest if game.host is not None and game.host.id == who.id else game.host
    if other is None or game.guest is None or not game.plays(who.id):
        return None
    turn = "It is your turn." if game.next == other else "Come and see."
    match kind:
        case "approve":
            return other, f"{who.name} plays with you. {turn}"
        case "move" if game.winner is not None:
            return other, f"{who.name} has three in a row and wins. Ask for a rematch!"
        case "move" if game.over:
            return other, f"{who.name} made the last move: a draw."
        case "move":
            return other, f"{who.name} has moved. {turn}"
        case "rematch":
            return other, f"A rematch with {who.name}! {turn}" if not game.again else f"{who.name} wants a rematch."
    return None
