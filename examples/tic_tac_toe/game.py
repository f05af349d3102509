"""The rules: a game and what may happen to it. No clock, no Redis, no socket.

Each change takes a game and returns the next one, or the very same where there was nothing to do, so that whatever is
sent twice (a double click, a page that lost its node before the answer) counts once. What is not allowed raises
`AppError`.
"""

from dataclasses import dataclass, replace
from typing import Any, Final

from mini_apps import AppError

__all__ = ["Game", "Player", "approve", "ask", "decline", "leave", "move", "rematch", "view"]

BLANK: Final = "." * 9
LINES: Final = ((0, 1, 2), (3, 4, 5), (6, 7, 8), (0, 3, 6), (1, 4, 7), (2, 5, 8), (0, 4, 8), (2, 4, 6))
MOST_WAITING: Final = 8  # people who ask to play
MOST_DECLINED: Final = 32  # remembered, so that they do not ask again


@dataclass(frozen=True, slots=True)
class Player:
    """Who plays or asks to: Telegram id and name."""

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class Game:
    """A game of two, and its rematches.

    Attributes:
        id: of the game.
        version: grows with each change, so that a page knows which of two states is the newer one.
        host: who decides whom to play with; None at a table nobody sits at yet.
        guest: who plays with the host.
        asking: who wants to.
        declined: ids of those the host did not want.
        board: nine of `X`, `O` and `.`, row by row.
        round: from 1, 0 before the first; the host begins in the odd ones.
        wins: of host and guest, and draws.
        again: ids of those who want a rematch.
        left: who went away last, with the rest of the game.
    """

    id: str
    version: int = 0
    host: Player | None = None
    guest: Player | None = None
    asking: tuple[Player, ...] = ()
    declined: tuple[int, ...] = ()
    board: str = BLANK
    round: int = 0
    wins: tuple[int, int, int] = (0, 0, 0)
    again: tuple[int, ...] = ()
    left: Player | None = None

    @property
    def players(self) -> dict[str, Player]:
        """Who has which mark; empty while there are not two."""
        if self.host is None or self.guest is None:
            return {}
        first, second = (self.host, self.guest) if self.round % 2 else (self.guest, self.host)
        return {"X": first, "O": second}

    @property
    def turn(self) -> int:
        """How many marks there are: the number of the next move, from 0."""
        return 9 - self.board.count(".")

    @property
    def line(self) -> tuple[int, int, int] | None:
        """The three cells that won."""
        return next((line for line in LINES if self._marks(line) in ("XXX", "OOO")), None)

    @property
    def winner(self) -> Player | None:
        """Who has three in a row."""
        return self.players.get(self.board[self.line[0]]) if self.line else None

    @property
    def next(self) -> Player | None:
        """Whose turn it is; None where nobody is to move."""
        return self.players.get("XO"[self.turn % 2]) if not self.over else None

    @property
    def over(self) -> bool:
        """Whether this round is won or drawn."""
        return self.line is not None or self.turn == len(self.board)

    @property
    def status(self) -> str:
        """One of `empty`, `waiting`, `playing`, `won` and `draw`."""
        if self.host is None:
            return "empty"
        if self.guest is None:
            return "waiting"
        if not self.over:
            return "playing"
        return "won" if self.line else "draw"

    def _marks(self, line: tuple[int, int, int]) -> str:
        return "".join(self.board[cell] for cell in line)

    def plays(self, id: int) -> bool:
        """Tell whether somebody is host or guest."""
        return any(player is not None and player.id == id for player in (self.host, self.guest))

    def knows(self, id: int) -> bool:
        """Tell whether somebody plays or asks to."""
        return self.plays(id) or any(player.id == id for player in self.asking)


def ask(game: Game, who: Player) -> Game:
    """Take a free table, or ask its host to play.

    Raises:
        AppError: the host said no before (`declined`), or too many ask (`full`).
    """
    if game.host is None:
        return replace(game, host=who, asking=_without(game.asking, who.id), declined=())
    if game.knows(who.id):
        return game
    if who.id in game.declined:
        raise AppError(f"{game.host.name} would rather not play now", code="declined")
    if len(game.asking) >= MOST_WAITING:
        raise AppError("Too many ask to play already", code="full")
    return replace(game, asking=(*game.asking, who))


def approve(game: Game, who: Player, guest: int) -> Game:
    """Let somebody who asked play; the first round begins.

    Raises:
        AppError: not the host's doing (`host`), nobody of that id asks (`gone`), or the seat is taken (`full`).
    """
    _check_host(game, who)
    if game.guest is not None and game.guest.id == guest:
        return game
    if game.guest is not None:
        raise AppError("You play with somebody already", code="full")
    found = next((player for player in game.asking if player.id == guest), None)
    if found is None:
        raise AppError("They do not ask any more", code="gone")
    asking = _without(game.asking, guest)
    return replace(
        game, guest=found, asking=asking, board=BLANK, round=game.round + 1, wins=(0, 0, 0), again=(), left=None
    )


def decline(game: Game, who: Player, guest: int) -> Game:
    """Tell somebody who asked that they shall not play.

    Raises:
        AppError: not the host's doing (`host`).
    """
    _check_host(game, who)
    asking = _without(game.asking, guest)
    if asking == game.asking:
        return game
    return replace(game, asking=asking, declined=(*game.declined, guest)[-MOST_DECLINED:])


def move(game: Game, who: Player, round_: int, turn: int, cell: int) -> Game:
    """Put a mark.

    Args:
        game: as it is.
        who: moves.
        round_: that the page showed.
        turn: that the page showed, so that a move that is sent twice is made once.
        cell: 0 to 8, row by row.

    Raises:
        AppError: the page is behind (`late`), it is another's turn (`turn`), or the cell is taken (`taken`).
    """
    mark = "XO"[turn % 2]
    player = game.players.get(mark)
    if round_ == game.round and turn < game.turn and game.board[cell] == mark and player and player.id == who.id:
        return game  # made already
    if round_ != game.round or turn != game.turn or game.over:
        raise AppError("The game has gone on", code="late")
    if game.next is None or game.next.id != who.id:
        raise AppError("It is not your turn", code="turn")
    if game.board[cell] != ".":
        raise AppError("This cell is taken", code="taken")
    after = replace(game, board=game.board[:cell] + mark + game.board[cell + 1 :])
    return replace(after, wins=_count(after)) if after.over else after


def rematch(game: Game, who: Player, round_: int) -> Game:
    """Ask for another round; it begins when both did.

    Raises:
        AppError: not a player's doing (`player`), or the round is not over (`late`).
    """
    if not game.plays(who.id):
        raise AppError("Only who played may ask for a rematch", code="player")
    if round_ < game.round or who.id in game.again:
        return game  # asked already
    if not game.over or game.guest is None:
        raise AppError("This round is not over", code="late")
    if game.again:
        return replace(game, board=BLANK, round=game.round + 1, again=())
    return replace(game, again=(who.id,))


def leave(game: Game, who: Player) -> Game:
    """Get up, or ask no more; who stays is the host from now on."""
    asking = _without(game.asking, who.id)
    if not game.plays(who.id):
        return game if asking == game.asking else replace(game, asking=asking)
    stays = game.guest if game.host is not None and game.host.id == who.id else game.host
    declined = game.declined if stays == game.host else ()
    return replace(game, host=stays, guest=None, declined=declined, again=(), left=who if stays else None)


def view(game: Game) -> dict[str, Any]:
    """Give what everybody at the table may see, ready to be sent."""

    def seen(player: Player | None) -> dict[str, Any] | None:
        return {"id": player.id, "name": player.name} if player else None

    return {
        "id": game.id,
        "version": game.version,
        "status": game.status,
        "host": seen(game.host),
        "guest": seen(game.guest),
        "asking": [seen(player) for player in game.asking],
        "declined": list(game.declined),
        "board": game.board,
        "round": game.round,
        "turn": game.turn,
        "marks": {mark: player.id for mark, player in game.players.items()},
        "next": game.next.id if game.next else None,
        "winner": game.winner.id if game.winner else None,
        "line": list(game.line or ()),
        "wins": list(game.wins),
        "again": list(game.again),
        "left": seen(game.left),
    }


def _check_host(game: Game, who: Player) -> None:
    if game.host is None or game.host.id != who.id:
        raise AppError("Only the host may do that", code="host")


def _count(game: Game) -> tuple[int, int, int]:
    host, guest, draws = game.wins
    if game.winner is None:
        return host, guest, draws + 1
    return (host + 1, guest, draws) if game.winner == game.host else (host, guest + 1, draws)


def _without(players: tuple[Player, ...], id: int) -> tuple[Player, ...]:
    return tuple(player for player in players if player.id != id)
