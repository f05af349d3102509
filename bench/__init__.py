"""Measuring how fast the nodes are, beside their peers; `make bench`."""
