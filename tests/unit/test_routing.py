"""The short way of an event through a router is aiogram's own way: same handlers, same order, same arguments."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from aiogram import Dispatcher, Router
from aiogram.dispatcher.event.bases import REJECTED, UNHANDLED, CancelHandler, SkipHandler
from hypothesis import given
from hypothesis import strategies as st

from mini_apps.routing import Routing

Shape = dict[str, Any]

FILTERS = st.sampled_from(["yes", "no", "adds", "skips"])
ENDS = st.sampled_from(["result", "none", "unhandled", "rejected", "skip", "cancel", "error"])
HANDLERS = st.fixed_dictionaries({"filters": st.lists(FILTERS, max_size=2), "end": ENDS})
ROUTERS = st.recursive(
    st.fixed_dictionaries({"root": st.lists(FILTERS, max_size=1), "handlers": st.lists(HANDLERS, max_size=3)}),
    lambda below: st.fixed_dictionaries(
        {
            "root": st.lists(FILTERS, max_size=1),
            "handlers": st.lists(HANDLERS, max_size=2),
            "below": st.lists(below, max_size=3),
        }
    ),
    max_leaves=6,
)


def a_filter(kind: str, name: str) -> Callable[..., Any]:
    async def checked(event: Any, **data: Any) -> Any:
        if kind == "skips":
            raise SkipHandler
        return {"yes": True, "no": False, "adds": {name: "added"}}[kind]

    return checked


def a_handler(end: str, name: str, seen: list[Any]) -> Callable[..., Any]:
    async def handler(event: Any, **data: Any) -> Any:
        plain = {key: value for key, value in data.items() if isinstance(value, str)}
        seen.append((name, event, data["event_router"].name, plain))
        if end in {"skip", "cancel", "error"}:
            raise {"skip": SkipHandler, "cancel": CancelHandler, "error": ValueError}[end]
        return {"result": name, "none": None, "unhandled": UNHANDLED, "rejected": REJECTED}[end]

    return handler


def built(shape: Shape, seen: list[Any], name: str = "r") -> Router:
    router = Router(name=name)
    for number, kind in enumerate(shape["root"]):
        router.message.filter(a_filter(kind, f"{name}-root{number}"))
    for number, one in enumerate(shape["handlers"]):
        filters = [a_filter(kind, f"{name}.{number}-{at}") for at, kind in enumerate(one["filters"])]
        router.message.register(a_handler(one["end"], f"{name}.{number}", seen), *filters)
    for number, below in enumerate(shape.get("below", ())):
        router.include_router(built(below, seen, f"{name}/{number}"))
    return router


async def outcome(way: Callable[[], Any]) -> Any:
    try:
        return await way()
    except ValueError:
        return "failed"


@given(ROUTERS)
def test_it_does_what_aiogram_does(shape: Shape) -> None:
    async def both() -> None:
        theirs: list[Any] = []
        ours: list[Any] = []
        data = {"app": "app", "state": "state"}
        peer, router = built(shape, theirs), built(shape, ours)

        async def aiograms_way() -> Any:
            try:
                result = await peer.propagate_event("message", "event", **data)  # type: ignore[arg-type]  # any event does
            except SkipHandler:
                return False, None
            except CancelHandler:
                return True, None
            return result is not UNHANDLED, result

        expected = await outcome(aiograms_way)
        assert await outcome(lambda: Routing(router).offer("message", "event", data)) == expected
        assert ours == theirs
        assert data == {"app": "app", "state": "state"}

    asyncio.run(both())


@pytest.mark.parametrize("where", ["outer", "inner", "above", "below"])
async def test_a_middleware_anywhere_is_passed(where: str) -> None:
    seen: list[Any] = []
    router, below, dispatcher = Router(name="app"), Router(name="below"), Dispatcher()
    below.message.register(a_handler("result", "below", seen))
    router.include_router(below)
    dispatcher.include_router(router)

    async def middleware(handler: Any, event: Any, data: dict[str, Any]) -> Any:
        return await handler(event, {**data, "through": where})

    {
        "outer": router.message.outer_middleware,
        "inner": router.message.middleware,
        "above": dispatcher.message.middleware,
        "below": below.message.outer_middleware,
    }[where](middleware)
    assert await Routing(router).offer("message", "event", {}) == (True, "below")
    assert seen == [("below", "event", "below", {"through": where})]
