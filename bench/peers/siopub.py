"""Emits M messages to everybody, RATE a second, as another process of python-socketio would."""

import os
import sys
import time

import socketio

count, rate = int(sys.argv[1]), float(sys.argv[2])
manager = socketio.RedisManager(f"redis://127.0.0.1:{os.environ['REDIS_PORT']}", write_only=True)
start = time.time()
for number in range(count):
    manager.emit("tick", {"n": number, "t": time.time_ns(), "pad": "x" * 80})
    if rate and (wait := start + (number + 1) / rate - time.time()) > 0:
        time.sleep(wait)
