"""Where the voxels of a diffusion scan get their signal from: EPI distortion, pose and warp."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strokerepro.phantom.anatomy import Subject
from strokerepro.phantom.atlas import Atlas
from strokerepro.phantom.dwi_acquisition import Acquisition
from strokerepro.phantom.dwi_config import DwiConfig
from strokerepro.phantom.lattice import FloatArray
from strokerepro.phantom.random_fields import gaussian_field
from strokerepro.phantom.susceptibility import (
    dephasing_factor,
    epi_shift_mm,
    load_field_map,
    pileup_factor,
)

# Template points further outside the brain carry no signal; a sub-slice may lie 2 mm closer.
_SIGNAL_REACH_MM = 5.0
# Added so that the largest displacement, 8 mm, pulls no signal across the border.
_SHIFT_REACH_MM = 18.0


@dataclass(frozen=True)
class Sampling:
    """Template points behind the voxels that carry signal.

    Parameters
    ----------
    near
        ``(X, Y, Z)`` mask of the N voxels that can carry signal.
    template_mm
        ``(3, S * N)`` template coordinates, sub-slice by sub-slice.
    gain
        ``(N,)`` intensity factor: pile-up times dephasing.
    """

    near: NDArray[np.bool_]
    template_mm: FloatArray
    gain: FloatArray


def sample_grid(scan: Acquisition, subject: Subject, atlas: Atlas, config: DwiConfig) -> Sampling:
    """Pull every voxel near the brain back through EPI distortion, pose and warp.

    The field error is read at the voxel's own place, and the voxel shows what lies one
    displacement further along the phase-encoding axis (y).
    """
    shift, through_plane = _distortion(scan, subject, atlas, config)
    everywhere = np.ones(scan.grid.shape, dtype=bool)
    centres = scan.grid.points_mm(everywhere)
    centres[1] -= shift.ravel()
    depth = atlas.depth_mm.at(subject.to_template(centres, rough=True))
    near = (depth > -_SIGNAL_REACH_MM).reshape(scan.grid.shape)
    limits = config.susceptibility
    gain = pileup_factor(shift, scan.grid.spacing_mm[1], limits.pileup)[near]
    gain = gain * dephasing_factor(
        through_plane[near], scan.signed_hz_per_ppm, scan.thickness_mm, limits.dephasing_ms
    )
    pieces = []
    for offset in scan.subslice_offsets_mm:
        points = scan.grid.points_mm(near, offset)
        points[1] -= shift[near]
        pieces.append(subject.to_template(points))
    return Sampling(near, np.concatenate(pieces, axis=1), gain)


def _distortion(
    scan: Acquisition, subject: Subject, atlas: Atlas, config: DwiConfig
) -> tuple[FloatArray, FloatArray]:
    """Displacement in mm and through-plane gradient in ppm/mm, both ``(X, Y, Z)``."""
    field_map = load_field_map(config.susceptibility, atlas)
    everywhere = np.ones(scan.grid.shape, dtype=bool)
    points = subject.to_template(scan.grid.points_mm(everywhere), rough=True)
    around = atlas.depth_mm.at(points) > -_SHIFT_REACH_MM
    shift, gradient = np.zeros(points.shape[1]), np.zeros(points.shape[1])
    shift[around] = epi_shift_mm(
        field_map.ppm.at(points[:, around]),
        scan.signed_hz_per_ppm,
        scan.bandwidth_hz_mm,
        config.susceptibility.max_shift_mm,
    )
    gradient[around] = field_map.through_plane_ppm_mm.at(points[:, around])
    return shift.reshape(scan.grid.shape), gradient.reshape(scan.grid.shape)


def receive_gain(
    rng: np.random.Generator,
    sampling: Sampling,
    scan: Acquisition,
    atlas: Atlas,
    *,
    bias: tuple[float, float],
    flare: tuple[float, float],
) -> FloatArray:
    """Smooth gain ``(N,)`` of the coils: a random bias, brighter near the surface.

    Parameters
    ----------
    rng
        Random stream.
    sampling, scan, atlas
        Where the N voxels lie.
    bias
        Amplitude of the logarithm, and sigma in mm.
    flare
        Relative gain at the surface, and decay in mm.
    """
    amplitude, sigma_mm = bias
    at_surface, decay_mm = flare
    centre = sampling.template_mm.reshape(3, scan.subslices, -1)[:, scan.subslices // 2]
    smooth = np.exp(amplitude * gaussian_field(rng, sigma_mm).at(centre))
    depth = np.maximum(atlas.depth_mm.at(centre), 0.0)
    return np.asarray(smooth * (1.0 + at_surface * np.exp(-depth / decay_mm)))
