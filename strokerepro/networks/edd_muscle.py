"""DeconvNet and EDD Net of Chen et al. 2017 (doi:10.1016/j.nicl.2017.06.016).

Layer counts and widths, which the paper does not print, are those of the authors' released
configuration; it gives the receptive field (64 px) that the paper states.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from strokerepro.errors import UsageError
from strokerepro.networks.batch_norm import BatchNorm
from strokerepro.networks.blocks import (
    Deconv2d,
    Encoder,
    Unpooling,
    conv_stack,
    initialise_caffe_xavier,
    require_choice,
    stack_widths,
    unpool,
)

CLASSES = 2  # 0 background, 1 lesion

Ensemble = Literal["sum_relu_1x1", "mean_prob", "concat_1x1"]
RefineInput = Literal["logits", "prob"]


class DeconvNet(nn.Module):
    """Encoder and mirrored decoder that unpools to the recorded maxima (Sec. 3.1, Fig. 4).

    Each stack of the decoder mirrors one of the encoder; its last layer changes the width to
    that of the stack above, and the last layer of all gives the logits, without normalisation
    and ReLU. The defaults are one branch of the EDD Net, with an encoder receptive field of
    64 px; ``convs=(2, 3, 3)`` (44 px) is the DeconvNet of Table 2.

    Parameters
    ----------
    convs
        Convolutions per stack.
    widths
        Channels per stack; None: 32, 64, 128, ...
    width_scale
        Factor on the widths.
    dilations
        Dilation per stack (encoder and decoder); None: 1. Changes the receptive field at
        constant capacity.
    unpool
        How the decoder doubles a map, see `strokerepro.networks.blocks.unpool`.
    in_channels
        Image channels.
    bn_affine
        Learn a scale and an offset after normalising (the released nets do not).
    bn_momentum
        Weight of the newest batch in the running statistics.
    generator
        Source of the initial weights; None: PyTorch's global one.

    Raises
    ------
    UsageError
        An impossible combination of values.
    """

    def __init__(
        self,
        *,
        convs: Sequence[int] = (2, 4, 5),
        widths: Sequence[int] | None = None,
        width_scale: float = 1.0,
        dilations: Sequence[int] | None = None,
        unpool: Unpooling = "indices",
        in_channels: int = 1,
        bn_affine: bool = False,
        bn_momentum: float = 0.001,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        require_choice("unpooling", unpool, Unpooling)
        widths = stack_widths(convs, widths, width_scale)
        dilations = _stack_dilations(convs, dilations)
        norm = BatchNorm(bn_affine, bn_momentum)
        self.unpool_mode: Unpooling = unpool
        self.encoder = Encoder(in_channels, convs, widths, norm, dilations)
        above = (CLASSES, *widths[:-1])
        # In the order of use: deepest stack first.
        self.decoder = nn.ModuleList(
            _mirrored_stack(*stack, norm, is_last=number == len(convs) - 1)
            for number, stack in enumerate(
                reversed(list(zip(convs, widths, above, dilations, strict=True)))
            )
        )
        initialise_caffe_xavier(self, generator)

    def forward(self, image: Tensor) -> Tensor:
        """Segment.

        Parameters
        ----------
        image
            (B, C, Y, X), sides multiples of 4 (of 8 with four stacks).

        Returns
        -------
        Tensor
            Logits (B, 2, Y, X).
        """
        features, pooling_indices = self.encoder(image)
        x: Tensor = self.decoder[0](features[-1])
        for stack, indices in zip(self.decoder[1:], reversed(pooling_indices), strict=True):
            x = stack(unpool(x, indices, self.unpool_mode))
        return x


def _stack_dilations(convs: Sequence[int], dilations: Sequence[int] | None) -> tuple[int, ...]:
    chosen = (1,) * len(convs) if dilations is None else tuple(dilations)
    if len(chosen) != len(convs) or min(chosen) < 1:
        raise UsageError(
            f"dilations {chosen} for {len(convs)} stacks",
            "one dilation of at least 1 per stack",
            f"use {(1,) * len(convs)}",
        )
    return chosen


def _mirrored_stack(
    count: int, width: int, width_above: int, dilation: int, norm: BatchNorm, *, is_last: bool
) -> nn.Sequential:
    channels = [width] * count + [width_above]
    layers = conv_stack(channels, norm, dilation=dilation, layer=Deconv2d)
    if is_last:
        layers[-1] = Deconv2d(width, width_above, 3, padding=dilation, dilation=dilation)
    return nn.Sequential(*layers)


class EDDOutput(NamedTuple):
    """Logits of all heads of one EDD Net, the columns of Table 4; each (B, 2, Y, X)."""

    branches: tuple[Tensor, ...]
    ensemble: Tensor
    refined: Tensor

    def logit_maps(self) -> tuple[Tensor, ...]:
        """All heads in the order of the terms of Eq. 3: refined, ensemble, branches."""
        return (self.refined, self.ensemble, *self.branches)

    def by_name(self) -> dict[str, Tensor]:
        """Heads as the result tables call them: branch_1, branch_2, ..., naive, edd."""
        branches = {f"branch_{n}": logits for n, logits in enumerate(self.branches, start=1)}
        return {**branches, "naive": self.ensemble, "edd": self.refined}


class EDDNet(nn.Module):
    """Ensemble of DeconvNets with a refinement that sees the image again (Eq. 1 and 2, Fig. 3).

    All heads are supervised in one joint training (Eq. 3).

    Parameters
    ----------
    branches
        Number of DeconvNets, 1 to 3; they differ in their initial weights only.
    ensemble
        The paper's undefined operator: ``"sum_relu_1x1"`` (released: sum of the logits, ReLU,
        1x1 convolution), ``"concat_1x1"`` (1x1 convolution of all logits) or ``"mean_prob"``
        (mean of the probabilities, no weights; its logits are log probabilities).
    refine_input
        What is set beside the image: ``"logits"`` (released) or ``"prob"`` (the paper's words).
    refine_widths
        Channels of the refinement's hidden layers; None: twice the first stack's width.
    joint
        Whether the gradients of the later heads reach the branches (Sec. 5.3); if not, each
        branch learns from its own loss alone.
    convs, widths, width_scale, dilations, unpool, in_channels, bn_affine, bn_momentum
        Of each branch, see `DeconvNet`.
    generator
        Source of the initial weights; None: PyTorch's global one.

    Raises
    ------
    UsageError
        An impossible combination of values.
    """

    def __init__(
        self,
        *,
        branches: int = 2,
        ensemble: Ensemble = "sum_relu_1x1",
        refine_input: RefineInput = "logits",
        refine_widths: Sequence[int] | None = None,
        joint: bool = True,
        convs: Sequence[int] = (2, 4, 5),
        widths: Sequence[int] | None = None,
        width_scale: float = 1.0,
        dilations: Sequence[int] | None = None,
        unpool: Unpooling = "indices",
        in_channels: int = 1,
        bn_affine: bool = False,
        bn_momentum: float = 0.001,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if not 1 <= branches <= 3:
            raise UsageError(f"{branches} branches", "1 to 3", "use 2 as in the paper")
        require_choice("ensemble operator", ensemble, Ensemble)
        require_choice("refinement input", refine_input, RefineInput)
        self.ensemble_operator: Ensemble = ensemble
        self.refine_input: RefineInput = refine_input
        self.joint = joint
        self.branches = nn.ModuleList(
            DeconvNet(
                convs=convs,
                widths=widths,
                width_scale=width_scale,
                dilations=dilations,
                unpool=unpool,
                in_channels=in_channels,
                bn_affine=bn_affine,
                bn_momentum=bn_momentum,
                generator=generator,
            )
            for _ in range(branches)
        )
        if refine_widths is None:
            refine_widths = (stack_widths(convs, widths, width_scale)[0],) * 2
        heads = nn.ModuleDict()
        if ensemble != "mean_prob":
            summed = ensemble == "sum_relu_1x1"
            heads["ensemble"] = nn.Conv2d(CLASSES * (1 if summed else branches), CLASSES, 1)
        heads["refine"] = _refinement(
            in_channels + CLASSES, refine_widths, BatchNorm(bn_affine, bn_momentum)
        )
        initialise_caffe_xavier(heads, generator)
        self.heads = heads

    def forward(self, image: Tensor) -> EDDOutput:
        """Segment.

        Parameters
        ----------
        image
            (B, C, Y, X), sides multiples of 4 (of 8 with four stacks).

        Returns
        -------
        EDDOutput
            Logits (B, 2, Y, X) of the branches, their ensemble and its refinement.
        """
        branches = tuple(branch(image) for branch in self.branches)
        combined = branches if self.joint else tuple(logits.detach() for logits in branches)
        ensemble = self._combine(combined)
        beside = ensemble if self.refine_input == "logits" else ensemble.softmax(dim=1)
        refined = self.heads["refine"](torch.cat([image.to(beside.dtype), beside], dim=1))
        return EDDOutput(branches, ensemble, refined)

    def _combine(self, branches: tuple[Tensor, ...]) -> Tensor:
        if self.ensemble_operator == "mean_prob":
            # log of the mean probability, without ever leaving the logarithms
            log_probabilities = torch.stack([functional.log_softmax(z, dim=1) for z in branches])
            return log_probabilities.logsumexp(dim=0) - math.log(len(branches))
        if self.ensemble_operator == "sum_relu_1x1":
            joined = functional.relu(reduce(torch.add, branches))
        else:
            joined = torch.cat(branches, dim=1)
        combined: Tensor = self.heads["ensemble"](joined)
        return combined


def _refinement(in_channels: int, widths: Sequence[int], norm: BatchNorm) -> nn.Sequential:
    channels = [in_channels, *widths]
    return nn.Sequential(
        *conv_stack(channels, norm), nn.Conv2d(channels[-1], CLASSES, 3, padding=1)
    )


NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "edd_muscle.deconvnet": DeconvNet,
    "edd_muscle.edd": EDDNet,
}
