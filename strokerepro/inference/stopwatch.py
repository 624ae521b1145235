"""Times of the stages of a prediction."""

from __future__ import annotations

import time

import torch


class Stopwatch:
    """Wall time per named stage, waiting for the device so that the times are true."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._last = time.perf_counter()
        self.seconds: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        """Book the time since the last lap (or the start) on `stage`."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._last
        self._last = now
