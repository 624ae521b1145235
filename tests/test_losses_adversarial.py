"""Adversarial losses: by hand, against PyTorch's definitions, gradients, extremes."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from strokerepro.errors import UsageError
from strokerepro.losses import AdversarialLoss

REAL = torch.tensor([0.9, 1.3], dtype=torch.float64)
FAKE = torch.tensor([0.2, -0.4, 0.6], dtype=torch.float64)


def _softplus(x: float) -> float:
    return math.log(1 + math.exp(x))


def test_least_squares_by_hand() -> None:
    """Eq. 2: distances of real scores to 1 and of fake ones to 0; Eq. 3: of fake ones to 1."""
    loss = AdversarialLoss()
    discriminator = (0.1**2 + 0.3**2) / 2 + (0.2**2 + 0.4**2 + 0.6**2) / 3
    assert loss.discriminator(REAL, FAKE).item() == pytest.approx(discriminator, rel=1e-12)
    generator = (0.8**2 + 1.4**2 + 0.4**2) / 3
    assert loss.generator(FAKE).item() == pytest.approx(generator, rel=1e-12)


def test_logarithms_by_hand() -> None:
    """-log sigmoid of the scores that should be real, -log(1 - sigmoid) of the others."""
    loss = AdversarialLoss("log")
    discriminator = (_softplus(-0.9) + _softplus(-1.3)) / 2
    discriminator += (_softplus(0.2) + _softplus(-0.4) + _softplus(0.6)) / 3
    assert loss.discriminator(REAL, FAKE).item() == pytest.approx(discriminator, rel=1e-12)
    generator = (_softplus(-0.2) + _softplus(0.4) + _softplus(-0.6)) / 3
    assert loss.generator(FAKE).item() == pytest.approx(generator, rel=1e-12)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**31 - 1),
    kind=st.sampled_from(["lsgan", "log"]),
    shape=st.sampled_from([(1,), (6,), (2, 1, 5, 5)]),
)
def test_they_are_pytorch_s_losses(seed: int, kind: Any, shape: tuple[int, ...]) -> None:
    """Mean squared error, or binary cross-entropy, to ones and zeros; for images or patches."""
    generator = torch.Generator().manual_seed(seed)
    real, fake = (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in "rf")
    distance = functional.mse_loss
    if kind == "log":
        distance = functional.binary_cross_entropy_with_logits
    loss = AdversarialLoss(kind)
    ones, zeros = torch.ones_like(real), torch.zeros_like(real)
    torch.testing.assert_close(
        loss.discriminator(real, fake), distance(real, ones) + distance(fake, zeros)
    )
    torch.testing.assert_close(loss.generator(fake), distance(fake, ones))


@pytest.mark.parametrize(("kind", "undecided"), [("lsgan", 0.5), ("log", 2 * math.log(2))])
def test_an_undecided_discriminator(kind: Any, undecided: float) -> None:
    """The best score for all images alike costs 1/2, or 2 log 2: what no gain looks like."""
    best = torch.full((4,), 0.5 if kind == "lsgan" else 0.0)
    loss = AdversarialLoss(kind)
    assert loss.discriminator(best, best).item() == pytest.approx(undecided, rel=1e-6)
    for other in (best - 0.1, best + 0.1):
        assert loss.discriminator(other, other) > undecided


@pytest.mark.parametrize("kind", ["lsgan", "log"])
def test_gradients_by_finite_differences(kind: Any) -> None:
    """Of both losses by both kinds of scores."""
    loss = AdversarialLoss(kind)
    real, fake = REAL.clone().requires_grad_(), FAKE.clone().requires_grad_()
    assert torch.autograd.gradcheck(loss.discriminator, (real, fake))
    assert torch.autograd.gradcheck(loss.generator, fake)


@pytest.mark.parametrize("kind", ["lsgan", "log"])
def test_the_two_losses_pull_fake_scores_apart(kind: Any) -> None:
    """Between 0 and 1 the discriminator lowers fake scores and the generator raises them."""
    loss = AdversarialLoss(kind)
    fake = torch.tensor([0.1, 0.5, 0.9], requires_grad=True)
    (down,) = torch.autograd.grad(loss.discriminator(torch.ones(3), fake), fake)
    (up,) = torch.autograd.grad(loss.generator(fake), fake)
    assert (down > 0).all()
    assert (up < 0).all()


def test_far_scores_still_pull_in_least_squares_only() -> None:
    """What LSGAN changes: a score of 6 that should be 1 has a gradient, in a log loss hardly."""
    score = torch.tensor([6.0], requires_grad=True)
    slopes = {
        kind: torch.autograd.grad(AdversarialLoss(kind).generator(score), score)[0].item()  # type: ignore[arg-type]
        for kind in ("lsgan", "log")
    }
    assert slopes["lsgan"] == pytest.approx(10)
    assert slopes["log"] == pytest.approx(-1 / (1 + math.exp(6)), rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", ["lsgan", "log"])
def test_extreme_scores_stay_finite(kind: Any, dtype: torch.dtype) -> None:
    """Scores of +-10,000 in any precision; the loss is in float32."""
    scores = torch.tensor([1e4, -1e4], dtype=dtype, requires_grad=True)
    loss = AdversarialLoss(kind)
    total = loss.discriminator(scores, scores) + loss.generator(scores)
    total.backward()
    assert total.dtype == torch.float32
    assert total.isfinite()
    assert scores.grad is not None
    assert scores.grad.isfinite().all()


def test_a_game_of_two_numbers_ends_where_the_images_agree() -> None:
    """A generator that only shifts a number reaches the real number's place.

    The discriminator is a line over its input. Alternate steps, the first its own, as in the
    paper's Sec. 3.1.
    """
    loss, shift = AdversarialLoss(), nn.Parameter(torch.tensor(-1.0))
    weights = nn.Parameter(torch.zeros(2))
    first = torch.optim.SGD([weights], lr=0.1)
    second = torch.optim.SGD([shift], lr=0.05)
    noise = torch.linspace(-1, 1, 21)

    def scores(x: Tensor) -> Tensor:
        return weights[0] + weights[1] * x

    for _ in range(300):
        first.zero_grad()
        loss.discriminator(scores(1 + noise), scores((shift + noise).detach())).backward()
        first.step()
        second.zero_grad()
        loss.generator(scores(shift + noise)).backward()
        second.step()
    assert shift.item() == pytest.approx(1, abs=1e-3)


def test_an_unknown_kind_lists_the_known_ones() -> None:
    """A typing error is answered with the right names."""
    with pytest.raises(UsageError, match="log, lsgan"):
        AdversarialLoss("wgan")  # type: ignore[arg-type]
