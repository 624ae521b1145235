"""Receptive fields: by formula for an encoder, by gradients for any network."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn


def encoder_receptive_field(convs: Sequence[int], dilations: Sequence[int] | None = None) -> int:
    """Side of the square of input pixels that the deepest encoder layer sees, in px.

    This is the paper's convention: with n_s 3x3 convolutions of dilation d_s in stack s of S,
    and a 2x2 pooling between stacks, it is 2**(S - 1) + sum_s 2**s n_s d_s.

    Parameters
    ----------
    convs
        Convolutions per stack.
    dilations
        Dilation per stack; None: 1.

    Examples
    --------
    >>> encoder_receptive_field((2, 4, 5))
    64
    """
    steps = dilations or [1] * len(convs)
    field: int = 2 ** (len(convs) - 1)
    for stack, (count, step) in enumerate(zip(convs, steps, strict=True), start=1):
        field += 2**stack * count * step
    return field


def effective_extent(
    network: nn.Module,
    size_px: int,
    *,
    generator: torch.Generator,
    in_channels: int = 1,
    phases: int = 8,
    draws: int = 8,
    forward: Callable[[nn.Module, Tensor], Tensor] | None = None,
) -> int:
    """Side of the square of input pixels that one output pixel can depend on, measured in px.

    The full convention: through encoder *and* decoder, by the gradient of single output pixels.
    A copy of the network gets positive weights, so that no path cancels and no ReLU is closed;
    poolings still choose among paths, hence the union over several random draws. The extent
    depends on where the output pixel lies in its pooling window; the largest is returned.

    Parameters
    ----------
    network
        Any network whose convolutions are followed by ReLU, whatever its weights.
    size_px
        Side of the square test image; take it larger than the expected extent.
    generator
        Source of weights and images.
    in_channels
        Channels of the image.
    phases
        Output pixels on the diagonal from the centre on that are measured; the product of the
        poolings' strides covers all phases.
    draws
        Random weights and images whose gradients are united.
    forward
        What of the network is measured, as ``forward(network, image)`` that returns a map
        (B, C, Y, X); None: its output.
    """
    probe = copy.deepcopy(network).to(device="cpu", dtype=torch.float64).eval()
    run = forward or (lambda module, image: module(image))
    reached = torch.zeros(phases, size_px, dtype=torch.bool)
    for _ in range(draws):
        _draw_positive_weights(probe, generator)
        # One copy of the image per phase: in evaluation mode they do not see each other.
        image = torch.rand(
            1, in_channels, size_px, size_px, dtype=torch.float64, generator=generator
        )
        images = image.repeat(phases, 1, 1, 1).requires_grad_()
        output = run(probe, images)
        centre = output.shape[-1] // 2
        places = centre - phases // 2 + torch.arange(phases)
        single = output[torch.arange(phases), :, places, places].sum()
        (gradient,) = torch.autograd.grad(single, images)
        reached |= gradient.ne(0).any(dim=1).any(dim=1)  # (phases, size_px): columns
    return max(_side(columns) for columns in reached)


def _draw_positive_weights(network: nn.Module, generator: torch.Generator) -> None:
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                # Divided by the fan-in, so that values neither grow nor vanish with depth.
                fan = layer.weight[0].numel()
                layer.weight.uniform_(0.5 / fan, 1.5 / fan, generator=generator)


def _side(reached: Tensor) -> int:
    places = reached.nonzero()
    return int(places.max() - places.min()) + 1 if len(places) else 0
