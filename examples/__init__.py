"""Mini apps to learn from, each in its folder with its page, bot and tests."""
