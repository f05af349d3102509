"""The rules, with plain values."""

from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from examples.tic_tac_toe.game import LINES, Game, Player, approve, ask, decline, leave, move, rematch, view
from mini_apps import AppError

ADA, BEN, EVE = Player(1, "Ada"), Player(2, "Ben"), Player(3, "Eve")
LOBBY = ask(Game("g1"), ADA)
PLAYING = approve(ask(LOBBY, BEN), ADA, BEN.id)


def played(game: Game, *cells: int) -> Game:
    """Make moves, whoever's turn it is."""
    for cell in cells:
        assert game.next is not None
        game = move(game, game.next, game.round, game.turn, cell)
    return game


def refusal(code: str) -> AbstractContextManager[Any]:
    return pytest.raises(AppError, check=lambda error: error.code == code)


def test_the_host_decides_who_plays_and_begins() -> None:
    asked = ask(ask(LOBBY, BEN), EVE)
    assert [player.name for player in asked.asking] == ["Ben", "Eve"]
    game = approve(asked, ADA, EVE.id)
    assert (game.status, game.next, game.asking) == ("playing", ADA, (BEN,))
    assert game.players == {"X": ADA, "O": EVE}


def test_nobody_else_decides_and_nobody_plays_who_did_not_ask() -> None:
    asked = ask(LOBBY, BEN)
    with refusal("host"):
        approve(asked, BEN, BEN.id)
    with refusal("host"):
        decline(asked, EVE, BEN.id)
    with refusal("gone"):
        approve(asked, ADA, EVE.id)
    with refusal("full"):
        approve(ask(PLAYING, EVE), ADA, EVE.id)


def test_who_was_declined_cannot_ask_again_but_may_take_the_table_once_it_is_free() -> None:
    game = decline(ask(LOBBY, BEN), ADA, BEN.id)
    assert game.asking == ()
    with refusal("declined"):
        ask(game, BEN)
    assert ask(leave(game, ADA), BEN).host == BEN


def test_what_is_sent_twice_counts_once() -> None:
    once = ask(LOBBY, BEN)
    assert ask(once, BEN) is once
    assert ask(once, ADA) is once
    begun = approve(once, ADA, BEN.id)
    assert approve(begun, ADA, BEN.id) is begun
    moved = move(begun, ADA, 1, 0, 4)
    assert move(moved, ADA, 1, 0, 4) is moved
    answered = move(moved, BEN, 1, 1, 0)
    assert move(answered, ADA, 1, 0, 4) is answered
    over = played(PLAYING, 0, 3, 1, 4, 2)
    wished = rematch(over, ADA, 1)
    assert rematch(wished, ADA, 1) is wished
    second = rematch(wished, BEN, 1)
    assert rematch(second, BEN, 1) is second


def test_moves_that_may_not_be() -> None:
    moved = move(PLAYING, ADA, 1, 0, 4)
    with refusal("turn"):
        move(moved, ADA, 1, 1, 0)
    with refusal("turn"):
        move(moved, EVE, 1, 1, 0)
    with refusal("taken"):
        move(moved, BEN, 1, 1, 4)
    with refusal("late"):
        move(moved, ADA, 1, 0, 3)  # her first move was another
    with refusal("late"):
        move(moved, BEN, 2, 1, 0)
    with refusal("late"):
        move(played(PLAYING, 0, 3, 1, 4, 2), BEN, 1, 5, 8)  # it is over
    with refusal("turn"):
        move(LOBBY, ADA, 0, 0, 0)


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("mark", "XO")
def test_each_of_the_eight_lines_wins_for_either(line: tuple[int, int, int], mark: str) -> None:
    board = "".join(mark if cell in line else "." for cell in range(9))
    game = replace(PLAYING, board=board)
    assert (game.line, game.status) == (line, "won")
    assert game.winner == (ADA if mark == "X" else BEN)
    assert game.next is None


def test_the_last_cell_wins_or_draws() -> None:
    before = played(PLAYING, 0, 1, 2, 4, 3, 5, 7, 6)  # X to move at 8
    assert before.board == "XOXXOOOX."
    drawn = played(before, 8)
    assert (drawn.status, drawn.winner, drawn.wins) == ("draw", None, (0, 0, 1))
    won = played(PLAYING, 0, 1, 2, 3, 4, 5, 7, 6, 8)
    assert (won.status, won.winner, won.wins) == ("won", ADA, (1, 0, 0))


def test_a_rematch_needs_both_and_the_other_one_begins() -> None:
    over = played(PLAYING, 0, 3, 1, 4, 2)
    with refusal("late"):
        rematch(PLAYING, ADA, 1)
    with refusal("player"):
        rematch(over, EVE, 1)
    wished = rematch(over, BEN, 1)
    assert (wished.status, wished.again) == ("won", (BEN.id,))
    second = rematch(wished, ADA, 1)
    assert (second.status, second.next, second.round, second.wins) == ("playing", BEN, 2, (1, 0, 0))
    assert played(second, 0, 3, 1, 4, 2).wins == (1, 1, 0)


def test_who_stays_is_the_host_and_may_play_with_the_next_one() -> None:
    game = leave(ask(played(PLAYING, 4), EVE), ADA)
    assert (game.host, game.guest, game.status, game.left) == (BEN, None, "waiting", ADA)
    assert leave(game, ADA) is game
    again = approve(game, BEN, EVE.id)
    assert (again.status, again.board, again.wins, again.left) == ("playing", "." * 9, (0, 0, 0), None)
    assert leave(leave(again, BEN), EVE).status == "empty"


def test_who_asks_no_more_is_not_let_in() -> None:
    with refusal("gone"):
        approve(leave(ask(LOBBY, BEN), BEN), ADA, BEN.id)


def test_only_so_many_may_ask() -> None:
    game = LOBBY
    for id in range(10, 18):
        game = ask(game, Player(id, f"Fan {id}"))
    with refusal("full"):
        ask(game, EVE)


def test_the_view_tells_marks_turns_and_names() -> None:
    seen = view(replace(played(PLAYING, 4), version=7))
    assert seen["marks"] == {"X": 1, "O": 2}
    assert (seen["board"], seen["turn"], seen["next"], seen["version"]) == ("....X....", 1, 2, 7)
    assert seen["host"] == {"id": 1, "name": "Ada"}
    assert view(Game("r1"))["status"] == "empty"


@settings(deadline=None)
@given(st.permutations(range(9)))
def test_any_game_ends_by_a_line_or_with_a_full_board(cells: list[int]) -> None:
    game = PLAYING
    for number, cell in enumerate(cells):
        mover = game.next
        assert mover == (ADA, BEN)[number % 2]
        game = played(game, cell)
        assert abs(game.board.count("X") - game.board.count("O")) <= 1
        if game.over:
            break
    assert game.status in ("won", "draw")
    assert game.status == "draw" or game.winner == mover
    assert sum(game.wins) == 1
