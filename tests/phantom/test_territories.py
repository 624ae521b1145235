"""Arterial territories on known places."""

from __future__ import annotations

import numpy as np
import pytest

from strokerepro.phantom.territories import (
    REACH,
    TERRITORIES,
    fill_polyline,
    scaled_distances,
    territory_margin,
)


@pytest.mark.parametrize(
    ("place", "territory"),
    [
        ((4.0, 40.0, 10.0), "ACA"),
        ((-22.0, 3.0, 6.0), "LSA"),
        ((-50.0, 10.0, 25.0), "M2-superior"),
        ((55.0, -45.0, 12.0), "M2-inferior"),
        ((12.0, -80.0, 5.0), "PCA"),
        ((-10.0, -16.0, 6.0), "thalamic"),
        ((25.0, -68.0, -46.0), "PICA"),
        ((2.0, -30.0, -30.0), "basilar"),
    ],
)
def test_known_places_belong_to_the_known_artery(
    place: tuple[float, float, float], territory: str
) -> None:
    """The nearest artery, weighted by reach, is the one of the textbook, on both sides."""
    distances = scaled_distances(np.array(place)[:, None])[:, 0]
    assert TERRITORIES[int(distances.argmin())] == territory


def test_the_distance_to_a_single_point_artery_is_euclid_over_reach() -> None:
    """10 mm from the AICA's only point is 10 mm over its reach of 1."""
    distances = scaled_distances(np.array([[25.0], [-55.0], [-50.0]]))[:, 0]
    assert distances[TERRITORIES.index("AICA")] == pytest.approx(10.0 / REACH["AICA"])


def test_short_segments_are_filled_and_long_ones_are_not() -> None:
    """A 12 mm segment gains points at 4 and 8 mm, a 60 mm segment none."""
    filled = fill_polyline(((0, 0, 0), (12, 0, 0), (72, 0, 0)))
    assert sorted(filled[:, 0]) == pytest.approx([0, 4, 8, 12, 72])


def test_the_margin_is_negative_in_the_other_hemisphere() -> None:
    """A point of the left middle cerebral territory is outside the right one."""
    point = np.array([[-50.0], [10.0], [25.0]])
    assert territory_margin(point, ("M2-superior",), -1.0)[0] > 0
    assert territory_margin(point, ("M2-superior",), 1.0)[0] < 0
