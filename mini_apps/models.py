"""The tables every deployment has: users."""

from typing import Any

from sqlalchemy import BigInteger, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

__all__ = ["NAME_LENGTH", "Base", "User"]

NAME_LENGTH = 255


class Base(DeclarativeBase):
    """The base of all models, the author's own too, so that they can refer to `users.id`."""


class User(Base):
    """A Telegram user who has logged in to an app of this deployment.

    Attributes:
        id: of the row.
        telegram_id: the user's id at Telegram, up to 52 bits.
        name: first and last name as Telegram last gave them.
        is_admin: whether the app treats the user as an admin. The column is false unless the author sets it; at a
            login the settings' list and `App.set_admin` add to it, on the object only.
        telegram_data: the decoded launch fields (`user`, `start_param`, `chat_instance`, …); not saved.
        first_login: when init data was last shown, unix seconds; not saved.
    """

    __tablename__ = "users"
    __allow_unmapped__ = True

    id: Mapped[int] = mapped_column(primary_key=True)
    telegram_id: Mapped[int] = mapped_column(BigInteger, unique=True)
    name: Mapped[str] = mapped_column(String(NAME_LENGTH), default="")
    is_admin: Mapped[bool] = mapped_column(default=False)

    telegram_data: dict[str, Any] | None = None
    first_login: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Give what other users may see, ready to be sent."""
        return {"telegram_id": self.telegram_id, "name": self.name, "is_admin": self.is_admin}
