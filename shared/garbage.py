"""Python's collector of cyclic garbage, in a process that holds many long-lived objects."""

import gc


def tame() -> None:
    """Look for cycles rarely: what a process serves makes few, and each look costs more the more it holds."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
