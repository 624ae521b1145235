"""Losses: hand-computed values, agreement with the definition, extreme inputs."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from strokerepro.errors import InputError
from strokerepro.losses import EnsembleCrossEntropy
from strokerepro.networks.edd_muscle import EDDOutput

LABELS = torch.tensor([[[1, 1], [0, 0]]], dtype=torch.uint8)


def _logits(probability: list[list[float]]) -> torch.Tensor:
    """Logits (1, 2, 2, 2) with these lesion probabilities and an arbitrary common offset."""
    lesion = torch.tensor(probability, dtype=torch.float64)
    return torch.stack([(1 - lesion).log() + 5.0, lesion.log() + 5.0])[None]


# Four heads on the 2 x 2 image; of each the mean of -log p(true class) by hand.
REFINED = _logits([[0.75, 0.5], [0.25, 0.875]])
REFINED_LOSS = -(math.log(0.75) + math.log(0.5) + math.log(0.75) + math.log(0.125)) / 4
ENSEMBLE = _logits([[0.5, 0.5], [0.5, 0.5]])
ENSEMBLE_LOSS = math.log(2.0)
BRANCH_1 = _logits([[0.9, 0.9], [0.1, 0.1]])
BRANCH_1_LOSS = -math.log(0.9)
BRANCH_2 = _logits([[0.2, 0.2], [0.2, 0.2]])
BRANCH_2_LOSS = -(math.log(0.2) + math.log(0.8)) / 2
OUTPUT = EDDOutput((BRANCH_1, BRANCH_2), ENSEMBLE, REFINED)


def test_equation_3_by_hand() -> None:
    """With all weights 1 the loss is the sum of the four hand-computed terms."""
    expected = REFINED_LOSS + ENSEMBLE_LOSS + BRANCH_1_LOSS + BRANCH_2_LOSS
    assert EnsembleCrossEntropy()(OUTPUT, LABELS).item() == pytest.approx(expected, rel=1e-12)


def test_weights_in_the_order_of_equation_3() -> None:
    """lambda_1 weighs the refined head, lambda_2 the ensemble, then come the branches."""
    loss = EnsembleCrossEntropy(weights=(1.0, 10.0, 100.0, 1000.0))
    expected = REFINED_LOSS + 10 * ENSEMBLE_LOSS + 100 * BRANCH_1_LOSS + 1000 * BRANCH_2_LOSS
    assert loss(OUTPUT, LABELS).item() == pytest.approx(expected, rel=1e-12)


def test_terms_are_unweighted() -> None:
    """The terms for the training curves are the cross-entropies themselves."""
    terms = EnsembleCrossEntropy(weights=(2.0, 2.0, 2.0, 2.0)).terms(OUTPUT, LABELS)
    expected = [REFINED_LOSS, ENSEMBLE_LOSS, BRANCH_1_LOSS, BRANCH_2_LOSS]
    assert terms.tolist() == pytest.approx(expected, rel=1e-12)


def test_one_output_is_one_term() -> None:
    """A single logit map, alone or in a list, gives plain cross-entropy."""
    loss = EnsembleCrossEntropy()
    assert loss(REFINED, LABELS).item() == pytest.approx(REFINED_LOSS, rel=1e-12)
    assert loss([REFINED], LABELS).item() == pytest.approx(REFINED_LOSS, rel=1e-12)


def test_candidates_without_pixels() -> None:
    """Logits (B, 2) of the candidate classifier are scored by the same loss."""
    logits = torch.tensor([[0.0, math.log(3.0)], [0.0, math.log(3.0)]], dtype=torch.float64)
    expected = -(math.log(0.75) + math.log(0.25)) / 2
    loss = EnsembleCrossEntropy()(logits, torch.tensor([1, 0]))
    assert loss.item() == pytest.approx(expected, rel=1e-12)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31 - 1), scale=st.floats(0.1, 30.0), channels_last=st.booleans())
def test_closed_form_is_softmax_cross_entropy(seed: int, scale: float, channels_last: bool) -> None:
    """Value and gradient equal those of the general softmax cross-entropy."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(3, 2, 4, 6, generator=generator, dtype=torch.float64) * scale
    layout = torch.channels_last if channels_last else torch.contiguous_format
    logits = logits.to(memory_format=layout).requires_grad_()
    labels = (torch.rand(3, 4, 6, generator=generator) < 0.3).to(torch.uint8)
    ours = EnsembleCrossEntropy()(logits, labels)
    general = functional.cross_entropy(logits, labels.long())
    assert torch.allclose(ours, general, rtol=1e-10)
    gradients = [torch.autograd.grad(value, logits)[0] for value in (ours, general)]
    assert torch.allclose(*gradients, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_extreme_logits_stay_finite(dtype: torch.dtype) -> None:
    """Logits of +-10,000 give the margin itself where wrong, 0 where right, finite gradients."""
    logits = torch.zeros(1, 2, 2, 2, dtype=dtype)
    logits[:, 1] = torch.tensor([[1e4, -1e4], [1e4, -1e4]])
    logits.requires_grad_()
    loss = EnsembleCrossEntropy()(logits, LABELS)
    loss.backward()
    assert loss.item() == pytest.approx(1e4 / 2, rel=1e-2)
    assert logits.grad.isfinite().all()


def test_half_precision_is_computed_in_float32() -> None:
    """The loss of bf16 logits is that of the same numbers in float32."""
    logits = torch.randn(2, 2, 8, 8).to(torch.bfloat16)
    labels = torch.zeros(2, 8, 8, dtype=torch.uint8)
    loss = EnsembleCrossEntropy()
    assert loss(logits, labels).dtype == torch.float32
    assert torch.equal(loss(logits, labels), loss(logits.float(), labels))


def test_any_mask_value_but_zero_is_lesion() -> None:
    """A mask of 0 and 255 is read as a mask of 0 and 1."""
    loss = EnsembleCrossEntropy()
    assert torch.equal(loss(REFINED, LABELS), loss(REFINED, LABELS * 255))
    assert torch.equal(loss(REFINED, LABELS), loss(REFINED, LABELS.bool()))


def test_gradient_by_finite_differences() -> None:
    """The gradient through all heads and weights agrees with finite differences."""
    heads = [torch.randn(2, 2, 3, 3, dtype=torch.float64, requires_grad=True) for _ in range(4)]
    labels = torch.rand(2, 3, 3) < 0.5
    loss = EnsembleCrossEntropy(weights=(1.0, 0.5, 2.0, 0.1))
    assert torch.autograd.gradcheck(lambda *maps: loss(maps, labels), heads)


@pytest.mark.parametrize(
    ("logits_shape", "labels_shape"),
    [
        ((1, 3, 4, 4), (1, 4, 4)),
        ((1, 2, 4, 4), (1, 4, 6)),
        ((1, 2, 4, 4), (1, 1, 4, 4)),
        ((2,), (2,)),
    ],
)
def test_shapes_that_do_not_fit_are_refused(
    logits_shape: tuple[int, ...], labels_shape: tuple[int, ...]
) -> None:
    """Three classes, another size, or a channel axis in the labels is one clear line."""
    with pytest.raises(InputError, match="logits of shape"):
        EnsembleCrossEntropy()(torch.zeros(logits_shape), torch.zeros(labels_shape))


def test_wrong_number_of_weights_is_refused() -> None:
    """Three weights for four heads name both numbers."""
    with pytest.raises(InputError, match="3 weights for 4 heads"):
        EnsembleCrossEntropy(weights=(1, 1, 1))(OUTPUT, LABELS)
