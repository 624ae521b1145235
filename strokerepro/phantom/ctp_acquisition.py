"""Slices of one perfusion series: number, thickness and spacing from the real cases."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from strokerepro.files import bundled
from strokerepro.phantom.anatomy import Grid
from strokerepro.phantom.ctp_config import SlabConfig
from strokerepro.phantom.dwi_acquisition import axial_grid
from strokerepro.phantom.lattice import FloatArray
from strokerepro.phantom.random_fields import component_rng

_TABLE = "isles2018_cases.csv"


@dataclass(frozen=True)
class RealCase:
    """Geometry of one training case of ISLES 2018.

    Parameters
    ----------
    patient
        Number of the patient; many have two cases, that is two slabs.
    slices, time_points
        Size along the third and the fourth axis.
    pixel_mm, thickness_mm
        Spacing in plane and through it; slices touch.
    """

    patient: int
    slices: int
    time_points: int
    pixel_mm: float
    thickness_mm: float


@dataclass(frozen=True)
class Slab:
    """Voxels and frames of one case.

    Parameters
    ----------
    case
        Number of the case.
    patient
        Number of the patient; beyond the real table it goes on.
    grid
        Voxel grid; its third spacing is the thickness.
    time_points
        Frames, one second apart.
    subslices
        Samples across the thickness.
    """

    case: int
    patient: int
    grid: Grid
    time_points: int
    subslices: int

    @property
    def pixel_mm(self) -> float:
        """Edge of the square pixels."""
        return self.grid.spacing_mm[0]

    @property
    def thickness_mm(self) -> float:
        """Thickness of a slice, equal to the distance of slices."""
        return self.grid.spacing_mm[2]

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel."""
        x, y, z = self.grid.spacing_mm
        return x * y * z / 1000.0

    @property
    def subslice_offsets_mm(self) -> FloatArray:
        """Centres of equal parts of the slice thickness."""
        parts = np.arange(self.subslices) + 0.5
        return np.asarray((parts / self.subslices - 0.5) * self.thickness_mm)


@lru_cache(maxsize=1)
def real_cases() -> tuple[RealCase, ...]:
    """The 94 training cases, in the order of their numbers."""
    with (bundled("data_manifests") / _TABLE).open(newline="") as stream:
        # The head of the table states where the facts come from, in lines of comment.
        rows = csv.DictReader(line for line in stream if not line.startswith("#"))
        return tuple(
            RealCase(
                patient=int(row["patient"]),
                slices=int(row["slices"]),
                time_points=int(row["time_points"]),
                pixel_mm=float(row["dx_mm"]),
                thickness_mm=float(row["dz_mm"]),
            )
            for row in rows
        )


def patients() -> int:
    """Number of patients of the 94 cases."""
    return max(real.patient for real in real_cases())


def patient_of(case: int) -> int:
    """Number of the patient of a case; case 95 is the first of another 63 patients."""
    table = real_cases()
    cycle, row = divmod(case - 1, len(table))
    return table[row].patient + cycle * patients()


def cases_of(patient: int) -> tuple[int, ...]:
    """Numbers of the cases, that is slabs, of a patient, the lowest slab first."""
    table = real_cases()
    cycle, index = divmod(patient - 1, patients())
    return tuple(
        cycle * len(table) + row + 1 for row, real in enumerate(table) if real.patient == index + 1
    )


def slab_of(case: int, *, size_px: int, seed: int, config: SlabConfig) -> Slab:
    """Slab of one case.

    Several slabs of a patient touch each other, the lower number below, and are centred together.

    Parameters
    ----------
    case
        Number of the case, from 1.
    size_px
        In-plane matrix: 256 is the real one; fewer pixels cover the same field.
    seed
        Root seed of the cohort.
    config
        Knobs of the slab.
    """
    table = real_cases()
    real = table[(case - 1) % len(table)]
    patient = patient_of(case)
    few = real.slices <= config.few_slices
    rng = component_rng(seed, "ctp", patient, "slab")
    centre = float(rng.normal(*(config.centre_few_mm if few else config.centre_many_mm)))
    slabs = cases_of(patient)
    extent_mm = real.slices * real.thickness_mm
    centre += (slabs.index(case) - (len(slabs) - 1) / 2.0) * extent_mm
    pixel_mm = real.pixel_mm * config.field_px / size_px
    shape = (size_px, size_px, real.slices)
    grid = axial_grid(shape, (pixel_mm, pixel_mm, real.thickness_mm), centre)
    return Slab(case, patient, grid, real.time_points, config.subslices)
