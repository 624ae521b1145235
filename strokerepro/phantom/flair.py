"""The fluid-attenuated scan of a subject: undistorted, tilted, on a grid of its own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from strokerepro.phantom.anatomy import Grid, Subject
from strokerepro.phantom.atlas import Atlas
from strokerepro.phantom.brain_extraction import extracted_brain
from strokerepro.phantom.dwi_acquisition import axial_grid
from strokerepro.phantom.dwi_config import DwiConfig, FlairConfig
from strokerepro.phantom.dwi_tissue import Disease, fluid_attenuated, tissue_state
from strokerepro.phantom.mr_signal import rician_magnitude
from strokerepro.phantom.random_fields import gaussian_field

_OFFSETS_MM = (-1.25, 1.25)  # two samples across the 5 mm slice
_REACH_MM = 4.0


def flair_volume(
    rng: np.random.Generator,
    subject: Subject,
    disease: Disease,
    size_px: int,
    atlas: Atlas,
    config: DwiConfig,
) -> tuple[NDArray[np.int16], Grid]:
    """Image a subject with FLAIR.

    Parameters
    ----------
    rng
        Random stream.
    subject, disease, atlas
        Whom to image.
    size_px
        Largest in-plane matrix of the diffusion scan; the FLAIR matrix is larger by a factor.
    config
        All knobs.

    Returns
    -------
    volume
        ``(X, Y, Z)`` int16.
    grid
        Its grid, oblique to the diffusion scan.
    """
    sequence = config.flair
    grid = _draw_grid(rng, size_px, sequence, config)
    everywhere = np.ones(grid.shape, dtype=bool)
    rough = subject.to_template(grid.points_mm(everywhere), rough=True)
    near = (atlas.depth_mm.at(rough) > -_REACH_MM).reshape(grid.shape)
    pieces = [subject.to_template(grid.points_mm(near, offset)) for offset in _OFFSETS_MM]
    points = np.concatenate(pieces, axis=1)
    state = tissue_state(points, disease, atlas, config.lesion, config.tissue)
    signal = fluid_attenuated(state, disease, config.tissue, sequence)
    amplitude, sigma_mm = config.acquisition.bias
    bias = np.exp(amplitude * gaussian_field(rng, sigma_mm).at(pieces[0]))
    clean = np.zeros(grid.shape)
    clean[near] = bias * signal.reshape(len(_OFFSETS_MM), -1).mean(axis=0)
    share = (state.tissue[0] + state.tissue[1]).reshape(len(_OFFSETS_MM), -1).mean(axis=0)
    level = float(np.median(clean[near][share > 0.8]))
    noisy = rician_magnitude(rng, clean, level / float(rng.uniform(*sequence.snr)))
    brain = extracted_brain(clean, level, config.acquisition.brain_floor)
    stored = brain * noisy * (float(rng.uniform(*sequence.parenchyma_level)) / level)
    return np.rint(stored).astype(np.int16), grid


def _draw_grid(
    rng: np.random.Generator, size_px: int, sequence: FlairConfig, config: DwiConfig
) -> Grid:
    matrix = min(round(sequence.matrix_factor * size_px), sequence.matrix_max)
    voxel_mm = sequence.field_of_view_mm / matrix
    spacing = (voxel_mm, voxel_mm, sequence.thickness_mm + sequence.gap_mm)
    plain = axial_grid(
        (matrix, matrix, sequence.slices), spacing, config.acquisition.slab_centre_mm[0]
    )
    about_x, about_z = np.deg2rad(rng.normal(0.0, sequence.tilt_sd_deg, size=2))
    cx, sx, cz, sz = np.cos(about_x), np.sin(about_x), np.cos(about_z), np.sin(about_z)
    tilt = np.eye(4)
    tilt[:3, :3] = np.array([[cz, -sz * cx, sz * sx], [sz, cz * cx, -cz * sx], [0, sx, cx]])
    return Grid(plain.shape, tilt @ plain.affine)
