"""python-socketio: fans out what siopub.py emits."""

import os
import sys

import socketio
import uvicorn

manager = socketio.AsyncRedisManager(f"redis://127.0.0.1:{os.environ['REDIS_PORT']}")
sio = socketio.AsyncServer(async_mode="asgi", client_manager=manager, cors_allowed_origins="*", ping_interval=300)
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
