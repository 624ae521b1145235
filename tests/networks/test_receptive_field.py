"""Receptive fields: the formula, and gradients that agree with it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from strokerepro.networks import build_network
from strokerepro.networks.receptive_field import effective_extent, encoder_receptive_field


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def _deepest(network: nn.Module, image: Tensor) -> Tensor:
    features, _ = network.encoder(image)
    return features[-1]


def _extent_by_intervals(convs: tuple[int, ...], refinement: int = 0) -> int:
    """Follow an interval of pixels from the output to the input; the largest over all phases."""
    extents = []
    for phase in range(2 ** (len(convs) - 1)):
        first, last = phase - refinement, phase + refinement
        for count in convs[:-1]:  # decoder, from the finest map down
            first, last = (first - count) // 2, (last + count) // 2
        first, last = first - 2 * convs[-1], last + 2 * convs[-1]
        for count in reversed(convs[:-1]):  # encoder, back up
            first, last = 2 * first - count, 2 * last + 1 + count
        extents.append(last - first + 1)
    return max(extents)


# Networks of Table 3: encoder field, extent of one output pixel.
DECONVNETS = [
    ((1, 1, 1), 18, 34),
    ((2, 2, 2), 32, 60),
    ((2, 3, 3), 44, 84),
    ((2, 4, 5), 64, 124),
    ((2, 3, 3, 3), 96, 184),
    ((2, 3, 3, 5), 128, 248),
]


@pytest.mark.parametrize(
    ("convs", "field_px"),
    [(convs, field_px) for convs, field_px, _ in DECONVNETS]
    + [((4, 4, 4, 4), 128), ((2, 6, 8), 96), ((2, 3, 3, 1), 64), ((2, 2, 6), 64)]
    + [((3, 3, 3), 46), ((2, 2, 2, 1), 52), ((1,), 3), ((2, 3), 18)],
)
def test_formula_gives_the_published_fields(convs: tuple[int, ...], field_px: int) -> None:
    """The stacks that we chose have exactly the fields that the paper names."""
    assert encoder_receptive_field(convs) == field_px


def test_formula_counts_dilation() -> None:
    """DeepLab's fastest branch: two stacks, then one convolution of rate 3, is 44 px."""
    assert encoder_receptive_field((2, 3, 1), dilations=(1, 1, 3)) == 44


@pytest.mark.parametrize(("convs", "field_px", "_extent"), DECONVNETS)
def test_encoder_gradient_agrees(convs: tuple[int, ...], field_px: int, _extent: int) -> None:
    """The gradient of a deep feature covers as many pixels as the formula says."""
    network = build_network("edd_muscle.deconvnet", convs=convs, widths=(2,) * len(convs))
    measured = effective_extent(
        network, 2 * field_px + 32, generator=_generator(), forward=_deepest, phases=1
    )
    assert measured == field_px


@settings(max_examples=8, deadline=None)
@given(
    stacks=st.lists(st.tuples(st.integers(1, 3), st.integers(1, 2)), min_size=1, max_size=3),
    seed=st.integers(0, 1000),
)
def test_any_encoder_gradient_agrees(stacks: list[tuple[int, int]], seed: int) -> None:
    """Formula and gradient agree for any stacks and dilations."""
    convs, dilations = zip(*stacks, strict=True)
    network = build_network(
        "edd_muscle.deconvnet", convs=convs, dilations=dilations, widths=(6,) * len(convs)
    )
    field_px = encoder_receptive_field(convs, dilations)
    measured = effective_extent(
        network,
        8 * ((2 * field_px + 32) // 8),
        generator=torch.Generator().manual_seed(seed),
        forward=_deepest,
        phases=1,
    )
    assert measured == field_px


@pytest.mark.parametrize(
    ("name", "overrides", "field_px"),
    [
        ("edd_muscle.unet", {"widths": (2, 2, 2)}, 46),
        ("edd_muscle.fcn", {"widths": (2, 2, 2, 2)}, 52),
    ],
)
def test_baseline_encoders(name: str, overrides: dict[str, object], field_px: int) -> None:
    """U-Net and FCN have the fields of Table 2."""
    network = build_network(name, **overrides)
    measured = effective_extent(
        network, 128, generator=_generator(), forward=_deepest, phases=1, draws=32
    )
    assert measured == field_px


@pytest.mark.parametrize("output_stride", [4, 2])
def test_deeplab_field_does_not_depend_on_the_stride(output_stride: int) -> None:
    """DeepLab's coarse scores see 44 px, also when the second pooling keeps the size."""
    network = build_network(
        "edd_muscle.deeplab", widths=(2, 2, 2), output_stride=output_stride, rates=(1, 2, 3)
    )
    measured = effective_extent(
        network,
        128,
        generator=_generator(),
        forward=lambda module, image: module.coarse_scores(image),
        phases=1,
    )
    assert measured == 44


@pytest.mark.parametrize(("convs", "_field", "extent_px"), DECONVNETS)
def test_full_extent(convs: tuple[int, ...], _field: int, extent_px: int) -> None:
    """One output pixel depends on about twice the encoder's field: 124 px for 64 px."""
    network = build_network("edd_muscle.deconvnet", convs=convs, widths=(2,) * len(convs))
    size_px = 8 * (extent_px // 8) + 32
    measured = effective_extent(network, size_px, generator=_generator(), draws=2)
    assert measured == extent_px == _extent_by_intervals(convs)


def test_refinement_widens_the_extent() -> None:
    """The final head's three convolutions reach over a pooling window: 132 px, branches 124."""
    network = build_network(
        "edd_muscle.edd", convs=(2, 4, 5), widths=(2, 2, 2), branches=1, refine_widths=(2, 2)
    )
    extents_px = [
        effective_extent(
            network,
            160,
            generator=_generator(),
            draws=2,
            forward=lambda module, image, head=head: module(image).by_name()[head],
        )
        for head in ("branch_1", "edd")
    ]
    assert extents_px == [124, 132]
    assert _extent_by_intervals((2, 4, 5), refinement=3) == 132


def test_extent_of_a_constant_is_nothing() -> None:
    """A network that ignores its image has no extent."""
    extent_px = effective_extent(
        nn.Identity(), 16, generator=_generator(), forward=lambda _, image: image * 0
    )
    assert extent_px == 0


def test_network_is_left_as_it_was() -> None:
    """The measurement works on a copy: weights and mode of the network do not change."""
    network = build_network("edd_muscle.deconvnet", widths=(2, 2, 2))
    before = {key: value.clone() for key, value in network.state_dict().items()}
    effective_extent(network, 32, generator=_generator(), draws=1)
    assert network.training
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
