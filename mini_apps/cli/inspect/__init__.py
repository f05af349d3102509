"""`mini-apps inspect`, `top` and `tail`: looking at a running deployment without changing or disturbing it.

All of it reads a few keys by their names, or walks them by SCAN with a bound; never KEYS, never a lock, never a write.
"""
