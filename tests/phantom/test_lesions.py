"""Shapes, sizes and places of lesions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from strokerepro.phantom.atlas import Atlas
from strokerepro.phantom.dwi_config import DWI
from strokerepro.phantom.dwi_lesions import (
    LESION_TYPES,
    draw_acute_lesions,
    draw_old_infarcts,
    draw_roughness,
    lesion_sites,
    type_of_case,
    white_matter_lesions,
)
from strokerepro.phantom.lattice import FloatArray
from strokerepro.phantom.lesions import (
    Lesion,
    Roughness,
    lesion_coverage,
    lesion_depth_mm,
    random_shape,
)
from strokerepro.phantom.random_fields import gaussian_field


@pytest.fixture(scope="module")
def smooth() -> Roughness:
    """Roughness that is switched off."""
    drawn = draw_roughness(np.random.default_rng(0), DWI.lesion)
    return replace(drawn, amplitude=0.0, border_mm=0.0)


def _cube(centre_mm: FloatArray, half_mm: float, step_mm: float) -> FloatArray:
    axis = np.arange(-half_mm, half_mm + step_mm / 2, step_mm)
    offsets = np.stack(np.meshgrid(axis, axis, axis, indexing="ij")).reshape(3, -1)
    return np.asarray(offsets + centre_mm[:, None])


def test_a_smooth_lesion_has_the_volume_of_its_sphere(smooth: Roughness) -> None:
    """Coverage summed over a fine lattice is 4/3 pi r^3, stretched or not."""
    centre = np.array([20.0, -10.0, 30.0])
    shape = random_shape(np.random.default_rng(1), 0.25)
    points = _cube(centre, 12.0, 0.5)
    for to_unit in (np.eye(3), shape):
        lesion = Lesion(centre, 5.0, to_unit)
        coverage, _ = lesion_coverage(points, [lesion], smooth, edge_mm=0.1)
        assert coverage.sum() * 0.125 == pytest.approx(4 / 3 * np.pi * 125, rel=0.03)


def test_depth_is_radius_minus_distance(smooth: Roughness) -> None:
    """At the centre the radius, 7 mm away from it minus 2."""
    lesion = Lesion(np.array([0.0, 0.0, 30.0]), 5.0)
    points = np.array([[0.0, 7.0], [0.0, 0.0], [30.0, 30.0]])
    assert lesion_depth_mm(points, lesion, smooth) == pytest.approx([5.0, -2.0])


def test_where_lesions_overlap_the_larger_coverage_and_its_conspicuity_hold(
    smooth: Roughness,
) -> None:
    """A point deep in one lesion and at the edge of another shows the first."""
    centre = np.array([10.0, 0.0, 30.0])
    deep = Lesion(centre, 6.0, conspicuity=0.5)
    grazing = Lesion(centre + np.array([5.0, 0.0, 0.0]), 5.0, conspicuity=1.0)
    for order in ([deep, grazing], [grazing, deep]):
        coverage, conspicuity = lesion_coverage(centre[:, None], order, smooth, edge_mm=0.5)
        assert coverage[0] > 0.99
        assert conspicuity[0] == 0.5


def test_shapes_keep_the_volume() -> None:
    """The determinant of every random shape is plus or minus 1."""
    for seed in range(5):
        shape = random_shape(np.random.default_rng(seed), 0.25)
        assert abs(np.linalg.det(shape)) == pytest.approx(1.0)


def test_a_territory_bounds_its_infarct(smooth: Roughness) -> None:
    """Of a 30 mm infarct in the right occipital lobe nothing crosses the midline."""
    centre = np.array([12.0, -75.0, 5.0])
    lesion = Lesion(centre, 30.0, territories=("PCA",))
    points = _cube(centre, 40.0, 4.0)
    coverage, _ = lesion_coverage(points, [lesion], smooth, edge_mm=0.1)
    assert coverage[points[0] < -1.0].max() < 0.01
    assert coverage[points[0] > 3.0].max() > 0.99


def test_types_are_ordered_by_the_size_of_their_largest_lesion(atlas: Atlas) -> None:
    """Median largest radius: emboli below lacunes below territorial infarcts."""
    sites = lesion_sites(atlas)
    largest = {}
    for kind in LESION_TYPES:
        rng = np.random.default_rng(0)
        draws = [draw_acute_lesions(rng, kind, sites, DWI.lesion) for _ in range(60)]
        typical = [np.median([lesion.radius_mm for lesion in draw]) for draw in draws]
        if kind == "territorial":
            typical = [draw[0].radius_mm for draw in draws]
        largest[kind] = float(np.median(typical))
    assert largest["shower"] < largest["lacune"] < largest["territorial"]


def test_any_run_of_cases_has_about_the_configured_shares() -> None:
    """Among 36 cases of whatever seed each type is within two cases of its share."""
    for seed in range(5):
        kinds = [type_of_case(seed, case, DWI.lesion) for case in range(1, 37)]
        for kind, share in zip(LESION_TYPES, DWI.lesion.type_shares, strict=True):
            assert abs(kinds.count(kind) - 36 * share) <= 2


def test_counts_follow_the_type(atlas: Atlas) -> None:
    """One lacune; at least two emboli; one infarct with satellites."""
    sites, rng = lesion_sites(atlas), np.random.default_rng(1)
    for _ in range(20):
        assert len(draw_acute_lesions(rng, "lacune", sites, DWI.lesion)) == 1
        assert len(draw_acute_lesions(rng, "shower", sites, DWI.lesion)) >= 2
        infarct, *satellites = draw_acute_lesions(rng, "territorial", sites, DWI.lesion)
        assert infarct.territories
        assert not any(lesion.territories for lesion in satellites)


def test_lacunes_lie_deep_and_emboli_do_not_lie_in_fluid(atlas: Atlas) -> None:
    """Half of the lacunes lie deeper than 20 mm; emboli start in parenchyma."""
    sites, rng = lesion_sites(atlas), np.random.default_rng(2)
    lacunes = [draw_acute_lesions(rng, "lacune", sites, DWI.lesion)[0] for _ in range(60)]
    depth = atlas.depth_mm.at(np.stack([lesion.centre_mm for lesion in lacunes], axis=1))
    assert np.median(depth) > 20.0
    emboli = draw_acute_lesions(rng, "shower", sites, DWI.lesion)
    fluid = atlas.tissue(np.stack([lesion.centre_mm for lesion in emboli], axis=1))[2]
    assert np.median(fluid) < 0.3


def test_the_share_of_old_infarcts_is_the_configured_one(atlas: Atlas) -> None:
    """About 30 % of subjects have one."""
    sites, rng = lesion_sites(atlas), np.random.default_rng(3)
    drawn = [bool(draw_old_infarcts(rng, sites, DWI.lesion)) for _ in range(300)]
    assert np.mean(drawn) == pytest.approx(DWI.lesion.old_infarct_share, abs=0.08)


def test_hyperintensity_stays_in_deep_white_matter(atlas: Atlas) -> None:
    """With a level that everything exceeds, only white matter away from the surface is marked."""
    field = gaussian_field(np.random.default_rng(0), DWI.lesion.wmh_sigma_mm)
    places = np.array([[26.0, -20.0, 32.0], [-50.0, 18.0, 14.0], [5.0, -12.0, 22.0]]).T
    share = white_matter_lesions(places, field, -99.0, atlas, DWI.lesion)
    assert share[0] > 0.8
    assert share[1] < 0.2
    assert share[2] < 0.2
