"""Whether two processes can be of one deployment."""

import pytest

from shared.deployment import apps_of, conflict, database_of
from shared.nodes import Node
from shared.settings import load


def node(name: str, apps: str, database: str = "") -> Node:
    return Node(name, "ws", "", apps=apps, database=database)


@pytest.mark.parametrize(
    ("ours", "other"),
    [
        (node("a", "shop=42 quiz", "d1"), node("b", "shop=42", "d1")),  # one more app: a rolling update
        (node("a", "shop", "d1"), node("b", "shop=42", "")),  # a gateway knows neither
        (node("a", ""), node("b", "shop=42", "d1")),
        (node("a", "shop=42", "d1"), node("a", "quiz=1", "d2")),  # ourselves
        (node("a", "shop=42", "d1"), node("b", "", "")),  # a version that does not tell
    ],
)
def test_of_one_deployment(ours: Node, other: Node) -> None:
    assert conflict(ours, [other]) is None


@pytest.mark.parametrize(
    ("ours", "other", "text"),
    [
        (node("a", "shop=42"), node("b", "quiz shop=43"), "ws b serves app 'shop' with the bot 43, we with 42"),
        (node("a", "shop=42 quiz"), node("b", "news"), "ws b serves news, we quiz, shop"),
        (node("a", "shop=42", "d1"), node("b", "shop=42", "d2"), "ws b uses another database"),
    ],
)
def test_of_two_deployments(ours: Node, other: Node, text: str) -> None:
    said = conflict(ours, [node("c", ours.apps, ours.database), other])
    assert said is not None
    assert text in said
    assert "redis.prefix of its own" in said


def test_what_a_process_tells_holds_no_secret() -> None:
    environ = {
        "MINI_APPS__APPS__SHOP__BOT_TOKEN": "42:very-secret",
        "MINI_APPS__APPS__QUIZ__CLASS": "quiz:Quiz",
        "MINI_APPS__APPS__OLD__ENABLED": "false",
        "MINI_APPS__DATABASE__URL": "postgresql+asyncpg://mesh:hidden@10.0.0.1/mesh",
    }
    settings = load(None, environ)
    assert apps_of(settings) == "quiz shop=42"
    bouncer = load(None, {**environ, "MINI_APPS__DATABASE__URL": "postgresql+asyncpg://other:word@127.0.0.1:6432/mesh"})
    assert database_of(settings) == database_of(bouncer)
    other = load(None, {**environ, "MINI_APPS__DATABASE__URL": "postgresql+asyncpg://mesh:hidden@10.0.0.1/stage"})
    assert database_of(settings) != database_of(other)
