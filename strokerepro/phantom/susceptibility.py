"""Air next to tissue: magnetic field error, and what it does to an echo-planar image.

The field follows from the susceptibility by the dipole kernel; displacement, pile-up and signal
loss follow from the field. Nothing is painted.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from strokerepro.files import hash_json
from strokerepro.phantom.atlas import COARSE_STEP_MM, Atlas
from strokerepro.phantom.cache import Arrays, cached_arrays
from strokerepro.phantom.dwi_config import SusceptibilityConfig
from strokerepro.phantom.lattice import BOX_START_MM, FloatArray, Lattice, box_shape, node_points

_LAYOUT = 2
_PADDING_VOXELS = 32

# Ellipsoids of air: centre and radii in MNI mm; those off the midline exist on both sides.
CAVITIES = (
    ((9.0, 76.0, -12.0), (9.0, 6.0, 9.0)),  # frontal sinus
    ((0.0, 22.0, -38.0), (10.0, 10.0, 8.0)),  # sphenoid sinus
    ((7.0, 45.0, -36.0), (6.0, 18.0, 10.0)),  # ethmoid cells
    ((52.0, -38.0, -52.0), (9.0, 12.0, 12.0)),  # mastoid cells
    ((44.0, -22.0, -44.0), (7.0, 8.0, 7.0)),  # petrous cells
)


@dataclass(frozen=True)
class FieldMap:
    """Field error in template space, in ppm, and its gradient along the main field in ppm/mm."""

    ppm: Lattice
    through_plane_ppm_mm: Lattice


def dipole_field(
    susceptibility_ppm: FloatArray, voxel_mm: float, padding_voxels: int = _PADDING_VOXELS
) -> FloatArray:
    """Relative field change along z caused by a susceptibility distribution.

    ``B = F^-1[(1/3 - kz^2 / k^2) F chi]`` (Marques and Bowtell 2005, doi:10.1002/cmr.b.20034), with
    the Lorentz sphere included and the mean set to zero.

    Parameters
    ----------
    susceptibility_ppm
        ``(X, Y, Z)`` in ppm.
    voxel_mm
        Edge of the cubic voxels; only ratios of frequencies matter, so the field is scale free.
    padding_voxels
        Margin repeated from the edge on every side, against wrap-around.

    Returns
    -------
    ndarray
        ``(X, Y, Z)`` in ppm.
    """
    padded = np.pad(susceptibility_ppm, padding_voxels, mode="edge")
    nx, ny, nz = (fft.next_fast_len(n, real=True) for n in padded.shape)
    kx = fft.fftfreq(nx, voxel_mm)[:, None, None]
    ky = fft.fftfreq(ny, voxel_mm)[None, :, None]
    kz = fft.rfftfreq(nz, voxel_mm)[None, None, :]
    squared = kx**2 + ky**2 + kz**2
    squared[0, 0, 0] = 1.0
    kernel = 1.0 / 3.0 - kz**2 / squared
    kernel[0, 0, 0] = 0.0
    field = fft.irfftn(kernel * fft.rfftn(padded, (nx, ny, nz)), (nx, ny, nz))
    inner = tuple(slice(padding_voxels, padding_voxels + n) for n in susceptibility_ppm.shape)
    return np.asarray(field[inner])


@lru_cache(maxsize=2)
def load_field_map(config: SusceptibilityConfig, atlas: Atlas) -> FieldMap:
    """Shimmed field error of the template head, from the cache where it is there."""
    key = hash_json([_LAYOUT, asdict(config), CAVITIES, atlas.template_sha256])
    arrays = cached_arrays("field", key, lambda: _build(config, atlas))
    ppm, gradient = (
        Lattice.smooth(arrays[name], BOX_START_MM, COARSE_STEP_MM) for name in ("ppm", "gradient")
    )
    return FieldMap(ppm, gradient)


def _build(config: SusceptibilityConfig, atlas: Atlas) -> Arrays:
    air = air_mask(config, atlas)
    field = dipole_field(config.air_minus_tissue_ppm * air.astype(np.float64), COARSE_STEP_MM)
    brain = np.asarray(atlas.depth_mm.values) > 0
    shimmed = field - _second_order_fit(field, brain)
    gradient = np.gradient(shimmed, COARSE_STEP_MM, axis=2)
    return {"ppm": extend_outwards(shimmed, brain), "gradient": extend_outwards(gradient, brain)}


def extend_outwards(field: FloatArray, brain: NDArray[np.bool_]) -> FloatArray:
    """Field whose values outside the brain are those of the nearest voxel of the brain.

    The field inside a cavity displaces no tissue. Without this the pull-back would read it at the
    empty voxels beside the brain and fill them with copies of the tissue next to the cavity.
    """
    _, nearest = ndimage.distance_transform_edt(~brain, return_indices=True)
    extended = field[tuple(nearest)]
    smooth = ndimage.gaussian_filter(extended, _EXTENSION_BLUR_VOXELS)
    return np.asarray(np.where(brain, field, smooth))


_EXTENSION_BLUR_VOXELS = 1.5


def air_mask(config: SusceptibilityConfig, atlas: Atlas) -> NDArray[np.bool_]:
    """Air ``(X, Y, Z)`` on the 2 mm template grid: around the head and in its cavities."""
    shape = box_shape(COARSE_STEP_MM)
    x, y, z = node_points(shape, COARSE_STEP_MM).reshape(3, *shape)
    cavities = np.zeros(shape, dtype=bool)
    for (cx, cy, cz), (rx, ry, rz) in CAVITIES:
        # |x| mirrors the pair; a cavity on the midline is its own mirror image.
        offset = ((np.abs(x) - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 + ((z - cz) / rz) ** 2
        cavities |= offset < 1.0
    cavities &= np.asarray(atlas.depth_mm.values) < -config.cavity_clearance_mm
    outside = np.asarray(atlas.closed_depth_mm.values) < -config.head_layers_mm
    # The face and neck lie below and before the brain and are not air.
    outside &= ~((z < _FACE_TOP_MM) & (np.abs(x) < _FACE_HALF_WIDTH_MM) & (y < _FACE_FRONT_MM))
    return np.asarray(cavities | outside)


_FACE_TOP_MM = -5.0
_FACE_HALF_WIDTH_MM = 65.0
_FACE_FRONT_MM = 88.0


def _second_order_fit(field: FloatArray, brain: NDArray[np.bool_]) -> FloatArray:
    # Scanners shim on the brain: the constant, linear and quadratic part of the error vanishes.
    shape = field.shape
    x, y, z = node_points(shape, COARSE_STEP_MM) / 100.0
    one = np.ones_like(x)
    terms = np.stack([one, x, y, z, x * x, y * y, z * z, x * y, x * z, y * z])
    inside = brain.ravel()
    weights, *_ = np.linalg.lstsq(terms[:, inside].T, field.ravel()[inside], rcond=None)
    fitted = sum(weight * term for weight, term in zip(weights, terms, strict=True))
    return np.asarray(fitted).reshape(shape)


def epi_shift_mm(
    field_ppm: FloatArray, hz_per_ppm: float, bandwidth_hz_mm: float, limit_mm: float
) -> FloatArray:
    """Displacement along the phase-encoding axis, softly limited.

    Parameters
    ----------
    field_ppm
        Field error.
    hz_per_ppm
        Larmor frequency in MHz, signed by the polarity of the phase encoding.
    bandwidth_hz_mm
        Bandwidth per mm along the phase-encoding axis.
    limit_mm
        Largest displacement: ``limit * tanh(shift / limit)``.
    """
    shift = field_ppm * hz_per_ppm / bandwidth_hz_mm
    return np.asarray(limit_mm * np.tanh(shift / limit_mm))


def pileup_factor(shift_mm: FloatArray, voxel_mm: float, limits: tuple[float, float]) -> FloatArray:
    """Intensity factor of the pull-back ``y -> y - shift(y)`` along axis 1.

    The factor is the pull-back's derivative, so that the signal summed along the axis stays what
    it was: stretched tissue is dim, compressed tissue is bright.

    Parameters
    ----------
    shift_mm
        ``(X, Y, Z)`` displacement along axis 1.
    voxel_mm
        Voxel size along axis 1.
    limits
        Smallest and largest factor.
    """
    return np.asarray(np.clip(1.0 - np.gradient(shift_mm, voxel_mm, axis=1), *limits))


def dephasing_factor(
    gradient_ppm_mm: FloatArray, hz_per_ppm: float, thickness_mm: float, time_ms: float
) -> FloatArray:
    """Signal left when the phase varies linearly through the slice: ``|sinc(cycles)|``."""
    cycles = gradient_ppm_mm * hz_per_ppm * thickness_mm * time_ms * 1e-3
    return np.asarray(np.abs(np.sinc(cycles)))
