"""Publishes M messages of 128 bytes on the Redis channel `bench`, RATE a second."""

import os
import sys
import time

import redis

count, rate = int(sys.argv[1]), float(sys.argv[2])
client = redis.Redis(port=int(os.environ["REDIS_PORT"]))
start = time.time()
for number in range(count):
    head = '{"type":"tick","n":%d,"t":%d,"pad":"' % (number, time.time_ns())
    client.publish("bench", head + "x" * (126 - len(head)) + '"}')
    if rate and (wait := start + (number + 1) / rate - time.time()) > 0:
        time.sleep(wait)
