"""Thousands of clients that paint on the pixel board at once."""
