"""aiogram alone: `hook PORT` serves its webhook handler in background mode, `feed COUNT` measures its dispatcher."""

import logging
import sys
import time

import uvloop
from aiogram import Bot, Dispatcher
from aiogram.types import Message
from aiogram.webhook.aiohttp_server import SimpleRequestHandler
from aiohttp import web

from bench.ingest.app import UNMEASURED
from bench.ingest.updates import TOKEN, update

SECRET = "bench-secret"
PATH = "/webhook/bench"


def dispatcher() -> Dispatcher:
    made = Dispatcher()

    @made.message()
    async def handler(message: Message) -> None:  # noqa: ARG001 - as aiogram calls it
        return

    return made


def serve(port: int) -> None:
    uvloop.install()
    application = web.Application()
    SimpleRequestHandler(dispatcher(), Bot(TOKEN), secret_token=SECRET).register(application, path=PATH)
    web.run_app(application, host="127.0.0.1", port=port, access_log=None, print=None)


async def feed(count: int) -> None:
    """Feed updates one after the other, and print the CPU microseconds of one."""
    bot, fed = Bot(TOKEN), dispatcher()
    updates = [update(number) for number in range(count + UNMEASURED)]
    for one in updates[:UNMEASURED]:
        await fed.feed_raw_update(bot, one)
    began = time.process_time()
    for one in updates[UNMEASURED:]:
        await fed.feed_raw_update(bot, one)
    print(1e6 * (time.process_time() - began) / count)
    await bot.session.close()


if __name__ == "__main__":
    logging.disable(logging.INFO)  # aiogram's line for each update
    if sys.argv[1] == "hook":
        serve(int(sys.argv[2]))
    else:
        uvloop.run(feed(int(sys.argv[2])))
