"""Soft Dice: by hand, against a plain definition, empty slices, both heads, extremes."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from strokerepro.errors import InputError, UsageError
from strokerepro.losses import EnsembleCrossEntropy, SoftDice

LABELS = torch.tensor([[[1, 0], [0, 0]]], dtype=torch.uint8)
#: Lesion probabilities of 0.8 on the lesion pixel, and 0.1, 0.2, 0.3 beside it.
LOGIT = torch.tensor([[[[0.8, 0.1], [0.2, 0.3]]]], dtype=torch.float64).logit()


def _two(logits: Tensor) -> Tensor:
    """Two logits with the same softmax as the sigmoid of one, and an arbitrary offset."""
    return torch.cat([torch.full_like(logits, -3.0), logits - 3.0], dim=1)


def _draw(
    seed: int, classes: int = 1, scale: float = 1.0, lesion: float = 0.2, shape: tuple = (3, 6, 5)
) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    size = (shape[0], classes, *shape[1:])
    logits = torch.randn(size, generator=generator, dtype=torch.float64) * scale
    labels = (torch.rand(shape, generator=generator) < lesion).to(torch.uint8)
    return logits.requires_grad_(), labels


def _plain(
    logits: Tensor, labels: Tensor, reduce: str, eps: float, bce: float, dice: float
) -> Tensor:
    """Eq. 4 image by image or over the batch, class by class, from written-out probabilities."""
    if logits.shape[1] == 1:
        predicted, references = logits.sigmoid(), [labels]
        cross_entropy = functional.binary_cross_entropy_with_logits(
            logits[:, 0], labels.to(logits.dtype)
        )
    else:
        predicted, references = logits.softmax(dim=1), [1 - labels, labels]
        cross_entropy = functional.cross_entropy(logits, labels.long())
    groups = [list(range(len(logits)))] if reduce == "batch" else [[i] for i in range(len(logits))]
    terms = []
    for number, reference in enumerate(references):
        for rows in groups:
            p, q = predicted[rows, number], reference[rows].to(logits.dtype)
            terms.append(1 - (2 * (p * q).sum() + eps) / ((p + q).sum() + eps))
    return dice * sum(terms) / len(terms) + bce * cross_entropy


def test_by_hand() -> None:
    """Overlap 0.8, total 1 + 1.4: 1 - (1.6 + 1) / (2.4 + 1)."""
    assert SoftDice()(LOGIT, LABELS).item() == pytest.approx(1 - 2.6 / 3.4, rel=1e-12)
    assert SoftDice(eps=0.5)(LOGIT, LABELS).item() == pytest.approx(1 - 2.1 / 2.9, rel=1e-12)


def test_two_classes_by_hand() -> None:
    """The background's overlap is 0.9 + 0.8 + 0.7, its total 3 + 2.6; both classes count alike."""
    expected = 1 - (2.6 / 3.4 + 5.8 / 6.6) / 2
    assert SoftDice()(_two(LOGIT), LABELS).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("head", [lambda z: z, _two], ids=["sigmoid", "softmax"])
def test_cross_entropy_by_hand(head: Any) -> None:
    """Added with its weight; the same for both heads."""
    entropy = -(math.log(0.8) + math.log(0.9) + math.log(0.8) + math.log(0.7)) / 4
    logits = head(LOGIT)
    dice = SoftDice()(logits, LABELS).item()
    both = SoftDice(bce_weight=0.5, dice_weight=2)(logits, LABELS).item()
    alone = SoftDice(bce_weight=1, dice_weight=0)(logits, LABELS).item()
    assert both == pytest.approx(2 * dice + 0.5 * entropy, rel=1e-12)
    assert alone == pytest.approx(entropy, rel=1e-12)


def test_perfect_and_opposite_predictions() -> None:
    """0 where all is right; where all is wrong 1 - 1 / (N + 1)."""
    right = (LABELS * 200.0 - 100)[:, None].double()
    assert SoftDice()(right, LABELS).item() == pytest.approx(0, abs=1e-12)
    assert SoftDice()(-right, LABELS).item() == pytest.approx(1 - 1 / 5, rel=1e-12)


def _empty_slice(probability: float) -> tuple[Tensor, Tensor]:
    """One slice of 160 x 160 px without lesion, with one probability everywhere."""
    logit = torch.tensor(probability, dtype=torch.float64).logit()
    logits = logit.expand(1, 1, 160, 160).clone().requires_grad_()
    return logits, torch.zeros(1, 160, 160, dtype=torch.uint8)


@pytest.mark.parametrize(("eps", "value"), [(1e-5, "1.0000"), (1.0, "0.9961")])
def test_alone_an_empty_slice_costs_all_whatever_is_predicted(eps: float, value: str) -> None:
    """Even at p = 0.01 everywhere, 256 px in all: eps / (256 + eps) is what is left."""
    loss = SoftDice("sample", eps)(*_empty_slice(0.01))
    assert f"{loss.item():.4f}" == value
    assert loss.item() == pytest.approx(1 - eps / (256 + eps), rel=1e-9)


def test_only_sums_over_the_batch_pull_an_empty_slice_down() -> None:
    """With a slice of 400 lesion px beside it, its pixels' slope is 72 times that of its own.

    Both slopes by p, with eps = 1: alone 1 / 257^2 / 2 (the mean of two slices); in the batch
    (2 * 200 + 1) / (200 + 400 + 256 + 1)^2, the other slice having p = 0.5 on its lesion.
    """
    empty, _ = _empty_slice(0.01)
    beside = torch.full_like(empty, -1e3)
    labels = torch.zeros(2, 160, 160, dtype=torch.uint8)
    labels[0, :20, :20] = 1
    with torch.no_grad():
        beside[0, 0, :20, :20] = 0
    slopes = {}
    for reduce in ("batch", "sample"):
        logits = torch.cat([beside, empty])
        loss = SoftDice(reduce)(logits, labels)  # type: ignore[arg-type]
        slopes[reduce] = torch.autograd.grad(loss, empty)[0][0, 0, 5, 5].item()
    by_logit = 0.01 * 0.99
    assert slopes["sample"] == pytest.approx(by_logit / 257**2 / 2, rel=1e-9)
    assert slopes["batch"] == pytest.approx(by_logit * 401 / 857**2, rel=1e-9)
    assert slopes["batch"] / slopes["sample"] > 72


def test_over_a_batch_the_order_of_pixels_means_nothing() -> None:
    """One sum: the same pixels as one image or as several give the same loss."""
    logits, labels = _draw(0, shape=(4, 6, 6))
    tall = logits.reshape(1, 1, 24, 6), labels.reshape(1, 24, 6)
    assert SoftDice()(logits, labels).item() == pytest.approx(SoftDice()(*tall).item(), rel=1e-12)
    sample = SoftDice("sample")
    each = [sample(logits[i : i + 1], labels[i : i + 1]).item() for i in range(4)]
    assert sample(logits, labels).item() == pytest.approx(sum(each) / 4, rel=1e-12)
    assert sample(*tall).item() == pytest.approx(SoftDice()(*tall).item(), rel=1e-12)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31 - 1),
    classes=st.sampled_from([1, 2]),
    scale=st.floats(0.1, 10.0),
    lesion=st.sampled_from([0.0, 0.02, 0.2, 0.9, 1.0]),
    reduce=st.sampled_from(["batch", "sample"]),
    eps=st.sampled_from([1e-5, 1.0]),
    weights=st.sampled_from([(0.0, 1.0), (1.0, 1.0), (1.0, 0.0), (0.3, 2.5)]),
    channels_last=st.booleans(),
)
def test_value_and_gradient_are_those_of_the_definition(
    seed: int,
    classes: int,
    scale: float,
    lesion: float,
    reduce: Any,
    eps: float,
    weights: tuple[float, float],
    channels_last: bool,
) -> None:
    """For both heads and reductions, with any lesion share, also none and all."""
    logits, labels = _draw(seed, classes, scale, lesion)
    if channels_last:
        logits = logits.detach().to(memory_format=torch.channels_last).requires_grad_()
    ours = SoftDice(reduce, eps, *weights)(logits, labels)
    plain = _plain(logits, labels, reduce, eps, *weights)
    torch.testing.assert_close(ours, plain, rtol=1e-9, atol=1e-9)
    by_ours, by_plain = (torch.autograd.grad(value, logits)[0] for value in (ours, plain))
    torch.testing.assert_close(by_ours, by_plain, rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize("classes", [1, 2])
@pytest.mark.parametrize("reduce", ["batch", "sample"])
@pytest.mark.parametrize("lesion", [0.0, 0.3, 1.0])
def test_gradient_by_finite_differences(classes: int, reduce: Any, lesion: float) -> None:
    """Also with an absent class, and once more for the second derivative."""
    logits, labels = _draw(1, classes, 1.0, lesion, (2, 2, 3))
    loss = SoftDice(reduce, bce_weight=1.3, dice_weight=0.7)
    assert torch.autograd.gradcheck(lambda z: loss(z, labels), logits)
    assert torch.autograd.gradgradcheck(lambda z: loss(z, labels), logits)


@pytest.mark.parametrize("classes", [1, 2])
@pytest.mark.parametrize("lesion", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_extreme_logits_stay_finite(dtype: torch.dtype, lesion: float, classes: int) -> None:
    """Logits of +-10,000, right or wrong, give finite values and gradients."""
    signs, labels = _draw(4, classes, 1.0, lesion)
    for reduce in ("batch", "sample"):
        logits = (1e4 * signs.detach().sign()).to(dtype).requires_grad_()
        loss = SoftDice(reduce, bce_weight=1)(logits, labels)  # type: ignore[arg-type]
        loss.backward()
        assert loss.isfinite()
        assert loss.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
        assert logits.grad is not None
        assert logits.grad.dtype == dtype
        assert logits.grad.isfinite().all()


@pytest.mark.parametrize("classes", [1, 2])
@pytest.mark.parametrize("reduce", ["batch", "sample"])
def test_float32_agrees_to_six_digits_on_a_batch_of_real_size(classes: int, reduce: Any) -> None:
    """Four slices of 160 x 160 px with 2 % lesion: value and gradient to 1e-6."""
    logits, labels = _draw(0, classes, 3.0, 0.02, (4, 160, 160))
    single = logits.detach().float().requires_grad_()
    ours = SoftDice(reduce)(single, labels)
    plain = _plain(logits, labels, reduce, 1, 0, 1)
    assert ours.item() == pytest.approx(plain.item(), rel=1e-6)
    by_ours = torch.autograd.grad(ours, single)[0].double()
    by_plain = torch.autograd.grad(plain, logits)[0]
    assert (by_ours - by_plain).abs().max() < 1e-6 * by_plain.abs().max()


def test_under_autocast_it_is_computed_in_float32() -> None:
    """Logits in bfloat16 give the loss of the same numbers in float32, to the last bit."""
    logits, labels = _draw(2, shape=(4, 32, 32))
    half = logits.detach().bfloat16()
    loss = SoftDice(bce_weight=1)
    with torch.autocast("cpu", torch.bfloat16):
        inside = loss(half, labels)
    assert inside.dtype == torch.float32
    assert torch.equal(inside, loss(half.float(), labels))


def test_without_the_dice_term_it_is_cross_entropy() -> None:
    """Of two classes the same that the other networks use."""
    logits, labels = _draw(5, classes=2)
    ours = SoftDice(bce_weight=1, dice_weight=0)(logits, labels)
    torch.testing.assert_close(ours, EnsembleCrossEntropy()(logits, labels))


def test_any_mask_value_but_zero_is_lesion() -> None:
    """A mask of 0 and 255, or a boolean one, is read as a mask of 0 and 1."""
    logits, labels = _draw(6)
    loss = SoftDice(bce_weight=1)
    assert torch.equal(loss(logits, labels), loss(logits, labels * 255))
    assert torch.equal(loss(logits, labels), loss(logits, labels.bool()))


def test_descent_on_the_logits_finds_the_mask() -> None:
    """A loss to minimise: from 0.5 everywhere, plain descent reaches the mask."""
    _, labels = _draw(7, shape=(2, 8, 8))
    logits = torch.zeros(2, 1, 8, 8, requires_grad=True)
    for _ in range(50):
        (slope,) = torch.autograd.grad(SoftDice()(logits, labels), logits)
        logits = (logits - 50 * slope).detach().requires_grad_()
    assert torch.equal(logits[:, 0] > 0, labels.bool())


def test_an_unknown_reduction_lists_the_known_ones() -> None:
    """A typing error is answered with the right names."""
    with pytest.raises(UsageError, match="batch, sample"):
        SoftDice("image")  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [(0, 0, 1), (-1, 0, 1), (1, -1, 1), (1, 1, -1), (1, 0, 0)])
def test_impossible_numbers_are_refused(options: tuple[float, ...]) -> None:
    """No eps, a negative weight or nothing at all is named in one line."""
    with pytest.raises(UsageError, match="eps"):
        SoftDice("batch", *options)


@pytest.mark.parametrize(
    ("logits_shape", "labels_shape"),
    [
        ((1, 3, 4, 4), (1, 4, 4)),
        ((1, 1, 4, 4), (1, 4, 6)),
        ((1, 1, 4, 4), (1, 1, 4, 4)),
        ((2, 2, 4, 4), (1, 4, 4)),
        ((4,), (4,)),
    ],
)
def test_shapes_that_do_not_fit_are_refused(
    logits_shape: tuple[int, ...], labels_shape: tuple[int, ...]
) -> None:
    """Three classes, another size, or a channel axis in the labels is one clear line."""
    with pytest.raises(InputError, match="logits of shape"):
        SoftDice()(torch.zeros(logits_shape), torch.zeros(labels_shape))
