"""Generalised Dice + cross-entropy and focal loss: by hand, against plain definitions, extremes."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from strokerepro.errors import InputError, UsageError
from strokerepro.losses import EnsembleCrossEntropy, FocalLoss, GeneralizedDiceCE

LABELS = torch.tensor([[[1, 0], [0, 0]]], dtype=torch.uint8)


def _logits(probability: list[list[float]]) -> Tensor:
    """Logits (1, 2, 2, 2) with these lesion probabilities and an arbitrary common offset."""
    lesion = torch.tensor(probability, dtype=torch.float64)
    return torch.stack([(1 - lesion).log() - 3.0, lesion.log() - 3.0])[None]


def _draw(seed: int, scale: float = 1.0, lesion: float = 0.2, shape: tuple = (3, 6, 5)) -> tuple:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(shape[0], 2, *shape[1:], generator=generator, dtype=torch.float64) * scale
    labels = (torch.rand(shape, generator=generator) < lesion).to(torch.uint8)
    return logits.requires_grad_(), labels


def _plain(logits: Tensor, labels: Tensor, power: float, dice: float, ce: float) -> Tensor:
    """Sudre's definition, class by class, with the softmax written out."""
    probability = logits.softmax(dim=1)
    overlap, total, weights = [], [], []
    for number in (0, 1):
        reference = (labels == number).to(logits.dtype)
        predicted = probability[:, number]
        overlap.append((reference * predicted).sum())
        total.append((reference + predicted).sum())
        weights.append(float(reference.sum()) ** -power if reference.sum() else math.inf)
    finite = [weight for weight in weights if math.isfinite(weight)]
    weights = [weight if math.isfinite(weight) else max(finite) for weight in weights]
    above = sum(weight * part for weight, part in zip(weights, overlap, strict=True))
    below = sum(weight * part for weight, part in zip(weights, total, strict=True))
    return dice * (1 - 2 * above / below) + ce * functional.cross_entropy(logits, labels.long())


class TestGeneralizedDiceCE:
    def test_by_hand(self) -> None:
        """One lesion pixel of four with p = 0.8, the others 0.1, 0.2 and 0.3.

        Weights 1 and 1/9; overlap 0.8 + 2.4/9, total (1 + 1.4) + (3 + 2.6)/9.
        """
        dice = 1 - 2 * (0.8 + 2.4 / 9) / (2.4 + 5.6 / 9)
        cross_entropy = -(math.log(0.8) + math.log(0.9) + math.log(0.8) + math.log(0.7)) / 4
        loss = GeneralizedDiceCE()(_logits([[0.8, 0.1], [0.2, 0.3]]), LABELS)
        assert loss.item() == pytest.approx(dice + cross_entropy, rel=1e-12)

    @pytest.mark.parametrize(("power", "weight"), [(2, 1 / 9), (1, 1 / 3), (0, 1)])
    def test_power_of_the_weights_by_hand(self, power: float, weight: float) -> None:
        """The background's weight relative to the lesion's is (1/3)^power."""
        expected = 1 - 2 * (0.8 + 2.4 * weight) / (2.4 + 5.6 * weight)
        loss = GeneralizedDiceCE(power, ce_weight=0)(_logits([[0.8, 0.1], [0.2, 0.3]]), LABELS)
        assert loss.item() == pytest.approx(expected, rel=1e-12)

    def test_perfect_and_opposite_predictions(self) -> None:
        """The Dice term is 0 where all is right and 1 where all is wrong."""
        dice = GeneralizedDiceCE(ce_weight=0)
        right = torch.stack([LABELS * -200.0 + 100, LABELS * 200.0 - 100], dim=1)
        assert dice(right, LABELS).item() == pytest.approx(0, abs=1e-6)
        assert dice(-right, LABELS).item() == pytest.approx(1, abs=1e-6)

    @settings(max_examples=60, deadline=None)
    @given(
        seed=st.integers(0, 2**31 - 1),
        scale=st.floats(0.1, 10.0),
        lesion=st.sampled_from([0.0, 0.02, 0.2, 0.9, 1.0]),
        power=st.sampled_from([0.0, 1.0, 2.0]),
        weights=st.sampled_from([(1.0, 1.0), (0.0, 1.0), (1.0, 0.0), (0.3, 2.5)]),
        channels_last=st.booleans(),
    )
    def test_value_and_gradient_are_those_of_the_definition(
        self, seed: int, scale: float, lesion: float, power: float, weights: tuple, channels_last
    ) -> None:
        """Both agree to 1e-6 of the largest, with any lesion share, also none and all."""
        logits, labels = _draw(seed, scale, lesion)
        if channels_last:
            logits = logits.detach().to(memory_format=torch.channels_last).requires_grad_()
        ours = GeneralizedDiceCE(power, *weights)(logits, labels)
        plain = _plain(logits, labels, power, *weights)
        torch.testing.assert_close(ours, plain, rtol=1e-9, atol=1e-9)
        by_ours, by_plain = (torch.autograd.grad(value, logits)[0] for value in (ours, plain))
        torch.testing.assert_close(by_ours, by_plain, rtol=1e-6, atol=1e-12)
        assert by_ours.stride() == logits.stride()

    @pytest.mark.parametrize("power", [2, 1, 0])
    def test_float32_agrees_to_six_digits_on_a_batch_of_real_size(self, power: float) -> None:
        """64 patches of 64 x 64 px with 12 % lesion: value and gradient to 1e-6."""
        logits, labels = _draw(0, 3.0, 0.12, (64, 64, 64))
        single = logits.detach().float().requires_grad_()
        ours = GeneralizedDiceCE(power)(single, labels)
        plain = _plain(logits, labels, power, 1, 1)
        assert ours.dtype == torch.float32
        assert ours.item() == pytest.approx(plain.item(), rel=1e-6)
        by_ours = torch.autograd.grad(ours, single)[0].double()
        by_plain = torch.autograd.grad(plain, logits)[0]
        assert (by_ours - by_plain).abs().max() < 1e-6 * by_plain.abs().max()

    @pytest.mark.parametrize("power", [2.0, 1.0, 0.0])
    @pytest.mark.parametrize("lesion", [0.0, 0.3, 1.0])
    def test_gradient_by_finite_differences(self, power: float, lesion: float) -> None:
        """The closed form is the derivative, also with an absent class."""
        logits, labels = _draw(1, 1.0, lesion, (2, 3, 3))
        loss = GeneralizedDiceCE(power, dice_weight=0.7, ce_weight=1.3)
        assert torch.autograd.gradcheck(lambda z: loss(z, labels), logits)

    def test_incoming_gradient_is_passed_on(self) -> None:
        """Half the loss has half the gradient."""
        logits, labels = _draw(2)
        loss = GeneralizedDiceCE()
        (whole,) = torch.autograd.grad(loss(logits, labels), logits)
        (half,) = torch.autograd.grad(0.5 * loss(logits, labels), logits)
        torch.testing.assert_close(half, 0.5 * whole)

    def test_sums_are_over_the_batch(self) -> None:
        """An image without lesion in a batch with one is no empty class of its own."""
        logits, labels = _draw(3, shape=(2, 4, 4))
        labels[1] = 0
        loss = GeneralizedDiceCE(ce_weight=0)
        single = [loss(logits[i : i + 1], labels[i : i + 1]).item() for i in (0, 1)]
        assert loss(logits, labels).item() != pytest.approx(sum(single) / 2, rel=1e-3)
        assert loss(logits, labels).item() == pytest.approx(
            _plain(logits, labels, 2, 1, 0).item(), rel=1e-9
        )

    @pytest.mark.parametrize("lesion", [0.0, 0.3, 1.0])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
    def test_extreme_logits_stay_finite(self, dtype: torch.dtype, lesion: float) -> None:
        """Logits of +-10,000, right or wrong, give finite values and gradients."""
        signs, labels = _draw(4, 1.0, lesion)
        logits = (1e4 * signs.detach().sign()).to(dtype).requires_grad_()
        loss = GeneralizedDiceCE()(logits, labels)
        loss.backward()
        assert loss.isfinite()
        assert loss.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
        assert logits.grad.dtype == dtype
        assert logits.grad.isfinite().all()

    def test_one_rare_pixel_among_a_million(self) -> None:
        """Weights of 1 and 1e-12 neither overflow nor vanish in float32."""
        labels = torch.zeros(1, 1000, 1000, dtype=torch.uint8)
        labels[0, 0, 0] = 1
        logits = torch.zeros(1, 2, 1000, 1000, requires_grad=True)
        loss = GeneralizedDiceCE(ce_weight=0)(logits, labels)
        loss.backward()
        n = 10**6
        below = (1 + n / 2) + (n - 1 + n / 2) / (n - 1) ** 2
        expected = 1 - 2 * (0.5 + (n - 1) / 2 / (n - 1) ** 2) / below
        assert loss.item() == pytest.approx(expected, rel=1e-6)
        assert logits.grad[0, 1, 0, 0] < 0 < logits.grad[0, 1, 1, 1]

    def test_without_the_dice_term_it_is_cross_entropy(self) -> None:
        """A Dice weight of 0 leaves the cross-entropy that the other networks use."""
        logits, labels = _draw(5)
        ours = GeneralizedDiceCE(dice_weight=0)(logits, labels)
        torch.testing.assert_close(ours, EnsembleCrossEntropy()(logits, labels))

    def test_any_mask_value_but_zero_is_lesion(self) -> None:
        """A mask of 0 and 255, or a boolean one, is read as a mask of 0 and 1."""
        logits, labels = _draw(6)
        loss = GeneralizedDiceCE()
        assert torch.equal(loss(logits, labels), loss(logits, labels * 255))
        assert torch.equal(loss(logits, labels), loss(logits, labels.bool()))

    def test_no_gradient_is_kept_where_none_is_asked_for(self) -> None:
        """In validation the loss is a plain number."""
        logits, labels = _draw(7)
        with torch.no_grad():
            assert not GeneralizedDiceCE()(logits, labels).requires_grad

    def test_a_second_derivative_is_refused(self) -> None:
        """The closed form is for training: differentiating it again says so."""
        logits, labels = _draw(8)
        loss = GeneralizedDiceCE()(logits, labels)
        (gradient,) = torch.autograd.grad(loss, logits, create_graph=True)
        with pytest.raises(RuntimeError, match="does not require grad"):
            gradient.sum().backward()

    @pytest.mark.parametrize("weights", [(-1, 1, 1), (2, -1, 1), (2, 1, -1), (2, 0, 0)])
    def test_impossible_weights_are_refused(self, weights: tuple[float, ...]) -> None:
        """A negative number or nothing at all is named in one line."""
        with pytest.raises(UsageError, match="power"):
            GeneralizedDiceCE(*weights)


class TestFocalLoss:
    def test_by_hand(self) -> None:
        """The true classes have p of 0.8, 0.9, 0.8 and 0.7: each -log p is weighed by (1 - p)^2."""
        parts = [(0.2, 0.8), (0.1, 0.9), (0.2, 0.8), (0.3, 0.7)]
        expected = -sum(rest**2 * math.log(p) for rest, p in parts) / 4
        loss = FocalLoss()(_logits([[0.8, 0.1], [0.2, 0.3]]), LABELS)
        assert loss.item() == pytest.approx(expected, rel=1e-12)

    def test_lesion_weight_by_hand(self) -> None:
        """A lesion weight of 0.25 weighs background by 0.75."""
        parts = [(0.25, 0.2, 0.8), (0.75, 0.1, 0.9), (0.75, 0.2, 0.8), (0.75, 0.3, 0.7)]
        expected = -sum(weight * rest * math.log(p) for weight, rest, p in parts) / 4
        loss = FocalLoss(gamma=1, lesion_weight=0.25)(_logits([[0.8, 0.1], [0.2, 0.3]]), LABELS)
        assert loss.item() == pytest.approx(expected, rel=1e-12)

    @settings(max_examples=20, deadline=None)
    @given(seed=st.integers(0, 2**31 - 1), scale=st.floats(0.1, 10.0))
    def test_gamma_zero_is_cross_entropy(self, seed: int, scale: float) -> None:
        """Without focus the value and the gradient are those of cross-entropy."""
        logits, labels = _draw(seed, scale)
        focal, plain = FocalLoss(gamma=0)(logits, labels), EnsembleCrossEntropy()(logits, labels)
        torch.testing.assert_close(focal, plain)
        torch.testing.assert_close(*(torch.autograd.grad(v, logits)[0] for v in (focal, plain)))

    def test_gradient_by_finite_differences(self) -> None:
        """The gradient agrees with finite differences."""
        logits, labels = _draw(1, shape=(2, 3, 3))
        loss = FocalLoss(gamma=1.5, lesion_weight=0.7)
        assert torch.autograd.gradcheck(lambda z: loss(z, labels), logits)

    @pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
    def test_extreme_logits_stay_finite(self, gamma: float) -> None:
        """Logits of +-10,000, right or wrong, give finite values and gradients."""
        signs, labels = _draw(4)
        logits = (1e4 * signs.detach().sign()).float().requires_grad_()
        loss = FocalLoss(gamma)(logits, labels)
        loss.backward()
        assert loss.isfinite()
        assert logits.grad.isfinite().all()

    @pytest.mark.parametrize("options", [(-1, None), (2, 0.0), (2, 1.0), (2, -0.5)])
    def test_impossible_options_are_refused(self, options: tuple) -> None:
        """A negative gamma or a weight outside (0, 1) is named in one line."""
        with pytest.raises(UsageError, match="gamma"):
            FocalLoss(*options)


@pytest.mark.parametrize("loss", [GeneralizedDiceCE(), FocalLoss()])
@pytest.mark.parametrize(
    ("logits_shape", "labels_shape"),
    [((1, 3, 4, 4), (1, 4, 4)), ((1, 2, 4, 4), (1, 4, 6)), ((1, 2, 4, 4), (1, 1, 4, 4))],
)
def test_shapes_that_do_not_fit_are_refused(
    loss: torch.nn.Module, logits_shape: tuple[int, ...], labels_shape: tuple[int, ...]
) -> None:
    """Three classes, another size, or a channel axis in the labels is one clear line."""
    with pytest.raises(InputError, match="logits of shape"):
        loss(torch.zeros(logits_shape), torch.zeros(labels_shape))
