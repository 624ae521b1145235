"""Named random streams, Gaussian random fields and the lattice they are read from."""

from __future__ import annotations

import numpy as np
import pytest

from strokerepro.phantom.lattice import BOX_START_MM, Lattice, box_shape, node_points
from strokerepro.phantom.random_fields import component_rng, gaussian_field, slice_field


@pytest.mark.parametrize("smooth", [False, True])
def test_a_linear_function_is_read_exactly_between_nodes(smooth: bool) -> None:
    """Interpolation of 2x - y + 3z + 1 gives the function's own value inside the lattice."""
    step = 4.0
    shape = box_shape(step)
    x, y, z = node_points(shape, step)
    values = (2 * x - y + 3 * z + 1).reshape(shape)
    make = Lattice.smooth if smooth else Lattice
    lattice = make(values, BOX_START_MM, step)
    points = np.array([[1.3, -40.2], [20.7, 3.0], [-6.1, 55.5]])
    expected = 2 * points[0] - points[1] + 3 * points[2] + 1
    assert lattice.at(points) == pytest.approx(expected, abs=1e-6)


def test_outside_the_lattice_the_edge_value_holds() -> None:
    """A point far outside reads the nearest node."""
    lattice = Lattice(np.arange(27.0).reshape(3, 3, 3), (0.0, 0.0, 0.0), 1.0)
    assert lattice.at(np.array([[99.0], [99.0], [99.0]]))[0] == 26.0


def test_integer_storage_is_scaled_on_reading() -> None:
    """A uint8 lattice with scale 1/255 reads 51 as 0.2."""
    lattice = Lattice(np.full((2, 2, 2), 51, dtype=np.uint8), (0.0, 0.0, 0.0), 1.0, scale=1 / 255)
    assert lattice.at(np.zeros((3, 1)))[0] == pytest.approx(0.2)


def test_the_box_of_the_templates_has_197_by_233_by_189_nodes_at_1_mm() -> None:
    """The lattice box is that of the MNI152 templates."""
    assert box_shape(1.0) == (197, 233, 189)
    assert box_shape(2.0) == (99, 117, 95)


def test_a_field_has_unit_variance_and_the_stated_correlation() -> None:
    """G(sigma) has variance 1 and correlation exp(-d^2 / 4 sigma^2) at distance d."""
    sigma = 6.0
    field = gaussian_field(np.random.default_rng(0), sigma)
    rng = np.random.default_rng(1)
    points = rng.uniform([[-90.0], [-120.0], [-60.0]], [[80.0], [90.0], [100.0]], size=(3, 20_000))
    here, there = field.at(points), field.at(points + np.array([[sigma], [0.0], [0.0]]))
    assert here.std() == pytest.approx(1.0, abs=0.06)
    assert np.corrcoef(here, there)[0, 1] == pytest.approx(np.exp(-0.25), abs=0.04)


def test_streams_repeat_and_differ_by_every_word_of_the_seed() -> None:
    """Equal words give equal numbers; another seed, case or component gives others."""
    first = component_rng(1, "dwi", 2, "noise").random(4)
    assert np.array_equal(first, component_rng(1, "dwi", 2, "noise").random(4))
    others = [(0, "dwi", 2, "noise"), (1, "dwi", 3, "noise"), (1, "dwi", 2, "lesions")]
    for words in others:
        assert not np.array_equal(first, component_rng(*words).random(4))


def test_a_field_read_linearly_agrees_with_the_smooth_one_at_its_nodes() -> None:
    """The order changes what lies between the nodes, not the draw."""
    smooth, linear = (
        gaussian_field(np.random.default_rng(1), 20.0, order=order) for order in (3, 1)
    )
    nodes = np.array([[-48.0, 12.0], [-34.0, 16.0], [18.0, 38.0]])
    assert linear.at(nodes) == pytest.approx(smooth.at(nodes), abs=1e-6)


def test_a_slice_field_has_unit_variance_and_the_stated_correlation() -> None:
    """Variance 1; at a distance of twice sigma the correlation is 1/e."""
    field = slice_field(np.random.default_rng(0), (400, 400), 1.0, 4.0)
    assert field.var() == pytest.approx(1.0, abs=0.1)
    correlation = np.mean(field * np.roll(field, 8, axis=0)) / field.var()
    assert correlation == pytest.approx(np.exp(-1.0), abs=0.05)


def test_a_rejected_draw_is_followed_by_another_stream() -> None:
    """Attempt 0 is the component's own stream; each further one differs from all before."""
    streams = [component_rng(3, "ctp", 5, "fate", attempt).random() for attempt in range(4)]
    assert streams[0] == component_rng(3, "ctp", 5, "fate").random()
    assert len(set(streams)) == 4
