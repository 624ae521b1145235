"""Scanner, sequence and slice geometry of one diffusion-weighted examination."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from strokerepro.phantom.anatomy import Grid
from strokerepro.phantom.dwi_config import AcquisitionConfig, DwiConfig
from strokerepro.phantom.lattice import FloatArray


@dataclass(frozen=True)
class Acquisition:
    """What was drawn for one scan.

    Parameters
    ----------
    grid
        Voxel grid; its third spacing is thickness plus gap.
    thickness_mm
        Slice thickness without the gap.
    subslices
        Samples across the thickness.
    field_t
        Main field.
    echo_time_ms
        Echo time.
    signed_hz_per_ppm
        Larmor frequency in MHz; its sign is the polarity of the phase encoding.
    bandwidth_hz_mm
        Bandwidth per mm along the phase-encoding axis.
    snr
        Median parenchyma over the noise SD.
    parenchyma_level
        Median parenchyma in stored units.
    """

    grid: Grid
    thickness_mm: float
    subslices: int
    field_t: float
    echo_time_ms: float
    signed_hz_per_ppm: float
    bandwidth_hz_mm: float
    snr: float
    parenchyma_level: float

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel, gap included, as header zooms give it."""
        x, y, z = self.grid.spacing_mm
        return x * y * z / 1000.0

    @property
    def subslice_offsets_mm(self) -> FloatArray:
        """Centres of equal parts of the slice thickness."""
        parts = np.arange(self.subslices) + 0.5
        return np.asarray((parts / self.subslices - 0.5) * self.thickness_mm)

    def facts(self) -> dict[str, Any]:
        """Columns for ``participants.tsv``."""
        return {
            "field_t": self.field_t,
            "echo_time_ms": round(self.echo_time_ms, 1),
            "phase_polarity": int(np.sign(self.signed_hz_per_ppm)),
            "snr": round(self.snr, 1),
        }


def draw_acquisition(rng: np.random.Generator, size_px: int, config: DwiConfig) -> Acquisition:
    """Draw a scan.

    The real matrices (128 at 1.8 mm, 192 at 1.4 mm) are used as far as they fit into `size_px`:
    192 or more gives both, 128 to 191 the first only. Below 128 the first field of view,
    230.4 mm, is covered by `size_px` coarser pixels.

    Parameters
    ----------
    rng
        Random stream.
    size_px
        Largest in-plane matrix.
    config
        All knobs.
    """
    acquisition = config.acquisition
    matrix, voxel_mm = _draw_matrix(rng, size_px, acquisition)
    low, high = acquisition.slices
    slices = int(rng.integers(low, high + 1))
    spacing = acquisition.thickness_mm + float(rng.uniform(*acquisition.gap_mm))
    centre = float(rng.normal(*acquisition.slab_centre_mm))
    is_3t = bool(rng.random() < acquisition.share_3t)
    field_t = 3.0 if is_3t else 1.5
    bandwidths = acquisition.bandwidth_3t_hz_px if is_3t else acquisition.bandwidth_15t_hz_px
    bandwidth = float(rng.uniform(*bandwidths))
    polarity = 1.0 if rng.random() < 0.5 else -1.0
    return Acquisition(
        grid=axial_grid((matrix, matrix, slices), (voxel_mm, voxel_mm, spacing), centre),
        thickness_mm=acquisition.thickness_mm,
        subslices=acquisition.subslices,
        field_t=field_t,
        echo_time_ms=float(rng.uniform(*acquisition.echo_time_ms)),
        signed_hz_per_ppm=polarity * config.susceptibility.larmor_15t_mhz * field_t / 1.5,
        bandwidth_hz_mm=bandwidth / acquisition.reference_voxel_mm,
        snr=float(rng.uniform(*acquisition.snr)),
        parenchyma_level=float(rng.uniform(*acquisition.parenchyma_level)),
    )


def _draw_matrix(
    rng: np.random.Generator, size_px: int, acquisition: AcquisitionConfig
) -> tuple[int, float]:
    choice = rng.random()  # drawn in any case, so that later draws do not depend on size_px
    pairs = list(zip(acquisition.matrices_px, acquisition.voxels_mm, strict=True))
    fitting = [pair for pair in pairs if pair[0] <= size_px]
    if fitting:
        return fitting[int(choice * len(fitting))]
    matrix, voxel_mm = pairs[0]
    return size_px, matrix * voxel_mm / size_px


def axial_grid(
    shape: tuple[int, int, int], spacing_mm: tuple[float, float, float], centre_z_mm: float
) -> Grid:
    """Grid in LAS voxel order, as the real files have, centred at (0, 0, `centre_z_mm`)."""
    affine = np.diag([-spacing_mm[0], spacing_mm[1], spacing_mm[2], 1.0])
    middle = (np.asarray(shape) - 1) / 2.0
    affine[:3, 3] = np.array([0.0, 0.0, centre_z_mm]) - np.diag(affine)[:3] * middle
    return Grid(shape, affine)
