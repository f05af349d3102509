"""Django Channels on uvicorn with channels_redis: fans out what chanpub.py sends to the group."""

import os
import sys

from django.conf import settings

REDIS = {
    "BACKEND": os.environ.get("LAYER", "channels_redis.pubsub.RedisPubSubChannelLayer"),
    "CONFIG": {"hosts": [("127.0.0.1", int(os.environ["REDIS_PORT"]))], "capacity": 10000},
}
settings.configure(SECRET_KEY="x", ALLOWED_HOSTS=["*"], INSTALLED_APPS=["channels"], CHANNEL_LAYERS={"default": REDIS})

import django  # noqa: E402 - Django wants its settings first

django.setup()

from channels.generic.websocket import AsyncWebsocketConsumer  # noqa: E402
from channels.routing import ProtocolTypeRouter  # noqa: E402


class Consumer(AsyncWebsocketConsumer):
    async def connect(self):
        await self.channel_layer.group_add("all", self.channel_name)
        await self.accept()
        await self.send(text_data='{"type":"connect"}')

    async def receive(self, text_data=None, bytes_data=None):
        await self.send(text_data='{"type":"welcome"}')

    async def tick(self, event):
        await self.send(text_data=event["text"])


app = ProtocolTypeRouter({"websocket": Consumer.as_asgi()})

if __name__ == "__main__":
    import uvicorn

    uvicorn.run(
        app,
        port=int(sys.argv[1]),
        log_level="error",
        loop="uvloop",
        ws="websockets",
        ws_per_message_deflate=False,
        backlog=4096,
    )
