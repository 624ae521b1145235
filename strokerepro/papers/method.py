"""What a paper's method must be able to do, so that one experiment code runs them all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from lightning_fabric import Fabric

from strokerepro.cohort import Case
from strokerepro.preprocess import PreparedCase
from strokerepro.progress import Advance, silent


@dataclass(frozen=True)
class RunContext:
    """What a method is given beside its settings and cases.

    Attributes
    ----------
    fabric
        Device, precision and, later, several processes.
    seed
        Seed of everything random in this run.
    checkpoint
        File stem for resumable checkpoints, or None to keep none.
    resume
        Whether a checkpoint found there is continued.
    identity
        Key of the run, stored in checkpoints so that another run's is refused.
    advance
        Progress.
    """

    fabric: Fabric
    seed: int
    checkpoint: Path | None = None
    resume: bool = True
    identity: str = ""
    advance: Advance = silent

    def generator(self, purpose: str) -> torch.Generator:
        """Return a random generator of its own for one purpose, on the CPU."""
        entropy = [self.seed, *purpose.encode()]
        state = int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0])
        return torch.Generator().manual_seed(state % 2**63)


@dataclass(frozen=True)
class Prediction:
    """Result of a method on one case.

    Attributes
    ----------
    masks
        Output name to ``(Z, Y, X)`` uint8 mask, on the prepared grid unless `on_file_grid`.
    probability
        ``(Z, Y, X)`` float32 lesion probability of the main output, on the prepared grid.
    seconds
        Stage name to wall time.
    maps
        Probabilities of further outputs, on the prepared grid, where their scores need them.
    images
        Images from 0 to 1 that the method has made, and what they should be, by name,
        ``(Z, Y, X)`` float32 on the prepared grid.
    on_file_grid
        Whether the masks lie on the grid of the file, where they are then scored.
    """

    masks: Mapping[str, np.ndarray]
    probability: np.ndarray
    seconds: Mapping[str, float]
    maps: Mapping[str, np.ndarray] = field(default_factory=dict)
    images: Mapping[str, np.ndarray] = field(default_factory=dict)
    on_file_grid: bool = False


class Trained(Protocol):
    """A trained method."""

    @property
    def settings(self) -> Any:
        """The settings it was trained with."""

    @property
    def curves(self) -> Mapping[str, Sequence[Sequence[float]]]:
        """Training curves: name to ``[[step, value], ...]``."""

    @property
    def notes(self) -> Sequence[str]:
        """What a reader of the record must know, such as a stage that could not be trained."""

    @property
    def facts(self) -> Mapping[str, float]:
        """Numbers of the run: parameters, training seconds per stage, candidates, ..."""

    def predict(
        self, prepared: PreparedCase, fabric: Fabric, *, variants: bool = False
    ) -> Prediction:
        """Segment one prepared case; with `variants`, also by what is compared on test cases."""

    def mask(self, probability: np.ndarray, spacing_mm: tuple[float, float, float]) -> np.ndarray:
        """Return the binary mask of the main output, given its probability on any grid."""

    def state(self) -> dict[str, Any]:
        """Return everything needed to restore it: tensors and plain values only."""


class Method(Protocol):
    """A paper's method; the recipe's settings hold all its numbers."""

    def prepare(self, case: Case, settings: Any) -> PreparedCase:
        """Bring a case to the grid and intensities that the networks see."""

    def fit(
        self,
        settings: Any,
        train: Sequence[PreparedCase],
        val: Sequence[PreparedCase],
        context: RunContext,
    ) -> Trained:
        """Train on prepared cases; select on the validation cases."""

    def cost(self, settings: Any) -> float:
        """Operations of a whole training, in multiply-accumulates; only ratios are used."""

    def restore(self, settings: Any, state: Mapping[str, Any], fabric: Fabric) -> Trained:
        """Rebuild a trained method from `Trained.state`."""

    def average(self, trained: Sequence[Trained]) -> Trained:
        """Combine several trained networks, such as those of all folds, into one."""

    def score(
        self, prediction: Prediction, prepared: PreparedCase, settings: Any
    ) -> list[dict[str, Any]]:
        """Score every output of a prediction: one row per output."""
