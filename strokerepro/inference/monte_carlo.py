"""Mean over several passes with dropout, of a network that splits off what precedes the noise."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from strokerepro.errors import UsageError
from strokerepro.inference.probability import lesion_probability


class SplitPass(Protocol):
    """A network whose pass is `suffix` of `prefix`, with all noise in the suffix."""

    def prefix(self, image: Tensor) -> Any:
        """Compute from (B, C, Y, X) what no noise changes."""

    def suffix(
        self,
        state: Any,
        stochastic: bool = False,
        generator: torch.Generator | None = None,
        rate: float | None = None,
    ) -> Tensor:
        """Continue to logits (B, 2, Y, X), with noise if `stochastic`."""


def monte_carlo(
    network: SplitPass,
    state: Any,
    passes: int = 3,
    *,
    generator: torch.Generator | None = None,
    rate: float | None = None,
) -> Tensor:
    """Mean lesion probability over passes with prediction dropout (Sec. 3.3, "Testing").

    The part of the network without noise has run once for all passes; the result is that of so
    many whole passes with the same noise.

    Parameters
    ----------
    network
        In evaluation mode, so that nothing but the prediction dropout is random.
    state
        What its `prefix` returned for (B, C, Y, X).
    passes
        Number of passes; the paper has 3.
    generator
        Source of the noise, on the device of the network; None: PyTorch's global one.
    rate
        Rate of the dropout; None: the network's own.

    Returns
    -------
    Tensor
        (B, Y, X) float32.

    Raises
    ------
    UsageError
        Less than one pass.

    References
    ----------
    Clerigues et al. 2019, doi:10.1016/j.compbiomed.2019.103487; Gal, Ghahramani 2016,
    arXiv:1506.02142.
    """
    if passes < 1:
        raise UsageError(f"{passes} passes", "at least one", "use 3 as in the paper")
    total = lesion_probability(network.suffix(state, True, generator, rate))
    for _ in range(passes - 1):
        total += lesion_probability(network.suffix(state, True, generator, rate))
    return total / passes
