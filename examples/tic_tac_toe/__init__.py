"""Tic-tac-toe for two, with a table in Redis."""
