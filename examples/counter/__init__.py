"""The tutorial: one button, one number, and everybody who opened it."""
