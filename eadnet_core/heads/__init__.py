"""Heads in three dimensions: the anatomy they are made of, and how it is derived from public data."""
