"""Cross-entropy minus log Dice: by hand, against plain definitions, empty batches, the collapse."""

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
from strokerepro.losses import EnsembleCrossEntropy, GeneralizedDiceCE, LogDiceCE, gradient_norms

KINDS = ("ce_log_gdc", "literal", "bce_log_dice", "ce", "dice", "gdl")
LABELS = torch.tensor([[[1, 0], [0, 0]]], dtype=torch.uint8)
#: Lesion probabilities of 0.8 on the lesion pixel, and 0.1, 0.2, 0.3 beside it.
PROBABILITY = torch.tensor([[[0.8, 0.1], [0.2, 0.3]]], dtype=torch.float64)
LOGITS = torch.stack([(1 - PROBABILITY).log() - 3, PROBABILITY.log() - 3], dim=1)
CROSS_ENTROPY = -(math.log(0.8) + math.log(0.9) + math.log(0.8) + math.log(0.7)) / 4
#: Weights 1 and 1/9; overlap 0.8 + 2.4/9, total (1 + 1.4) + (3 + 2.6)/9.
GDC = 2 * (0.8 + 2.4 / 9) / (2.4 + 5.6 / 9)
DICE = 2 * 0.8 / (1 + 1.4)


def _draw(
    seed: int, scale: float = 1.0, lesion: float = 0.2, shape: tuple[int, ...] = (3, 6, 5)
) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(shape[0], 2, *shape[1:], generator=generator, dtype=torch.float64) * scale
    labels = (torch.rand(shape, generator=generator) < lesion).to(torch.uint8)
    return logits.requires_grad_(), labels


def _plain(
    logits: Tensor, labels: Tensor, kind: str, power: float, empty: str, ce_weight: Any
) -> Tensor:
    """The definitions, class by class, with the softmax and the weights written out."""
    p = logits.softmax(dim=1)
    counts = [int((labels == number).sum()) for number in (0, 1)]
    if ce_weight == "inverse_frequency":
        ce_weight = [1 / count if count else 1.0 for count in counts]
    by_class = logits.new_tensor(list(ce_weight))
    entropy = functional.cross_entropy(logits, labels.long(), weight=by_class)
    if kind == "ce":
        return entropy
    if kind in ("dice", "bce_log_dice"):
        weights = [0.0, 1.0]
    else:
        finite = max(count**-power for count in counts if count)
        weights = [
            count**-power if count else (finite if empty == "largest" else 0) for count in counts
        ]
    above, below = logits.new_zeros(()), logits.new_zeros(())
    for number, weight in enumerate(weights):
        reference = (labels == number).to(logits.dtype)
        above = above + weight * (reference * p[:, number]).sum()
        below = below + weight * (reference + p[:, number]).sum()
    coefficient = 2 * above / below
    if kind in ("dice", "gdl"):
        return 1 - coefficient
    inside = 1 - coefficient if kind == "literal" else coefficient
    return entropy - (inside.log() if inside > 1e-6 else math.log(1e-6))


def _square() -> Tensor:
    """A lesion of 8 x 8 px in a slice of 32 x 32 px."""
    labels = torch.zeros(1, 32, 32, dtype=torch.uint8)
    labels[:, 12:20, 12:20] = 1
    return labels


def _descend(kind: Any, labels: Tensor) -> Tensor:
    """Free logits after 200 steps of Adam from normal noise."""
    noise = torch.randn(1, 2, 32, 32, generator=torch.Generator().manual_seed(0))
    logits = noise.requires_grad_()
    loss, optimizer = LogDiceCE(kind), torch.optim.Adam([logits], lr=0.1)
    for _ in range(200):
        optimizer.zero_grad()
        loss(logits, labels).backward()
        optimizer.step()
    return logits.detach()


def _hard_dice(logits: Tensor, labels: Tensor) -> float:
    found, true = logits[:, 1] > logits[:, 0], labels.bool()
    return float(2 * (found & true).sum() / (found.sum() + true.sum()))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("ce_log_gdc", CROSS_ENTROPY - math.log(GDC)),
        ("literal", CROSS_ENTROPY - math.log(1 - GDC)),
        ("bce_log_dice", CROSS_ENTROPY - math.log(DICE)),
        ("ce", CROSS_ENTROPY),
        ("dice", 1 - DICE),
        ("gdl", 1 - GDC),
    ],
)
def test_by_hand(kind: Any, value: float) -> None:
    """One lesion pixel of four with p = 0.8, the others 0.1, 0.2 and 0.3."""
    assert LogDiceCE(kind)(LOGITS, LABELS).item() == pytest.approx(value, rel=1e-12)


def test_the_paper_as_corrected_is_the_default() -> None:
    """CE - log GDC with Sudre's squared weights and an unweighted cross-entropy."""
    expected = CROSS_ENTROPY - math.log(GDC)
    assert LogDiceCE()(LOGITS, LABELS).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("power", "weight"), [(2, 1 / 9), (1, 1 / 3), (0, 1)])
def test_power_of_the_weights_by_hand(power: float, weight: float) -> None:
    """The background's weight relative to the lesion's is (1/3)^power."""
    coefficient = 2 * (0.8 + 2.4 * weight) / (2.4 + 5.6 * weight)
    loss = LogDiceCE(gdc_power=power)
    assert loss.coefficient(LOGITS, LABELS).item() == pytest.approx(coefficient, rel=1e-12)
    expected = CROSS_ENTROPY - math.log(coefficient)
    assert loss(LOGITS, LABELS).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("weight", "value"),
    [
        ((1.0, 1.0), CROSS_ENTROPY),
        ((2.0, 2.0), CROSS_ENTROPY),
        ((1.0, 5.0), -(5 * math.log(0.8) + math.log(0.9 * 0.8 * 0.7)) / 8),
        ("inverse_frequency", -(math.log(0.8) + math.log(0.9 * 0.8 * 0.7) / 3) / 2),
    ],
)
def test_weights_of_the_cross_entropy_by_hand(weight: Any, value: float) -> None:
    """A weighted mean: a lesion pixel counts five times, or as all others together."""
    loss = LogDiceCE("ce", ce_weight=weight)
    assert loss(LOGITS, LABELS).item() == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("kind", ["ce_log_gdc", "literal", "gdl"])
def test_it_shares_the_generalised_dice_of_the_other_papers(kind: Any) -> None:
    """1 - coefficient is the fused loss, for all powers and also for an absent class."""
    for lesion in (0.0, 0.2, 1.0):
        logits, labels = _draw(0, lesion=lesion)
        for power in (2.0, 1.0, 0.0):
            fused = GeneralizedDiceCE(power, ce_weight=0)(logits, labels)
            ours = LogDiceCE(kind, gdc_power=power).coefficient(logits, labels)
            torch.testing.assert_close(1 - ours, fused)


def test_cross_entropy_is_that_of_the_other_networks() -> None:
    """Without weights the mean over all pixels."""
    logits, labels = _draw(5)
    torch.testing.assert_close(
        LogDiceCE("ce")(logits, labels), EnsembleCrossEntropy()(logits, labels)
    )


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31 - 1),
    kind=st.sampled_from(KINDS),
    scale=st.floats(0.1, 10.0),
    lesion=st.sampled_from([0.0, 0.02, 0.2, 0.9, 1.0]),
    power=st.sampled_from([0.0, 1.0, 2.0]),
    empty=st.sampled_from(["largest", "ignore"]),
    weight=st.sampled_from([(1.0, 1.0), (1.0, 7.0), "inverse_frequency"]),
    channels_last=st.booleans(),
)
def test_value_and_gradient_are_those_of_the_definition(
    seed: int,
    kind: Any,
    scale: float,
    lesion: float,
    power: float,
    empty: Any,
    weight: Any,
    channels_last: bool,
) -> None:
    """For any lesion share, also none and all, and any setting."""
    logits, labels = _draw(seed, scale, lesion)
    if channels_last:
        logits = logits.detach().to(memory_format=torch.channels_last).requires_grad_()
    loss = LogDiceCE(kind, gdc_power=power, gdc_empty=empty, ce_weight=weight)
    ours, plain = loss(logits, labels), _plain(logits, labels, kind, power, empty, weight)
    torch.testing.assert_close(ours, plain, rtol=1e-9, atol=1e-9)
    by_ours, by_plain = (torch.autograd.grad(value, logits)[0] for value in (ours, plain))
    torch.testing.assert_close(by_ours, by_plain, rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lesion", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("weight", [(1.0, 1.0), (1.0, 4.0), "inverse_frequency"])
def test_gradient_by_finite_differences(kind: Any, lesion: float, weight: Any) -> None:
    """Autograd's gradient is the derivative, also with an absent class, and once more."""
    logits, labels = _draw(1, 1.0, lesion, (2, 2, 3))
    loss = LogDiceCE(kind, ce_weight=weight)
    assert torch.autograd.gradcheck(lambda z: loss(z, labels), logits)
    assert torch.autograd.gradgradcheck(lambda z: loss(z, labels), logits)


@pytest.mark.parametrize("kind", KINDS)
def test_float32_agrees_to_five_digits_on_a_batch_of_real_size(kind: Any) -> None:
    """Six slices of 256 x 256 px with 2 % lesion: value and gradient."""
    logits, labels = _draw(0, 3.0, 0.02, (6, 256, 256))
    single = logits.detach().float().requires_grad_()
    loss = LogDiceCE(kind)
    ours, exact = loss(single, labels), loss(logits, labels)
    assert ours.dtype == torch.float32
    assert ours.item() == pytest.approx(exact.item(), rel=1e-5)
    by_ours = torch.autograd.grad(ours, single)[0].double()
    by_exact = torch.autograd.grad(exact, logits)[0]
    assert (by_ours - by_exact).abs().max() < 1e-5 * by_exact.abs().max()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("empty", ["largest", "ignore"])
@pytest.mark.parametrize("weight", [(1.0, 1.0), "inverse_frequency"])
def test_a_batch_without_lesion_stays_finite(kind: Any, empty: Any, weight: Any) -> None:
    """Whatever is predicted: nothing, anything, all."""
    labels = torch.zeros(6, 8, 8, dtype=torch.uint8)
    for offset in (-1e4, -20.0, 0.0, 20.0, 1e4):
        logits = torch.zeros(6, 2, 8, 8)
        logits[:, 1] = offset
        logits.requires_grad_()
        loss = LogDiceCE(kind, gdc_empty=empty, ce_weight=weight)(logits, labels)
        loss.backward()
        assert loss.isfinite()
        assert logits.grad is not None
        assert logits.grad.isfinite().all()


@pytest.mark.parametrize(("empty", "coefficient"), [("largest", 0.75), ("ignore", 2 * 0.75 / 1.75)])
def test_coefficient_of_a_batch_without_lesion_by_hand(empty: Any, coefficient: float) -> None:
    """With a background of p = 0.75: equal weights leave its mean, no weight its own Dice."""
    logits = torch.zeros(1, 2, 4, 4, dtype=torch.float64)
    logits[:, 0] = math.log(3)
    labels = torch.zeros(1, 4, 4, dtype=torch.uint8)
    loss = LogDiceCE(gdc_empty=empty)
    assert loss.coefficient(logits, labels).item() == pytest.approx(coefficient, rel=1e-12)


def test_without_lesion_only_the_generalised_coefficient_still_pulls() -> None:
    """The lesion's own Dice is 0 there: a constant -log(1e-6), without a gradient of its own.

    A reason for which Eq. 4 "is not stable when used directly": single batches cost 13.8 more.
    """
    logits, _ = _draw(3, lesion=0)
    empty = torch.zeros(3, 6, 5, dtype=torch.uint8)
    values = {kind: LogDiceCE(kind)(logits, empty) for kind in ("ce", "bce_log_dice", "ce_log_gdc")}
    slopes = {kind: torch.autograd.grad(v, logits)[0] for kind, v in values.items()}
    jump = values["bce_log_dice"] - values["ce"]
    assert jump.item() == pytest.approx(-math.log(1e-6), rel=1e-12)
    torch.testing.assert_close(slopes["bce_log_dice"], slopes["ce"])
    assert (slopes["ce_log_gdc"][:, 1] > slopes["ce"][:, 1]).all()


def test_sums_are_over_the_batch() -> None:
    """A slice without lesion beside one with a lesion is no empty class of its own."""
    logits, labels = _draw(4, shape=(2, 4, 4))
    labels[1] = 0
    loss = LogDiceCE("gdl")
    single = [loss(logits[i : i + 1], labels[i : i + 1]).item() for i in (0, 1)]
    tall = loss(logits.movedim(1, 0).reshape(1, 2, 8, 4), labels.reshape(1, 8, 4))
    assert loss(logits, labels).item() != pytest.approx(sum(single) / 2, rel=1e-3)
    assert loss(logits, labels).item() == pytest.approx(tall.item(), rel=1e-12)


@pytest.mark.parametrize(("coefficient", "value"), [(0.99, 4.61), (0.999, 6.91)])
def test_the_literal_term_rises_as_the_overlap_becomes_perfect(
    coefficient: float, value: float
) -> None:
    """With the overlap 0.99 it is 4.61, with 0.999 6.91: the better, the more it costs.

    Half of the pixels are lesion and all have p_true = GDC, so that the coefficient is GDC.
    """
    labels = torch.tensor([[[0, 1]]], dtype=torch.uint8)
    margin = math.log(coefficient / (1 - coefficient))
    logits = torch.tensor([[[[0, -margin]], [[-margin, 0]]]], dtype=torch.float64)
    loss = LogDiceCE("literal")
    assert loss.coefficient(logits, labels).item() == pytest.approx(coefficient, rel=1e-9)
    term = loss(logits, labels) - LogDiceCE("ce")(logits, labels)
    assert term.item() == pytest.approx(value, abs=0.005)


def test_logarithms_are_clamped() -> None:
    """The term is at most -log eps: opposite predictions, and perfect ones in the literal form."""
    right = torch.stack([LABELS * -200.0 + 100, LABELS * 200.0 - 100], dim=1)
    for kind, logits in (("ce_log_gdc", -right), ("bce_log_dice", -right), ("literal", right)):
        for eps in (1e-6, 1e-3):
            term = LogDiceCE(kind, eps=eps)(logits, LABELS) - LogDiceCE("ce")(logits, LABELS)
            assert term.item() == pytest.approx(-math.log(eps), rel=1e-5)


def test_the_printed_loss_collapses_and_the_corrected_one_finds_the_square() -> None:
    """From free logits, 8 x 8 px in 32 x 32, 200 steps of Adam: Dice 0 against Dice 1.

    The literal form ends at nothing but background, whose generalised coefficient is
    2 r / (1 + 2 r) = 0.118 with 1 lesion pixel for 15 others.
    """
    labels, measure = _square(), LogDiceCE()
    literal, corrected = (_descend(kind, labels) for kind in ("literal", "ce_log_gdc"))
    assert _hard_dice(literal, labels) == 0.0
    assert _hard_dice(corrected, labels) == 1.0
    assert measure.coefficient(literal, labels).item() == pytest.approx(0.117, abs=0.002)
    assert measure.coefficient(corrected, labels).item() == pytest.approx(0.994, abs=0.002)


@pytest.mark.parametrize("kind", ["bce_log_dice", "ce", "dice", "gdl"])
def test_every_other_loss_finds_the_square(kind: Any) -> None:
    """Only the printed sign fails."""
    labels = _square()
    assert _hard_dice(_descend(kind, labels), labels) == 1.0


@pytest.mark.parametrize("lesion", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_extreme_logits_stay_finite(dtype: torch.dtype, lesion: float) -> None:
    """Logits of +-10,000, right or wrong, give finite values and gradients."""
    signs, labels = _draw(4, 1.0, lesion)
    for kind in KINDS:
        logits = (1e4 * signs.detach().sign()).to(dtype).requires_grad_()
        loss = LogDiceCE(kind)(logits, labels)  # type: ignore[arg-type]
        loss.backward()
        assert loss.isfinite()
        assert loss.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
        assert logits.grad is not None
        assert logits.grad.dtype == dtype
        assert logits.grad.isfinite().all()


def test_under_autocast_it_is_computed_in_float32() -> None:
    """Logits in bfloat16 give the loss of the same numbers in float32, to the last bit."""
    logits, labels = _draw(2, shape=(4, 32, 32))
    half = logits.detach().bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        inside = LogDiceCE()(half, labels)
    assert inside.dtype == torch.float32
    assert torch.equal(inside, LogDiceCE()(half.float(), labels))


def test_any_mask_value_but_zero_is_lesion() -> None:
    """A mask of 0 and 255, or a boolean one, is read as a mask of 0 and 1."""
    logits, labels = _draw(6)
    loss = LogDiceCE(ce_weight=(1, 3))
    assert torch.equal(loss(logits, labels), loss(logits, labels * 255))
    assert torch.equal(loss(logits, labels), loss(logits, labels.bool()))


class TestGradientNorms:
    def test_of_the_cross_entropy_by_hand(self) -> None:
        """The slope of a pixel's two logits is +-(1 - p_true) / n: 0.2 against 0.1, 0.2, 0.3."""
        norms = gradient_norms(LogDiceCE("ce"), LOGITS, LABELS)
        assert norms.lesion.item() == pytest.approx(math.sqrt(2) * 0.2 / 4, rel=1e-12)
        background = math.sqrt(2 * (0.1**2 + 0.2**2 + 0.3**2)) / 4
        assert norms.background.item() == pytest.approx(background, rel=1e-12)
        assert norms.ratio.item() == pytest.approx(0.2 / math.sqrt(0.14), rel=1e-12)

    def test_the_generalised_coefficient_pulls_harder_at_a_small_lesion(self) -> None:
        """From p = 1/2 everywhere, 64 of 1024 pixels: its ratio is above that of cross-entropy."""
        logits, labels = torch.zeros(1, 2, 32, 32), _square()
        ce, both = (
            gradient_norms(LogDiceCE(kind), logits, labels).ratio.item()
            for kind in ("ce", "ce_log_gdc")
        )
        assert ce == pytest.approx(math.sqrt(64 / 960), rel=1e-5)
        assert both > 2 * ce

    def test_the_printed_loss_pushes_lesions_away(self) -> None:
        """Its slope by the lesion's logit is positive: a step downhill makes it smaller."""
        logits, labels = torch.zeros(1, 2, 32, 32, requires_grad=True), _square()
        for kind, rises in (("ce_log_gdc", False), ("literal", True)):
            term = LogDiceCE(kind)(logits, labels) - LogDiceCE("ce")(logits, labels)  # type: ignore[arg-type]
            (slope,) = torch.autograd.grad(term, logits)
            assert (slope[0, 1][labels[0].bool()] > 0).all() == rises

    def test_graph_and_mode_are_left_alone(self) -> None:
        """Works on logits of a network's graph and in validation, and leaves no gradient there."""
        logits, labels = _draw(8)
        norms = gradient_norms(LogDiceCE(), logits * 2, labels)
        assert logits.grad is None
        assert not norms.lesion.requires_grad
        with torch.no_grad():
            again = gradient_norms(LogDiceCE(), logits * 2, labels)
        assert torch.equal(norms.lesion, again.lesion)

    def test_without_lesion_its_norm_is_zero(self) -> None:
        """No pixel, no pull."""
        logits, labels = _draw(9, lesion=0)
        norms = gradient_norms(LogDiceCE(), logits, labels)
        assert norms.lesion.item() == 0
        assert norms.background.item() > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "log_gdc"}, "unknown loss"),
        ({"gdc_empty": "zero"}, "unknown empty class"),
        ({"ce_weight": "inverse"}, "unknown ce_weight"),
        ({"ce_weight": (1.0,)}, "positive weights"),
        ({"ce_weight": (1.0, 0.0)}, "positive weights"),
        ({"ce_weight": (1.0, 1.0, 1.0)}, "positive weights"),
        ({"gdc_power": -1.0}, "gdc_power"),
        ({"eps": 0.0}, "eps"),
        ({"eps": 1.0}, "eps"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], message: str) -> None:
    """Each impossible value is named in one line."""
    with pytest.raises(UsageError, match=message):
        LogDiceCE(**options)


@pytest.mark.parametrize("kind", ["ce", "ce_log_gdc"])
@pytest.mark.parametrize(
    ("logits_shape", "labels_shape"),
    [((1, 4, 4, 4), (1, 4, 4)), ((1, 2, 4, 4), (1, 4, 6)), ((1, 2, 4, 4), (1, 1, 4, 4))],
)
def test_shapes_that_do_not_fit_are_refused(
    kind: Any, logits_shape: tuple[int, ...], labels_shape: tuple[int, ...]
) -> None:
    """Maps before the maxout, another size, or a channel axis in the labels is one clear line."""
    with pytest.raises(InputError, match="logits of shape"):
        LogDiceCE(kind)(torch.zeros(logits_shape), torch.zeros(labels_shape))
