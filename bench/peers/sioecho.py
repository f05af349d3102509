"""python-socketio: sends back what it gets."""

import sys

import socketio
import uvicorn

sio = socketio.AsyncServer(async_mode="asgi", cors_allowed_origins="*", ping_interval=300)


@sio.on("ping")
async def ping(sid, data):
    await sio.emit("ping", data, to=sid)


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
