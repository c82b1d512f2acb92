"""Scores of a finished video, read by networks trained apart from all that generates it."""
