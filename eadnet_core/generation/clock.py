"""Wall time by stage."""

from __future__ import annotations

import time


class Clock:
    """Adds the time since the last call to a stage."""

    def __init__(self, seconds: dict[str, float] | None = None) -> None:
        self.seconds: dict[str, float] = {} if seconds is None else seconds
        self.start()

    def start(self) -> None:
        """Begin a stage."""
        self.last = time.perf_counter()

    def stop(self, stage: str) -> None:
        """End it, and begin the next."""
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self.last
        self.last = now
