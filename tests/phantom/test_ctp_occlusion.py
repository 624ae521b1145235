"""Occlusions: where they act, and what they leave."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from strokerepro.phantom.ctp_config import CTP
from strokerepro.phantom.ctp_occlusion import Occlusion, draw_occlusion
from strokerepro.phantom.ctp_ranks import RANKED
from strokerepro.phantom.ctp_rest import draw_rest, perfused
from strokerepro.phantom.ctp_supply import supply_share, watershed
from strokerepro.phantom.lattice import FloatArray

INSULA = np.array([[44.0], [4.0], [2.0]])
BRANCH_TERRITORY = np.array([[50.0], [2.0], [30.0]])
OCCIPITAL = np.array([[12.0], [-85.0], [5.0]])
MIDDLE = dict.fromkeys(RANKED, 0.5)
QUIET = replace(
    CTP.occlusion,
    site_shares=(("M1", 1.0),),
    border_noise=(0.0, 12.0),
    retreat_mm=(3.0, 3.0),
    collateral_depth_mm=(10.0, 0.0),
    core_flow=(0.1, 0.1),
    flow_noise=(0.0, 0.8, 0.6),
    delay_s=(6.0, 0.0),
    delay_noise=(0.0, 10.0),
    reperfusion_share=0.0,
)


def _draw(seed: int, **changes: Any) -> Occlusion:
    return draw_occlusion(np.random.default_rng(seed), MIDDLE, replace(QUIET, **changes))


def _both_sides(point: FloatArray, side: float) -> tuple[FloatArray, FloatArray]:
    affected = point * np.array([[side], [1.0], [1.0]])
    return affected, affected * np.array([[-1.0], [1.0], [1.0]])


@pytest.mark.parametrize("seed", range(4))
def test_an_occlusion_acts_on_its_side_and_in_its_territory_only(seed: int) -> None:
    """M1: severe in the territory of its branches, nothing opposite or in the occipital lobe."""
    occlusion = _draw(seed)
    affected, opposite = _both_sides(BRANCH_TERRITORY, occlusion.side)
    occipital, _ = _both_sides(OCCIPITAL, occlusion.side)
    assert occlusion.severity(affected)[0] > 0.5
    assert occlusion.severity(opposite)[0] == 0.0
    assert occlusion.severity(occipital)[0] == 0.0


def test_flow_and_delay_follow_the_severity() -> None:
    """Without noise flow is 1 - 0.9 s and delay 6 s: hand computation at one point."""
    occlusion = _draw(0)
    points, opposite = _both_sides(BRANCH_TERRITORY, occlusion.side)
    severity = occlusion.severity(points)
    assert occlusion.supply(points).flow == pytest.approx(1.0 - 0.9 * severity)
    assert occlusion.delay(points, severity) == pytest.approx(6.0 * severity)
    assert occlusion.supply(opposite).flow == pytest.approx([1.0])


def test_severity_is_that_of_the_margin_and_the_collateral_depth() -> None:
    """Where no end artery feeds, severity is 1 - exp(-margin / depth)."""
    occlusion = _draw(0)
    points, _ = _both_sides(BRANCH_TERRITORY, occlusion.side)
    margin = occlusion.margin_mm.at(points)
    assert supply_share(("LSA",)).at(points)[0] < 0.01
    assert occlusion.severity(points) == pytest.approx(1.0 - np.exp(-margin / 10.0), rel=0.01)


def test_the_midline_is_not_crossed() -> None:
    """On the midline the severity is 0 even where the anterior artery is occluded."""
    occlusion = _draw(1, site_shares=(("ACA", 1.0),))
    midline = np.array([[0.0, 0.0], [40.0, 30.0], [10.0, 30.0]])
    assert np.all(occlusion.severity(midline) == 0.0)
    beside = np.array([[8.0 * occlusion.side], [0.0], [0.0]])
    assert occlusion.severity(midline + beside).max() > 0.3


def test_a_branch_occlusion_is_smaller_than_that_of_the_trunk() -> None:
    """The sum of severities over the hemisphere falls from M1 to M2 and M3."""
    grid = np.stack(np.meshgrid(np.arange(-68, 69, 6.0), np.arange(-90, 60, 6.0), [0.0, 20.0]))
    points = grid.reshape(3, -1)
    totals = [
        _draw(2, site_shares=((site, 1.0),)).severity(points).sum()
        for site in ("ICA-T", "M1", "M2-superior", "M3")
    ]
    assert totals == sorted(totals, reverse=True)


@pytest.mark.parametrize(
    ("rank", "site"), [(0.0, "M1"), (0.29, "M1-distal"), (0.31, "ACA"), (0.999, "ACA")]
)
def test_the_rank_picks_the_artery_by_cumulated_shares(rank: float, site: str) -> None:
    """Shares of 0.2, 0.1 and 0.7: below 0.2 the first, from 0.3 on the third."""
    shares = (("M1", 0.2), ("M1-distal", 0.1), ("ACA", 0.7))
    config = replace(QUIET, site_shares=shares)
    ranks = {**MIDDLE, "site": rank}
    assert draw_occlusion(np.random.default_rng(0), ranks, config).site == site


@pytest.mark.parametrize(("rank", "sds"), [(0.5, 0.0), (0.8413447, 1.0), (0.0227501, -2.0)])
def test_the_rank_of_the_delay_is_a_quantile_of_its_normal(rank: float, sds: float) -> None:
    """The median at one half, a standard deviation above it at 84 %."""
    config = replace(QUIET, delay_s=(6.0, 0.4))
    ranks = {**MIDDLE, "delay": rank}
    delay_s = draw_occlusion(np.random.default_rng(0), ranks, config).delay_s
    assert delay_s == pytest.approx(6.0 * np.exp(0.4 * sds), rel=1e-5)


def test_reperfused_tissue_has_flow_again_at_ctp_but_not_for_its_fate() -> None:
    """Reperfusion everywhere: flow at CTP above rest, while the flow that decides fate is low."""
    config = replace(QUIET, reperfusion_share=1.0, reperfusion_field=(15.0, -99.0, 0.2))
    occlusion = draw_occlusion(np.random.default_rng(3), MIDDLE, config)
    points, _ = _both_sides(BRANCH_TERRITORY, occlusion.side)
    rest = draw_rest(np.random.default_rng(0), replace(CTP.rest, stenosis_share=0.0))
    tissue, zero, one = np.array([[1.0], [0.0], [0.0]]), np.zeros(1), np.ones(1)
    supply = occlusion.supply(points)
    again = perfused(points, tissue, zero, one, supply, rest, occlusion)
    never = replace(occlusion, reperfused=None)
    still = perfused(points, tissue, zero, one, supply, rest, never)
    assert supply.flow[0] < 0.5
    assert again.cbf_ml_100g_min[0] == pytest.approx(
        1.05 / supply.flow[0] * still.cbf_ml_100g_min[0]
    )
    assert again.delay_s[0] < still.delay_s[0]


def test_resting_perfusion_is_that_of_its_tissue() -> None:
    """Pure tissue without noise has the drawn flow, and MTT = 60 CBV / CBF; fluid has none."""
    config = replace(CTP.rest, texture=(0.0, 5.0), trend=(0.0, 20.0), stenosis_share=0.0)
    rest = draw_rest(np.random.default_rng(1), config)
    occlusion = _draw(0)
    _, healthy = _both_sides(np.repeat(BRANCH_TERRITORY, 3, axis=1), occlusion.side)
    supply = occlusion.supply(healthy)
    flow = perfused(healthy, np.eye(3), np.zeros(3), np.ones(3), supply, rest, occlusion)
    assert flow.cbf_ml_100g_min == pytest.approx([*rest.cbf_ml_100g_min, 0.0])
    assert flow.mtt_s[:2] == pytest.approx(60.0 * rest.cbv_ml_100g / rest.cbf_ml_100g_min)


def test_a_stenosis_delays_one_carotid_territory() -> None:
    """Only the stenosed side is later, by the drawn delay; its flow is not lower."""
    config = replace(CTP.rest, stenosis_share=1.0, delay_noise=(0.0, 18.0), trend=(0.0, 20.0))
    rest = draw_rest(np.random.default_rng(5), config)
    occlusion = _draw(0, retreat_mm=(99.0, 99.0))
    points = np.concatenate(_both_sides(BRANCH_TERRITORY, rest.stenosis_side), axis=1)
    tissue = np.array([[1.0, 1.0], [0.0, 0.0], [0.0, 0.0]])
    supply = occlusion.supply(points)
    flow = perfused(points, tissue, np.zeros(2), np.ones(2), supply, rest, occlusion)
    later = flow.delay_s[0] - flow.delay_s[1]
    assert later == pytest.approx(rest.stenosis_delay_s, rel=0.02)
    assert flow.cbf_ml_100g_min[0] == pytest.approx(flow.cbf_ml_100g_min[1])


def test_watershed_and_supply_are_shares() -> None:
    """Both lie between 0 and 1, and the anterior border is nearer the watershed than the insula."""
    border = np.array([[22.0], [30.0], [45.0]])
    assert 0.0 <= watershed(5.0).at(INSULA)[0] < watershed(5.0).at(border)[0] <= 1.0
    assert supply_share(("PCA",)).at(OCCIPITAL)[0] > 0.9
