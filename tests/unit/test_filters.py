"""User filters."""

from dataclasses import dataclass

from shared.filters import SettingsListUserFilter, UserFilter


@dataclass
class Person:
    telegram_id: int
    is_admin: bool = False


def test_the_plain_filter_lets_everybody_in_as_they_are():
    user = Person(1001)
    assert UserFilter().filter_user(user) is user
    assert user == Person(1001)
    assert UserFilter().filter_telegram_id(1001)


def test_the_banned_neither_connect_nor_reach_the_bot():
    users = SettingsListUserFilter(banned=[1001], admins=[])
    assert users.filter_user(Person(1001)) is None
    assert not users.filter_telegram_id(1001)
    assert users.filter_telegram_id(1002)


def test_listed_admins_are_marked_and_others_keep_what_they_have():
    users = SettingsListUserFilter([], [1001])
    assert users.filter_user(Person(1001)) == Person(1001, is_admin=True)
    assert users.filter_user(Person(1002)) == Person(1002)
    assert users.filter_user(Person(1003, is_admin=True)) == Person(1003, is_admin=True)


def test_a_ban_is_stronger_than_a_listing_as_admin():
    users = SettingsListUserFilter([1001], [1001])
    user = Person(1001)
    assert users.filter_user(user) is None
    assert not user.is_admin
    assert not users.filter_telegram_id(1001)


def test_later_changes_to_the_lists_do_not_reach_the_filter():
    banned = [1001]
    users = SettingsListUserFilter(banned, [])
    banned.clear()
    assert users.filter_user(Person(1001)) is None
