"""What the apps of one process share: settings, broker, bus and database."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from mini_apps.audience import Audience
from mini_apps.users import Users
from shared.clock import MACHINE, Clock
from shared.inbox import Inbox

if TYPE_CHECKING:
    from mini_apps.database import Database
    from shared.broker import Broker
    from shared.bus import Bus
    from shared.settings import Settings

__all__ = ["Mesh"]


@dataclass(frozen=True, slots=True)
class Mesh:
    """The process an app lives in, as the app sees it.

    Attributes:
        settings: of the whole deployment.
        broker: open.
        bus: open.
        database: shared by the apps.
        node_id: of this process, unique in the deployment.
        kind: what this process is: a WebSocket node, a bot worker, or a command.
        clock: what its apps measure time with.
        users: the lookup of users, with its cache.
        audience: whom the bots may write to.
        inbox: where other processes answer this one.
    """

    settings: "Settings"
    broker: "Broker"
    bus: "Bus"
    database: "Database"
    node_id: str
    kind: Literal["ws", "bot", "cli"]
    clock: Clock = MACHINE
    users: Users = field(init=False)
    audience: Audience = field(init=False)
    inbox: Inbox = field(init=False)

    def __post_init__(self) -> None:
        """Make what works over the database and over the bus."""
        object.__setattr__(self, "users", Users(self.database))
        object.__setattr__(self, "audience", Audience(self.database))
        object.__setattr__(self, "inbox", Inbox(self.bus, self.broker.keys, self.node_id))
