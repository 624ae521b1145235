"""Attenuation of the head without contrast agent: brain, fluid, skull, scalp, air."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import ndimage
from scipy.special import expit

from strokerepro.phantom.atlas import COARSE_STEP_MM, Atlas
from strokerepro.phantom.ctp_config import HeadConfig
from strokerepro.phantom.dwi_config import SusceptibilityConfig
from strokerepro.phantom.lattice import BOX_START_MM, FloatArray, Lattice
from strokerepro.phantom.susceptibility import air_mask

_EDGE_MM = 0.8  # over which one layer passes into the next
_BLUR_NODES = 1.2
_SHARPNESS = 4.0


@dataclass(frozen=True)
class Head:
    """Layers of one head and the water its infarct has taken up.

    Parameters
    ----------
    csf_mm, skull_mm
        Thickness of the fluid outside the brain and of the skull.
    skull_hu
        Attenuation of the skull's tables.
    water_uptake
        Net water uptake of infarcted tissue at the time of CTP.
    config
        Knobs.
    """

    csf_mm: float
    skull_mm: float
    skull_hu: float
    water_uptake: float
    config: HeadConfig

    def layers_hu(self, closed_depth_mm: FloatArray) -> FloatArray:
        """Attenuation outside the brain at a signed depth ``(N,)`` in the closed brain mask."""
        knobs = self.config
        marrow, third = knobs.skull_hu[2] * self.skull_hu, self.skull_mm / 3.0
        inner, outer = self.csf_mm, self.csf_mm + self.skull_mm
        fluid, face = knobs.brain_hu[2], knobs.face_hu
        distances, values = zip(
            (inner, fluid),
            (inner + _EDGE_MM, self.skull_hu),
            (inner + third, self.skull_hu),
            (inner + 1.5 * third, marrow),
            (outer - third, self.skull_hu),
            (outer - _EDGE_MM, self.skull_hu),
            (outer, knobs.scalp_hu),
            (outer + knobs.scalp_mm, knobs.scalp_hu),
            (outer + 2.0 * knobs.scalp_mm, face),
            (outer + knobs.face_mm, face),
            (outer + knobs.face_mm + _EDGE_MM, knobs.air_hu),
            strict=True,
        )
        return np.asarray(np.interp(-closed_depth_mm, distances, values), dtype=np.float64)

    def oedema_hu(self, margin: FloatArray) -> FloatArray:
        """Fall of attenuation ``(N,)`` for a log margin of infarction, see :class:`Fate`."""
        reach, width = self.config.oedema_edge
        return np.asarray(
            self.config.oedema_hu * self.water_uptake * expit((margin + reach) / width)
        )

    def brain_hu(
        self, tissue: FloatArray, depth_mm: FloatArray, wmh: FloatArray, old: FloatArray
    ) -> FloatArray:
        """Attenuation ``(N,)`` inside the skull.

        Parameters
        ----------
        tissue
            ``(3, N)`` shares of grey matter, white matter and CSF; what is missing is fluid.
        depth_mm
            ``(N,)`` depth in the closed brain mask, for the cupping under the skull.
        wmh, old
            ``(N,)`` shares of white-matter hyperintensity and old infarct.
        """
        grey, white, fluid = self.config.brain_hu
        amplitude, decay_mm = self.config.cupping
        mixed = fluid + tissue[0] * (grey - fluid) + tissue[1] * (white - fluid)
        mixed = mixed + wmh * self.config.wmh_hu
        mixed = mixed + old * (self.config.old_infarct_hu - mixed)
        return np.asarray(mixed + amplitude * np.exp(-np.maximum(depth_mm, 0.0) / decay_mm))


def draw_head(rng: np.random.Generator, onset_h: float, config: HeadConfig) -> Head:
    """Draw layers, and the water uptake that rises with the hours since onset."""
    csf = float(rng.uniform(*config.csf_mm))
    skull = float(rng.uniform(*config.skull_mm))
    least, greatest, _ = config.skull_hu
    level = float(rng.uniform(least, greatest))
    per_h, at_onset, sd = config.water_uptake
    uptake = float(np.clip(rng.normal(per_h * onset_h + at_onset, sd), *config.water_uptake_limits))
    return Head(csf, skull, level, uptake, config)


@lru_cache(maxsize=2)
def load_air(config: SusceptibilityConfig, atlas: Atlas) -> Lattice:
    """Air around the head and in its cavities, in template space; the surface is at 0.5.

    The mask's steps are blurred away; :func:`air_share` makes the edge sharp again.
    """
    air = ndimage.gaussian_filter(air_mask(config, atlas).astype(np.float64), _BLUR_NODES)
    return Lattice(air, BOX_START_MM, COARSE_STEP_MM)


def air_share(blurred: FloatArray) -> FloatArray:
    """Share of air, 0 to 1, from values of :func:`load_air`."""
    return np.asarray(np.clip(0.5 + _SHARPNESS * (blurred - 0.5), 0.0, 1.0))
