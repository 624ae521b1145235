"""Residual encoder-decoder of Clerigues et al. 2019 (doi:10.1016/j.compbiomed.2019.103487).

The paper gives five resolution steps, 8 base filters that double at each step, two convolutions
a block in the encoder and one in the decoder, long and short residual connections, and 75 % of
the parameters in the encoder (Sec. 3.2, Fig. 2). What it leaves open (pre-activation order,
down- and up-sampling, where dropout sits) follows the authors' released configuration, which
agrees with all of these; every such choice is a switch.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from strokerepro.errors import UsageError
from strokerepro.networks.blocks import (
    initialise_torch_default,
    require_choice,
    require_multiple,
)
from strokerepro.networks.core_resnet_blocks import (
    Activation,
    Down,
    Drop,
    Layer,
    ResidualBlock,
    Up,
    make_down,
    make_up,
)
from strokerepro.networks.prediction_dropout import DropoutKind, prediction_dropout

CLASSES = 2  # 0 background, 1 lesion core
FIRST_DROPOUT_LEVEL = 3  # of the training dropout, counted from 1 at full resolution

LongSkip = Literal["sum", "concat"]


class Descent(NamedTuple):
    """A pass through the encoder, or its first part.

    Attributes
    ----------
    skips
        Output of each residual block so far but the deepest, (B, C, Y, X) each.
    features
        Input of the next block; after the last one its output.
    """

    skips: tuple[Tensor, ...]
    features: Tensor


class CoreResNet(nn.Module):
    """Asymmetric residual encoder-decoder with dropout that can stay on at prediction.

    A pass is `suffix` of `prefix`. What precedes the first prediction dropout does not depend on
    its noise, so that several noisy passes share one prefix.

    Parameters
    ----------
    in_channels
        10: CT and four perfusion maps with their mirrored copies; 5 without the copies.
    base_filters
        Channels at full resolution; they double at each level.
    levels
        Resolution steps; sides of the patches are multiples of 2 to the power of levels - 1.
    act
        Activation before each convolution.
    skip
        Whether encoder outputs are added to the decoder's maps or set beside them.
    down
        ``"dual"``: maximum pooling beside a strided convolution; ``"strided"``: the latter alone.
    up
        Transposed convolution, or bilinear interpolation after a 1x1 convolution.
    residual
        Short residual connections around the convolutions of each block.
    decoder_convs
        Convolutions a decoder block; 2 makes the decoder as deep as the encoder.
    dropout_train
        Rate of the channel dropout between the convolutions of the encoder's blocks from level
        3 on, in training only.
    uf_levels
        Number of deepest levels whose blocks have prediction dropout at their input, in encoder
        and decoder ("uncertainty filtering"); 3 of 5: encoder 3, 4, 5 and decoder 4, 3.
    uf_kind, uf_rate
        Kind and rate of the prediction dropout, see `prediction_dropout`.
    bn_momentum
        Weight of the newest batch in the running statistics.
    generator
        Source of the initial weights; None: PyTorch's global one.

    Raises
    ------
    UsageError
        An impossible value.
    """

    def __init__(
        self,
        *,
        in_channels: int = 10,
        base_filters: int = 8,
        levels: int = 5,
        act: Activation = "prelu",
        skip: LongSkip = "sum",
        down: Down = "dual",
        up: Up = "transposed_3x3",
        residual: bool = True,
        decoder_convs: int = 1,
        dropout_train: float = 0.2,
        uf_levels: int = 3,
        uf_kind: DropoutKind = "element",
        uf_rate: float = 0.1,
        bn_momentum: float = 0.01,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        require_choice("activation", act, Activation)
        require_choice("long skip", skip, LongSkip)
        require_choice("down-sampling", down, Down)
        require_choice("up-sampling", up, Up)
        require_choice("prediction dropout", uf_kind, DropoutKind)
        _require_counts(in_channels, base_filters, decoder_convs, levels, uf_levels)
        _require_rates(dropout_train=dropout_train, uf_rate=uf_rate)
        layer = Layer(act, bn_momentum)
        widths = [base_filters * 2**level for level in range(levels)]
        self.skip: LongSkip = skip
        self.uf_kind: DropoutKind = uf_kind
        self.uf_rate = uf_rate
        self.first_noisy = levels - uf_levels  # counted from 0
        self.stem = nn.Conv2d(in_channels, base_filters, 3, padding=1)
        self.encoder = nn.ModuleList(
            ResidualBlock(
                layer,
                width,
                width,
                2,
                residual=residual,
                dropout=dropout_train if level >= FIRST_DROPOUT_LEVEL else 0.0,
            )
            for level, width in enumerate(widths, start=1)
        )
        self.downs = nn.ModuleList(make_down(down, layer, width) for width in widths[:-1])
        # In the order of use: deepest first.
        above = widths[-2::-1]
        joined = 1 if skip == "sum" else 2
        self.ups = nn.ModuleList(make_up(up, width) for width in above)
        self.decoder = nn.ModuleList(
            ResidualBlock(layer, joined * width, width, decoder_convs, residual=residual)
            for width in above
        )
        self.head = nn.Conv2d(base_filters, CLASSES, 3, padding=1)
        initialise_torch_default(self, generator)

    def forward(self, image: Tensor) -> Tensor:
        """Segment, without prediction dropout.

        Parameters
        ----------
        image
            (B, C, Y, X), sides multiples of 16 with five levels.

        Returns
        -------
        Tensor
            Logits (B, 2, Y, X).

        Raises
        ------
        InputError
            Sides that do not suit the levels.
        """
        return self.suffix(self.prefix(image))

    def prefix(self, image: Tensor) -> Descent:
        """Compute what precedes the first prediction dropout, once for all passes.

        Parameters
        ----------
        image
            (B, C, Y, X), see `forward`.
        """
        return self._descend(self._start(image), self.first_noisy, None)

    def suffix(
        self,
        state: Descent,
        stochastic: bool = False,
        generator: torch.Generator | None = None,
        rate: float | None = None,
    ) -> Tensor:
        """Continue a pass from its prefix.

        Parameters
        ----------
        state
            What `prefix` returned; it is not changed.
        stochastic
            Apply prediction dropout, in training as well as in evaluation mode.
        generator
            Source of its noise, on the device of the network; None: PyTorch's global one.
        rate
            Rate of the dropout; None: the network's own.

        Returns
        -------
        Tensor
            Logits (B, 2, Y, X).
        """
        rate = self.uf_rate if rate is None else rate
        drop: Drop | None = None
        if stochastic and rate > 0:
            drop = partial(prediction_dropout, kind=self.uf_kind, rate=rate, generator=generator)
        skips, x = self._descend(state, len(self.encoder), drop)
        for level, up, block in zip(
            reversed(range(len(skips))), self.ups, self.decoder, strict=True
        ):
            x = up(x)
            x = x + skips[level] if self.skip == "sum" else torch.cat([x, skips[level]], dim=1)
            x = block(x, drop if level >= self.first_noisy else None)
        logits: Tensor = self.head(x)
        return logits

    def encode(self, image: Tensor) -> tuple[Tensor, ...]:
        """Outputs of the encoder's blocks, finest first; the last one is the latent space."""
        skips, latent = self._descend(self._start(image), len(self.encoder), None)
        return (*skips, latent)

    def parameter_counts(self) -> dict[str, int]:
        """Parameters of the two halves: ``{"encoder": ..., "decoder": ...}``."""
        halves = {
            "encoder": (self.stem, self.encoder, self.downs),
            "decoder": (self.ups, self.decoder, self.head),
        }
        return {
            name: sum(weight.numel() for part in parts for weight in part.parameters())
            for name, parts in halves.items()
        }

    def _start(self, image: Tensor) -> Descent:
        require_multiple(image, 2 ** len(self.downs))
        return Descent((), self.stem(image))

    def _descend(self, state: Descent, stop: int, drop: Drop | None) -> Descent:
        """Run the encoder's blocks up to, but not including, number `stop`."""
        skips, x = list(state.skips), state.features
        for level in range(len(skips), stop):
            x = self.encoder[level](x, drop)
            if level < len(self.downs):
                skips.append(x)
                x = self.downs[level](x)
        return Descent(tuple(skips), x)


def _require_counts(
    in_channels: int, base_filters: int, decoder_convs: int, levels: int, uf_levels: int
) -> None:
    if min(in_channels, base_filters, decoder_convs, levels, uf_levels) < 1 or uf_levels > levels:
        raise UsageError(
            f"in_channels {in_channels}, base_filters {base_filters}, "
            f"decoder_convs {decoder_convs}, levels {levels}, uf_levels {uf_levels}",
            "counts of at least 1 and no more uf_levels than levels",
            "leave out what you need not change",
        )


def _require_rates(**rates: float) -> None:
    for name, rate in rates.items():
        if not 0 <= rate < 1:
            raise UsageError(f"{name} {rate!r}", "a probability in [0, 1)", "use 0 for none")


NETWORKS: dict[str, Callable[..., nn.Module]] = {"core_resnet": CoreResNet}
