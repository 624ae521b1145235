"""Probability maps of a case: the plain network, uncertainty filtering, and variants of both."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from strokerepro.errors import UsageError
from strokerepro.inference import Stopwatch, lesion_probability, monte_carlo, predict_patches
from strokerepro.networks.core_resnet import CoreResNet
from strokerepro.papers.core_resnet.segmentation import patch_px, step_px
from strokerepro.papers.core_resnet.settings import CoreResNetSettings
from strokerepro.preprocess import PreparedCase

#: The plain network, and the average of noisy passes ("uncertainty filtering", Sec. 3.3).
SINGLE, FILTERED = "single", "uf"
_VARIANT = re.compile(r"(uf_rate|uf_passes|step)(\d+)")


@dataclass(frozen=True)
class Filter:
    """Passes with dropout whose probabilities are averaged."""

    passes: int
    rate: float


@dataclass(frozen=True)
class Wanted:
    """What is predicted at one distance of the patches.

    Attributes
    ----------
    singles
        Output names of the plain network's map; two where a variant has the usual distance.
    filters
        Output names of averages of noisy passes.
    """

    singles: tuple[str, ...]
    filters: Mapping[str, Filter]


def wanted_at(settings: CoreResNetSettings, *, variants: bool) -> dict[int, Wanted]:
    """Predictions by distance of the patches in pixels of the images' grid.

    Raises
    ------
    UsageError
        A variant that is not ``uf_rateP`` (percent), ``uf_passesN`` or ``stepN``.
    """
    base = Filter(settings.uf_passes, settings.uf_rate)
    filters = {FILTERED: base} if base.passes else {}
    found = {step_px(settings): Wanted((SINGLE,), filters)}
    for name in settings.variants if variants else ():
        match = _VARIANT.fullmatch(name)
        if match is None:
            raise UsageError(
                f"variant {name}", "uf_rateP, uf_passesN or stepN", "correct --set variants=..."
            )
        kind, number = match[1], int(match[2])
        if kind == "step":
            step = step_px(settings, number)
            same = found.get(step, Wanted((), {}))
            found[step] = replace(same, singles=(*same.singles, name))
        else:
            change = {"rate": number / 100} if kind == "uf_rate" else {"passes": number}
            filters[name] = replace(base, **change)
    return found


def probability_maps(
    network: CoreResNet,
    prepared: PreparedCase,
    settings: CoreResNetSettings,
    fabric: Fabric,
    seed: int,
    *,
    variants: bool,
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Lesion probabilities ``(Z, Y, X)`` by output name, and the seconds of each stage."""
    watch = Stopwatch(fabric.device)

    def noise(name: str) -> torch.Generator:
        # A stream for each case and output: a case is segmented the same way twice, whatever
        # else is predicted with it.
        entropy = np.random.SeedSequence([seed, *f"{prepared.case_id}/{name}".encode()])
        generator = torch.Generator(device=fabric.device)
        return generator.manual_seed(int(entropy.generate_state(1, np.uint32)[0]))

    maps: dict[str, np.ndarray] = {}
    for step, wanted in wanted_at(settings, variants=variants).items():
        maps |= predict_patches(
            _passes(network, wanted, {name: noise(name) for name in wanted.filters}, watch),
            prepared.image,
            foreground(prepared),
            fabric,
            patch_px=patch_px(settings),
            step_px=step,
        )
        watch.lap("patches")
    return maps, watch.seconds


def foreground(prepared: PreparedCase) -> np.ndarray:
    """Brain mask ``(Z, Y, X)`` of a prepared case."""
    if prepared.foreground is None:
        return np.asarray((prepared.image != 0).any(axis=0))
    return prepared.foreground


def _passes(
    network: CoreResNet,
    wanted: Wanted,
    noise: Mapping[str, torch.Generator],
    watch: Stopwatch,
) -> Callable[[Tensor], dict[str, Tensor]]:
    """Build the function from patches to lesion probabilities; all passes share one prefix."""

    def predict(patches: Tensor) -> dict[str, Tensor]:
        watch.lap("patches")
        start = network.prefix(patches)
        watch.lap("prefix")
        found: dict[str, Tensor] = {}
        if wanted.singles:
            found |= dict.fromkeys(wanted.singles, lesion_probability(network.suffix(start)))
            watch.lap(wanted.singles[0])
        for name, item in wanted.filters.items():
            found[name] = monte_carlo(
                network, start, item.passes, generator=noise[name], rate=item.rate
            )
            watch.lap(name)
        return found

    return predict
