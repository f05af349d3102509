"""A canvas of 256 by 256 pixels that thousands paint on together."""
