"""Knobs of the phantoms: every number with its unit and where it comes from.

Sources are named as in :data:`SOURCES`; ``A`` marks an assumption for which no source was read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Annotated, Any, get_type_hints

from strokerepro.files import hash_json

SOURCES = {
    "A": "assumption without a source that was read",
    "S1": "OpenPerfusion, public repository: measurements by others on the scans of ISLES 2018",
    "S2": "Hakim et al., Stroke 2021, abstract, PMC8240494: the ISLES 2018 challenge",
    "S3": "digital brain perfusion phantom after Riordan and Aichert, script by Manhart",
    "S4": "Eastwood et al., AJNR 2003, abstract, PMC8148666: diffusion signal of infarcts",
    "S5": "Kamalian et al., Stroke 2011, abstract, PMC3125441: thresholds of CT perfusion maps",
    "S6": "normal values of 64-slice CT perfusion, abstract, acemap 196503876",
    "S7": "Nakamura 2019, scirp 93128: noise and contrast of head CT",
    "S10": "Mair et al., Neuroradiology 2021, introduction, 10.1007/s00234-020-02591-w",
    "S11": "Cereda et al. 2016, PMC5076783, and neuroradiologycases.com 2011/10: EPI artefacts",
    "EDD": "Chen, Bentley, Rueckert, NeuroImage: Clinical 15 (2017), Sec. 4.1, 4.2, 5.5, Table 1",
    "ISLES": "the public images of ISLES 2022 are zero outside the brain; the share is assumed",
    "MNI": "MNI152 templates shipped with nilearn (nonlinear, symmetric, 2009a)",
    "physics": "a natural constant or its direct consequence",
    "fit": "set on lesion sizes (EDD, Sec. 5.5) and contrast (S4) only, never on a network's score",
    "fit-ctp": "set on volumes and on the Dice of threshold rules (S1), never on a network's score",
}


@dataclass(frozen=True)
class Knob:
    """Annotation of a configuration field: its unit, and a key of :data:`SOURCES`."""

    unit: str
    source: str


@dataclass(frozen=True)
class AnatomyConfig:
    """Shape of the head, shared by all phantoms."""

    tilt_sd_deg: Annotated[tuple[float, float, float], Knob("deg: pitch, roll, yaw", "A")] = (
        6.0,
        3.0,
        4.0,
    )
    tilt_limit_deg: Annotated[float, Knob("deg", "A")] = 14.0
    shift_sd_mm: Annotated[tuple[float, float, float], Knob("mm: x, y, z", "A")] = (3.0, 4.0, 0.0)
    scale_mean: Annotated[float, Knob("1; the template brain is 1.88 l", "MNI")] = 0.93
    scale_sd: Annotated[float, Knob("1", "A")] = 0.03
    anisotropy_sd: Annotated[float, Knob("1, per axis", "A")] = 0.02
    pivot_mm: Annotated[tuple[float, float, float], Knob("mm, template", "A")] = (0.0, -18.0, 0.0)
    warp_coarse_mm: Annotated[tuple[float, float], Knob("mm: amplitude, sigma", "A")] = (3.2, 22.0)
    warp_fine_mm: Annotated[tuple[float, float], Knob("mm: amplitude, sigma", "A")] = (1.2, 7.0)
    warp_step_mm: Annotated[float, Knob("mm", "A")] = 4.0
    warp_squarings: Annotated[int, Knob("1", "A")] = 5
    min_jacobian: Annotated[float, Knob("1", "A")] = 0.1
    max_redraws: Annotated[int, Knob("1", "A")] = 20
    prior_blur_mm: Annotated[float, Knob("mm", "A")] = 0.7
    prior_exponent: Annotated[float, Knob("1; undoes the blur of the group average", "A")] = 2.5
    closing_radius_mm: Annotated[float, Knob("mm", "A")] = 25.0


@dataclass(frozen=True)
class KnobRow:
    """One knob as a table row."""

    name: str
    value: Any
    unit: str
    source: str


def describe(config: Any, prefix: str = "") -> Iterator[KnobRow]:
    """All knobs of a configuration, nested ones with a dotted name.

    Parameters
    ----------
    config
        A frozen dataclass whose fields are annotated with :class:`Knob` or are such dataclasses.
    prefix
        Put before each name.
    """
    hints = get_type_hints(type(config), include_extras=True)
    for item in fields(config):
        value = getattr(config, item.name)
        if is_dataclass(value):
            yield from describe(value, f"{prefix}{item.name}.")
        else:
            knob: Knob = hints[item.name].__metadata__[0]
            yield KnobRow(prefix + item.name, value, knob.unit, knob.source)


def hash_config(config: Any, tables: Mapping[str, Any], kind: str, version: str) -> str:
    """SHA-256 of everything fixed that decides a phantom.

    Parameters
    ----------
    config
        Its knobs.
    tables
        Anatomical tables by name: places of arteries, tracts, cavities.
    kind, version
        Kind of phantom and version of the code.
    """
    values = {row.name: row.value for row in describe(config)}
    content = {"kind": kind, "version": version, "knobs": values, "tables": tables}
    return hash_json(content)
