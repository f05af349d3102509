"""What the apps of one process share: settings, broker, bus and database."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from mini_apps.users import Users

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
        users: the lookup of users, with its cache.
    """

    settings: "Settings"
    broker: "Broker"
    bus: "Bus"
    database: "Database"
    node_id: str
    kind: Literal["ws", "bot", "cli"]
    users: Users = field(init=False)

    def __post_init__(self) -> None:
        """Make the lookup of users over the database."""
        object.__setattr__(self, "users", Users(self.database))
