"""The private names of `App`, which an app's own class must not take: ours would silently be replaced."""

import inspect

__all__ = ["refuse_clashes"]


def refuse_clashes(app_class: type, base: type) -> None:
    """Refuse a class that gives one of the base's private members a meaning of its own, itself or by a mixin.

    Args:
        app_class: as its author wrote it.
        base: `App`.

    Raises:
        TypeError: it does.
    """
    ours = base.__mro__
    private = {name for one in ours for name in _members(one) if name.startswith("_") and not name.startswith("__")}
    for theirs in app_class.__mro__:
        if theirs in ours:
            continue
        if taken := sorted(private & _members(theirs)):
            raise TypeError(
                f"{theirs.__module__}.{theirs.__qualname__}.{taken[0]}: {base.__name__} has a private member of this "
                "name, which yours would replace; rename yours"
            )


def _members(one: type) -> set[str]:
    """Return the names a class defines, with those it says its instances have."""
    return {*vars(one), *inspect.get_annotations(one)}
