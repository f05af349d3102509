"""Which methods of the Bot API may be repeated, held against all that aiogram knows."""

import aiogram.methods
import pytest
from aiogram.methods.base import TelegramMethod

from shared.bot_methods import DOWNLOAD, OWNED, Repeat, addressee, known, repeat

ALL = sorted(
    {
        found.__api_method__
        for name in aiogram.methods.__all__
        if isinstance(found := getattr(aiogram.methods, name), type)
        and issubclass(found, TelegramMethod)
        and found is not TelegramMethod
    }
)


def test_all_methods_are_looked_at() -> None:
    assert len(ALL) > 150


@pytest.mark.parametrize("method", ALL)
def test_each_method_is_classified_by_rule_or_by_name(method: str) -> None:
    assert known(method) is not None


@pytest.mark.parametrize("method", [name for name in ALL if name.startswith(("send", "copy", "forward"))])
def test_what_makes_a_message_is_not_repeated(method: str) -> None:
    harmless = {"sendChatAction", "sendMessageDraft", "sendRichMessageDraft"}
    assert repeat(method) is (Repeat.SAFE if method in harmless else Repeat.TWICE)


@pytest.mark.parametrize(
    ("method", "meaning"),
    [
        ("getChatMember", Repeat.READS),
        (DOWNLOAD, Repeat.READS),
        ("editMessageText", Repeat.SAFE),
        ("answerPreCheckoutQuery", Repeat.SAFE),
        ("answerWebAppQuery", Repeat.TWICE),
        ("refundStarPayment", Repeat.TWICE),
        ("transferGift", Repeat.TWICE),
        ("unpinChatMessage", Repeat.TWICE),
        ("unpinAllChatMessages", Repeat.SAFE),
        ("inventSomething", Repeat.TWICE),
        ("getaway", Repeat.TWICE),
    ],
)
def test_what_a_second_try_means(method: str, meaning: Repeat) -> None:
    assert repeat(method) is meaning


def test_the_projects_own_methods_exist() -> None:
    assert set(OWNED) <= set(ALL)


@pytest.mark.parametrize(
    ("method", "chat", "counts"),
    [
        ("sendMessage", "5", 5),
        ("sendMessage", "-100123", -100123),
        ("sendPhoto", "@channel", "@channel"),
        ("editMessageText", "5", 5),
        ("sendChatAction", "5", None),
        ("getChat", "5", None),
        ("answerCallbackQuery", "", None),
        ("banChatMember", "5", None),
    ],
)
def test_what_counts_against_a_chat(method: str, chat: str, counts: int | str | None) -> None:
    assert addressee(method, {"chat_id": chat} if chat else {}) == counts
