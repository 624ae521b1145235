"""Perfusion of one person's brain before the stroke, and of the stroke on top of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from strokerepro.phantom.ctp_config import RestConfig
from strokerepro.phantom.ctp_occlusion import Occlusion, Supply
from strokerepro.phantom.ctp_supply import POSTERIOR, supply_share, watershed
from strokerepro.phantom.lattice import FloatArray, Lattice
from strokerepro.phantom.random_fields import gaussian_field


@dataclass(frozen=True)
class Rest:
    """Perfusion at rest.

    Parameters
    ----------
    cbf_ml_100g_min, cbv_ml_100g
        Of pure grey and white matter.
    trend, delay_noise
        Unit-variance fields.
    stenosis_side, stenosis_delay_s
        Chronic stenosis: late but sufficient flow on one side; side 0 for none.
    config
        Knobs.
    """

    cbf_ml_100g_min: FloatArray
    cbv_ml_100g: FloatArray
    trend: Lattice
    delay_noise: Lattice
    stenosis_side: float
    stenosis_delay_s: float
    config: RestConfig


@dataclass(frozen=True)
class Flow:
    """Perfusion at ``N`` points, everything ``(N,)``: what decides their curves.

    Parameters
    ----------
    cbf_ml_100g_min, mtt_s, delay_s, dispersion_s
        Flow, mean transit time, arrival after the measured artery, dispersion on the way.
    """

    cbf_ml_100g_min: FloatArray
    mtt_s: FloatArray
    delay_s: FloatArray
    dispersion_s: FloatArray


def draw_rest(rng: np.random.Generator, config: RestConfig) -> Rest:
    """Draw the perfusion of one person at rest."""
    cbf = rng.normal(config.cbf_ml_100g_min, config.cbf_sd_ml_100g_min)
    cbv = rng.normal(config.cbv_ml_100g, config.cbv_sd_ml_100g)
    trend = gaussian_field(rng, config.trend[1], order=1)
    delay_noise = gaussian_field(rng, config.delay_noise[1], order=1)
    has_stenosis = rng.random() < config.stenosis_share
    side = 1.0 if rng.random() < 0.5 else -1.0
    delay = float(rng.uniform(*config.stenosis_delay_s))
    return Rest(cbf, cbv, trend, delay_noise, side if has_stenosis else 0.0, delay, config)


def perfused(
    points_mm: FloatArray,
    tissue: FloatArray,
    texture: FloatArray,
    viability: FloatArray,
    supply: Supply,
    rest: Rest,
    occlusion: Occlusion,
) -> Flow:
    """Perfusion at the time of CTP.

    Parameters
    ----------
    points_mm
        ``(3, N)`` template coordinates.
    tissue
        ``(3, N)`` shares of grey matter, white matter and CSF.
    texture
        ``(N,)`` unit-variance noise, finer than the slices are thick.
    viability
        ``(N,)`` factor of flow and volume where old damage is, 1 elsewhere.
    supply
        Severity and relative flow at the points.
    rest, occlusion
        The person and the stroke.
    """
    knobs, stroke = rest.config, occlusion.config
    severity, ratio = supply.severity, supply.flow
    again = occlusion.reperfused_share(points_mm)
    ratio = ratio + again * (severity > 0) * (stroke.reperfusion_flow - ratio)
    late = occlusion.delay(points_mm, severity) * (1.0 - again * (1.0 - stroke.reperfusion_delay))
    share = tissue[:2]
    noise = np.exp(knobs.texture[0] * texture + knobs.trend[0] * rest.trend.at(points_mm))
    cbf = (share[0] * rest.cbf_ml_100g_min[0] + share[1] * rest.cbf_ml_100g_min[1]) * noise
    cbv = (share[0] * rest.cbv_ml_100g[0] + share[1] * rest.cbv_ml_100g[1]) * noise
    cbf = cbf * ratio * viability
    cbv = cbv * np.interp(ratio, stroke.volume_flow, stroke.volume_ratio) * viability
    # CSF has no flow; its transit time does not matter and must be defined.
    mtt = 60.0 * cbv / np.maximum(cbf, 1e-9)
    at_rest, per_delay = stroke.dispersion_s
    return Flow(
        cbf_ml_100g_min=cbf,
        mtt_s=np.clip(mtt, *knobs.mtt_limits_s),
        delay_s=np.maximum(_resting_delay(points_mm, tissue, rest) + late, 0.0),
        dispersion_s=at_rest + per_delay * late,
    )


def _resting_delay(points_mm: FloatArray, tissue: FloatArray, rest: Rest) -> FloatArray:
    knobs = rest.config
    border_s, decay_mm = knobs.delay_border_s
    posterior = supply_share(POSTERIOR).at(points_mm)
    delay = (
        knobs.delay_s
        + knobs.delay_white_s * tissue[1]
        + knobs.delay_noise[0] * rest.delay_noise.at(points_mm)
        + knobs.delay_posterior_s * posterior
        + border_s * watershed(decay_mm).at(points_mm)
    )
    beyond = np.clip(rest.stenosis_side * points_mm[0] / _MIDLINE_MM, 0.0, 1.0)
    return np.asarray(delay + rest.stenosis_delay_s * beyond * (1.0 - posterior))


_MIDLINE_MM = 4.0
