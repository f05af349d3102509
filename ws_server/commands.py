"""What a client is made to do from elsewhere: commands to a user's clients, which any process may give."""

from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from mini_apps.users import mark_admin
from shared import messages
from shared.broker import UNREACHABLE, BrokerUnavailable
from shared.bus_frames import AdminChanged, Disconnect, Frame, Join, Leave
from ws_server.session import Stage

if TYPE_CHECKING:
    from ws_server.connection import Connection
    from ws_server.node import Node


def obey(node: "Node", connection: "Connection", frame: Frame) -> None:
    """Carry out a command for one of a user's clients.

    Args:
        node: the node.
        connection: the client's; it may still be logging in.
        frame: what came over the bus.
    """
    match frame:
        case Join(channel=channel):
            if connection.stage is Stage.READY:
                node.spawn(_join(connection, channel))
        case Leave(channel=channel) if connection.stage is Stage.LOGGING_IN:
            node.channels.exit(connection, channel)  # its welcome will not name the channel
        case Leave(channel=channel, reason=reason):
            node.spawn(connection.leave(channel, reason))
        case Disconnect(code=code, reason=reason):
            connection.close(code, reason)
        case AdminChanged(is_admin=is_admin) if connection.inbox is not None:
            mark_admin(connection.inbox.client.user, is_admin=is_admin)
            connection.inbox.client.marked_admin = None


async def _join(connection: "Connection", channel: str) -> None:
    try:
        await connection.join(channel)
    except (ValueError, BrokerUnavailable, RedisError, *UNREACHABLE) as error:
        connection.send_message(messages.left(channel, str(error)))
