"""Who may come in: filters that every login and every Telegram update passes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable


class FilteredUser(Protocol):
    """What a filter needs to know of a user.

    Attributes:
        telegram_id: the user's Telegram id.
        is_admin: whether the app treats the user as an admin; a filter may set it.
    """

    telegram_id: int
    is_admin: bool


UserT = TypeVar("UserT", bound=FilteredUser)


class UserFilter:
    """Lets everybody in; override either method to be choosier."""

    # Any, so that an override may name the app's own user class.
    def filter_user(self, user: Any) -> Any:
        """Judge a user who logs in.

        Args:
            user: a `FilteredUser`, as found or made; may be changed.

        Returns:
            The user to log in, or None to refuse.
        """
        return user

    def filter_telegram_id(self, telegram_id: int) -> bool:  # noqa: ARG002  # overrides judge it
        """Tell whether updates from a Telegram user reach the bot.

        Args:
            telegram_id: who sent the update.
        """
        return True


class SettingsListUserFilter(UserFilter):
    """Keeps out the banned and makes admins of the listed, as the settings say.

    Args:
        banned: Telegram ids that neither connect nor reach the bot, listed admins included.
        admins: Telegram ids that get `is_admin`; everybody else keeps what they have.
    """

    def __init__(self, banned: Iterable[int] = (), admins: Iterable[int] = ()) -> None:
        self.banned = frozenset(banned)
        self.admins = frozenset(admins)

    def filter_user(self, user: UserT) -> UserT | None:
        """Refuse the banned with None, mark admins with `is_admin`."""
        if user.telegram_id in self.banned:
            return None
        if user.telegram_id in self.admins:
            user.is_admin = True
        return user

    def filter_telegram_id(self, telegram_id: int) -> bool:
        """Tell whether this user is not banned."""
        return telegram_id not in self.banned
