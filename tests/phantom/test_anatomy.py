"""The symmetric template, and heads that are not symmetric."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from strokerepro.errors import InputError
from strokerepro.phantom.anatomy import (
    Grid,
    draw_displacement,
    draw_subject,
    exponentiate,
    jacobian,
)
from strokerepro.phantom.atlas import Atlas, signed_distance
from strokerepro.phantom.config import AnatomyConfig

# Of the templates that nilearn ships; another hash means another anatomy in every phantom.
TEMPLATE_SHA256_START = "b71f862ff1ad"


def test_the_template_is_exactly_symmetric(atlas: Atlas) -> None:
    """Each tissue map equals its mirror image: all asymmetry must come from the warp."""
    for tissue in (atlas.gm, atlas.wm, atlas.csf):
        assert np.array_equal(tissue.values, tissue.values[::-1])


def test_tissue_shares_sum_to_one_inside_and_to_zero_outside(atlas: Atlas) -> None:
    """Deep in the brain the shares add up to 1 (within uint8 rounding), in the air to 0."""
    inside, outside = np.array([[30.0], [-20.0], [30.0]]), np.array([[90.0], [-130.0], [100.0]])
    assert atlas.tissue(inside).sum() == pytest.approx(1.0, abs=0.01)
    assert atlas.tissue(outside).sum() == 0.0


def test_known_places_have_the_known_tissue(atlas: Atlas) -> None:
    """Centrum semiovale is white, the lateral ventricle CSF, the putamen grey matter."""
    places = np.array([[26.0, -20.0, 32.0], [5.0, -12.0, 22.0], [26.0, 2.0, 2.0]]).T
    gm, wm, csf = atlas.tissue(places)
    assert wm[0] > 0.8
    assert csf[1] > 0.5
    assert gm[2] > 0.6


def test_the_atlas_comes_from_the_templates_it_was_frozen_with(atlas: Atlas) -> None:
    """The hash of nilearn's templates is the recorded one."""
    assert atlas.template_sha256.startswith(TEMPLATE_SHA256_START)


def test_signed_distance_is_zero_between_the_last_voxel_in_and_the_first_out() -> None:
    """Beside a plane the distances are half a voxel, inside positive and outside negative."""
    mask = np.zeros((6, 3, 3), dtype=bool)
    mask[:3] = True
    assert signed_distance(mask, 2.0)[:, 1, 1] == pytest.approx([5, 3, 1, -1, -3, -5])


def test_the_warp_is_not_symmetric() -> None:
    """The displacement differs from its mirror image by millimetres, not by rounding."""
    displacement = draw_displacement(np.random.default_rng(0), AnatomyConfig())
    mirrored = displacement[:, ::-1] * np.array([-1.0, 1.0, 1.0])[:, None, None, None]
    assert np.abs(displacement - mirrored).mean() * AnatomyConfig().warp_step_mm > 2.0


@pytest.mark.parametrize("seed", range(4))
def test_no_head_folds(seed: int) -> None:
    """The local volume factor of every drawn warp stays above the limit."""
    config = AnatomyConfig()
    assert draw_subject(np.random.default_rng(seed), config).min_jacobian > config.min_jacobian


def test_a_warp_that_cannot_but_fold_is_refused_in_one_line() -> None:
    """Absurd amplitudes end in an InputError after the permitted redraws, not in a folded head."""
    absurd = replace(AnatomyConfig(), warp_fine_mm=(60.0, 7.0), max_redraws=2, warp_squarings=1)
    with pytest.raises(InputError, match="Jacobian"):
        draw_subject(np.random.default_rng(0), absurd)


def test_the_flow_of_a_constant_velocity_is_a_translation() -> None:
    """Exp of a constant field is that constant."""
    velocity = np.zeros((3, 6, 6, 6))
    velocity[1] = 0.7
    assert exponentiate(velocity, 5) == pytest.approx(velocity)


def test_the_flow_of_a_linear_velocity_is_an_exponential() -> None:
    """For v = a x the displacement is (e^a - 1) x, away from the edge of the lattice."""
    x = np.indices((21, 5, 5), dtype=np.float64)[0] - 10
    velocity = np.zeros((3, 21, 5, 5))
    velocity[0] = 0.1 * x
    expected = (np.exp(0.1) - 1) * x
    assert exponentiate(velocity, 7)[0][5:16] == pytest.approx(expected[5:16], abs=2e-3)


def test_the_jacobian_of_a_stretch_is_its_volume_factor() -> None:
    """Stretching x by 1.5 and shearing y by x gives 1.5 everywhere."""
    x = np.indices((5, 5, 5), dtype=np.float64)[0]
    displacement = np.stack([0.5 * x, 0.3 * x, np.zeros_like(x)])
    assert jacobian(displacement) == pytest.approx(np.full((5, 5, 5), 1.5))


def test_grid_points_follow_the_affine_and_the_slice_offset() -> None:
    """Voxel (1, 0, 1) of an LAS grid, half a slice up, lies where the hand computation says."""
    affine = np.diag([-2.0, 2.0, 6.0, 1.0])
    affine[:3, 3] = (10, -20, 5)
    selected = np.zeros((2, 2, 2), dtype=bool)
    selected[1, 0, 1] = True
    grid = Grid((2, 2, 2), affine)
    assert grid.points_mm(selected, 3.0)[:, 0] == pytest.approx([8.0, -20.0, 14.0])
    assert grid.spacing_mm == pytest.approx((2.0, 2.0, 6.0))


def test_the_rough_pull_back_is_within_half_a_millimetre() -> None:
    """The linear warp stays close to the smooth one throughout the head."""
    subject = draw_subject(np.random.default_rng(3), AnatomyConfig())
    points = np.random.default_rng(0).uniform(-60, 60, size=(3, 2000))
    difference = subject.to_template(points) - subject.to_template(points, rough=True)
    assert np.abs(difference).max() < 0.5
