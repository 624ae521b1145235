"""Generalised Dice + cross-entropy, forwards and backwards: the closed form against MONAI.

Run with ``OMP_NUM_THREADS=1 python benchmarks/losses.py [rounds]``. Values and gradients of both
sides are compared in the same run, before the timing.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable

import torch
from _measure import Comparison, compare
from torch import Tensor
from torch.nn import functional

from strokerepro.losses import GeneralizedDiceCE

try:
    import monai
    from monai.losses import GeneralizedDiceLoss
    from monai.networks import one_hot
except ImportError as error:
    raise SystemExit(f"{error}; fix: pip install 'strokerepro[bench]'") from error

TOLERANCE = 1e-6
Loss = Callable[[Tensor], Tensor]


def draw(batch: int, side: int) -> tuple[Tensor, Tensor]:
    """Logits (B, 2, Y, X) as a network leaves them, and masks with 12 % lesion."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(batch, 2, side, side, generator=generator)
    labels = (torch.rand(batch, side, side, generator=generator) < 0.12).to(torch.uint8)
    return logits.to(memory_format=torch.channels_last).requires_grad_(), labels


def peers(labels: Tensor) -> dict[str, Loss]:
    """MONAI's loss from the sampler's masks, and from labels that were prepared beforehand."""
    options = {"softmax": True, "batch": True, "w_type": "square", "smooth_nr": 0, "smooth_dr": 0}
    from_masks = GeneralizedDiceLoss(to_onehot_y=True, **options)
    from_one_hot = GeneralizedDiceLoss(**options)
    long, ready = labels.long(), one_hot(labels[:, None], 2)

    def masks(logits: Tensor) -> Tensor:
        return from_masks(logits, labels[:, None]) + functional.cross_entropy(logits, labels.long())

    def prepared(logits: Tensor) -> Tensor:
        return from_one_hot(logits, ready) + functional.cross_entropy(logits, long)

    return {"GeneralizedDiceLoss + CE": masks, "the same, labels prepared": prepared}


def compare_with_monai(batch: int, side: int, rounds: int) -> list[Comparison]:
    """Time value and gradient of one batch."""
    logits, labels = draw(batch, side)
    loss = GeneralizedDiceCE()

    def both(function: Loss) -> tuple[Tensor, Tensor]:
        value = function(logits)
        return value, torch.autograd.grad(value, logits)[0]

    def ours() -> tuple[Tensor, Tensor]:
        return both(lambda z: loss(z, labels))

    results = []
    for name, peer in peers(labels).items():
        require_close(ours(), both(peer))
        results.append(
            compare(
                f"GDL + CE, {batch}x2x{side}x{side}, fwd + bwd",
                ours,
                lambda peer=peer: both(peer),
                peer_name=name,
                rounds=rounds,
            )
        )
    return results


def require_close(mine: tuple[Tensor, Tensor], theirs: tuple[Tensor, Tensor]) -> None:
    """Stop the benchmark unless value and gradient agree, relative to the largest."""
    for one, other in zip(mine, theirs, strict=True):
        if (one - other).abs().max() > TOLERANCE * other.abs().max():
            raise SystemExit("the two sides differ: a ratio would be meaningless")


def main(rounds: int) -> None:
    """Print one line a comparison."""
    warnings.filterwarnings("ignore", module="monai")
    print(f"torch {torch.__version__}, MONAI {monai.__version__}, one thread, {rounds} rounds ABBA")
    for batch in (64, 256):
        for result in compare_with_monai(batch, 64, rounds):
            print(result)


if __name__ == "__main__":
    main(rounds=int(sys.argv[1]) if len(sys.argv) > 1 else 15)
