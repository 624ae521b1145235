"""The CT-perfusion phantom with single causes switched off, and with all knobs shifted.

The switched causes are what CT perfusion cannot see and the reference mask shows: how much flow
kills in this patient and at this place, tissue that was reperfused before the scan, and a
diffusion image that does not lie exactly over the CT; and two that make the scan itself worse.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any, get_type_hints

import numpy as np

from strokerepro.phantom.config import Knob
from strokerepro.phantom.ctp_config import CtpConfig

_LOW_NOISE_HU = 1.0
# What the shift leaves alone: the heads and slabs, numerical tables, and knobs without a scale.
_UNSHIFTED_PARTS = frozenset({"anatomy", "slab", "susceptibility", "tissue", "transit"})
_UNSHIFTED = frozenset({"volume_flow", "reference_voxel_mm", "min_label_ml"})

Change = Callable[[CtpConfig], CtpConfig]


def _one_threshold(config: CtpConfig) -> CtpConfig:
    median, _ = config.fate.threshold
    return replace(config, fate=replace(config.fate, threshold=(median, 0.0)))


def _no_reperfusion(config: CtpConfig) -> CtpConfig:
    return replace(config, occlusion=replace(config.occlusion, reperfusion_share=0.0))


def _even_vulnerability(config: CtpConfig) -> CtpConfig:
    _, fine, coarse = config.fate.vulnerability
    return replace(config, fate=replace(config.fate, vulnerability=(0.0, fine, coarse)))


def _registered(config: CtpConfig) -> CtpConfig:
    return replace(config, timing=replace(config.timing, shift_sd_mm=0.0))


def _quiet(config: CtpConfig) -> CtpConfig:
    _, log_sd = config.perfusion.scan.noise_hu
    scan = replace(config.perfusion.scan, noise_hu=(_LOW_NOISE_HU, log_sd))
    return replace(config, perfusion=replace(config.perfusion, scan=scan))


def _no_oedema(config: CtpConfig) -> CtpConfig:
    return replace(config, head=replace(config.head, oedema_hu=0.0))


_SWITCHES: dict[str, tuple[str, Change]] = {
    "threshold": ("one infarct threshold for all patients", _one_threshold),
    "reperfusion": ("no reperfusion before the scan", _no_reperfusion),
    "vulnerability": ("no local vulnerability", _even_vulnerability),
    "misregistration": ("DWI exactly over the CT", _registered),
    "noise": ("CT noise of 1 HU", _quiet),
    "oedema": ("no oedema on CT", _no_oedema),
}


def variants(config: CtpConfig) -> dict[str, tuple[str, CtpConfig]]:
    """Description and knobs of the phantom as it is, of each cause off alone, and of all off.

    Parameters
    ----------
    config
        The phantom as it is.
    """
    everything = config
    for _, change in _SWITCHES.values():
        everything = change(everything)
    single = {name: (text, change(config)) for name, (text, change) in _SWITCHES.items()}
    return {"base": ("as frozen", config), **single, "all": ("all of these", everything)}


def shifted(
    config: CtpConfig, share: float, generator: np.random.Generator
) -> tuple[CtpConfig, dict[str, float]]:
    """Multiply every knob by a factor of its own, drawn evenly from 1 - share to 1 + share.

    Natural constants, counts, shares of occlusion sites, heads, slabs and numerical tables stay.

    Parameters
    ----------
    config
        The phantom as it is.
    share
        Largest relative change.
    generator
        Source of the factors.

    Returns
    -------
    CtpConfig
        The shifted knobs.
    dict
        The factor of each shifted knob, by its dotted name.
    """
    factors: dict[str, float] = {}
    changed: CtpConfig = _shifted_part(config, "", share, generator, factors)
    return changed, factors


def _shifted_part(
    part: Any, prefix: str, share: float, generator: np.random.Generator, factors: dict[str, float]
) -> Any:
    hints = get_type_hints(type(part), include_extras=True)
    values: dict[str, Any] = {}
    for item in fields(part):
        value, name = getattr(part, item.name), f"{prefix}{item.name}"
        if item.name in _UNSHIFTED_PARTS | _UNSHIFTED:
            continue
        if is_dataclass(value):
            values[item.name] = _shifted_part(value, f"{name}.", share, generator, factors)
            continue
        knob: Knob = hints[item.name].__metadata__[0]
        numbers = value if isinstance(value, tuple) else (value,)
        if knob.source == "physics" or not all(isinstance(number, float) for number in numbers):
            continue
        factors[name] = round(float(generator.uniform(1 - share, 1 + share)), 4)
        scaled = tuple(number * factors[name] for number in numbers)
        values[item.name] = scaled if isinstance(value, tuple) else scaled[0]
    return replace(part, **values)
