"""Scores of a finished video, by landmarks, a SyncNet trained apart, and what reads references."""
