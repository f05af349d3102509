"""python-socketio: relays in rooms whose members may be on another node."""

import os
import sys

import socketio
import uvicorn

manager = socketio.AsyncRedisManager(f"redis://127.0.0.1:{os.environ['REDIS_PORT']}")
sio = socketio.AsyncServer(async_mode="asgi", client_manager=manager, cors_allowed_origins="*", ping_interval=300)
rooms = {}


@sio.on("join")
async def join(sid, room):
    rooms[sid] = f"r{room}"
    await sio.enter_room(sid, rooms[sid])
    await sio.emit("joined", room, to=sid)


@sio.on("relay")
async def relay(sid, data):
    await sio.emit("relay", data, to=rooms[sid])


app = socketio.ASGIApp(sio)
uvicorn.run(
    app,
    port=int(sys.argv[1]),
    log_level="error",
    loop="uvloop",
    ws="websockets",
    ws_per_message_deflate=False,
    backlog=4096,
)
