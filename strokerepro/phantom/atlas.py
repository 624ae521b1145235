"""Tissue maps and head geometry in template space, from the MNI152 templates of nilearn."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from strokerepro.files import hash_json
from strokerepro.phantom.cache import Arrays, cached_arrays
from strokerepro.phantom.config import AnatomyConfig
from strokerepro.phantom.lattice import BOX_START_MM, FloatArray, Lattice

_LAYOUT = 1  # raise when the content of the cached file changes
COARSE_STEP_MM = 2.0


@dataclass(frozen=True, eq=False)
class Atlas:
    """Left-right symmetric anatomy in template space.

    Parameters
    ----------
    gm, wm, csf
        Sharpened tissue probabilities on the 1 mm template grid; they sum to at most 1.
    depth_mm
        Signed distance to the brain's surface on a 2 mm grid, positive inside.
    closed_depth_mm
        The same for the brain after closing, the inner outline of the head's layers.
    template_sha256
        Hash of the templates the atlas was made from.
    """

    gm: Lattice
    wm: Lattice
    csf: Lattice
    depth_mm: Lattice
    closed_depth_mm: Lattice
    template_sha256: str

    def tissue(self, points_mm: FloatArray) -> FloatArray:
        """Probabilities ``(3, N)`` of grey matter, white matter and CSF at ``(3, N)`` points."""
        return np.stack([tissue.at(points_mm) for tissue in (self.gm, self.wm, self.csf)])


@lru_cache(maxsize=2)
def load_atlas(config: AnatomyConfig) -> Atlas:
    """Atlas for `config`, from the cache where it is there (about 6 s otherwise)."""
    knobs = [config.prior_blur_mm, config.prior_exponent, config.closing_radius_mm]
    arrays = cached_arrays("atlas", hash_json([_LAYOUT, knobs]), lambda: _build(config))
    priors = {
        name: Lattice(arrays[name], BOX_START_MM, 1.0, scale=1 / 255)
        for name in ("gm", "wm", "csf")
    }
    depths = {
        name: Lattice(arrays[name], BOX_START_MM, COARSE_STEP_MM)
        for name in ("depth_mm", "closed_depth_mm")
    }
    return Atlas(**priors, **depths, template_sha256=str(arrays["template_sha256"]))


def _build(config: AnatomyConfig) -> Arrays:
    # nilearn takes 1.5 s to import and is needed only when the cache is empty.
    from nilearn import datasets

    gm, wm, t1, mask = (
        np.asarray(loader(resolution=1).dataobj, dtype=np.float64)
        for loader in (
            datasets.load_mni152_gm_template,
            datasets.load_mni152_wm_template,
            datasets.load_mni152_template,
            datasets.load_mni152_brain_mask,
        )
    )
    digest = hashlib.sha256()
    for volume in (gm, wm, t1):
        digest.update(np.rint(volume * 255).astype(np.uint8).tobytes())
    brain = mask[::2, ::2, ::2] > 0.5
    closed = _close(brain, config.closing_radius_mm)
    return {
        **sharpened_priors(gm, wm, mask, config),
        "depth_mm": signed_distance(brain).astype(np.float32),
        "closed_depth_mm": signed_distance(closed).astype(np.float32),
        "template_sha256": np.asarray(digest.hexdigest()),
    }


def sharpened_priors(
    gm: FloatArray, wm: FloatArray, mask: FloatArray, config: AnatomyConfig
) -> Arrays:
    """Tissue probabilities with the blur of the group average undone.

    ``P_k = p_k**e / sum_j p_j**e`` inside the brain, with CSF as what is neither grey nor white.

    Parameters
    ----------
    gm, wm
        ``(X, Y, Z)`` group-average probabilities, 0 to 1.
    mask
        ``(X, Y, Z)`` brain mask, 0 or 1.
    config
        Supplies the blur and the exponent e.

    Returns
    -------
    dict
        ``gm``, ``wm``, ``csf``, each ``(X, Y, Z)`` uint8 where 255 stands for 1.
    """
    gm, wm, brain = (
        ndimage.gaussian_filter(volume, config.prior_blur_mm) for volume in (gm, wm, mask)
    )
    csf = np.clip(1.0 - gm - wm, 0.0, 1.0)
    powers = np.stack([gm, wm, csf]) ** config.prior_exponent
    powers *= brain / np.maximum(powers.sum(axis=0), 1e-12)
    gm8, wm8, csf8 = np.rint(255 * powers).astype(np.uint8)
    return {"gm": gm8, "wm": wm8, "csf": csf8}


def signed_distance(mask: NDArray[np.bool_], step_mm: float = COARSE_STEP_MM) -> FloatArray:
    """Distance in mm to the surface of `mask`, positive inside, 0 half-way between voxels."""
    inside = ndimage.distance_transform_edt(mask)
    outside = ndimage.distance_transform_edt(~mask)
    return np.asarray(step_mm * (inside - outside - 0.5 * mask + 0.5 * ~mask))


def _close(mask: NDArray[np.bool_], radius_mm: float) -> NDArray[np.bool_]:
    # Closing by distance maps; the margin keeps the box from cutting the dilated brain.
    margin = int(np.ceil(radius_mm / COARSE_STEP_MM)) + 1
    padded = np.pad(mask, margin)
    dilated = signed_distance(padded) > -radius_mm
    closed = signed_distance(dilated) > radius_mm
    inner = slice(margin, -margin)
    return np.asarray(closed[inner, inner, inner] | mask)
