"""Sends M messages to the group, RATE a second."""

import asyncio
import sys
import time

import chan  # noqa: F401 - its settings are needed first
from channels.layers import get_channel_layer

count, rate = int(sys.argv[1]), float(sys.argv[2])


async def main():
    layer, start = get_channel_layer(), time.time()
    for number in range(count):
        head = '{"type":"tick","n":%d,"t":%d,"pad":"' % (number, time.time_ns())
        await layer.group_send("all", {"type": "tick", "text": head + "x" * (126 - len(head)) + '"}'})
        if rate and (wait := start + (number + 1) / rate - time.time()) > 0:
            await asyncio.sleep(wait)


asyncio.run(main())
