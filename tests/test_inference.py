"""Prediction does not depend on how slices are batched, and times are booked on their stages."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lightning_fabric import Fabric
from torch import nn

from strokerepro.inference import Stopwatch, lesion_probability, predict_slices

SHAPE = (2, 5, 8, 12)  # (C, Z, Y, X)


@pytest.fixture(scope="module")
def fabric() -> Fabric:
    """One CPU in float32."""
    return Fabric(accelerator="cpu", devices=1, precision="32-true")


@pytest.fixture
def network() -> nn.Module:
    """A convolution whose output depends on the neighbours in the plane."""
    torch.manual_seed(0)
    return nn.Conv2d(2, 2, 3, padding=1)


@pytest.fixture
def image() -> np.ndarray:
    """Image ``(C, Z, Y, X)`` of noise."""
    return np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)


@pytest.mark.parametrize("batch", [1, 2, 3, 5, 8])
def test_a_volume_is_predicted_slice_by_slice_whatever_the_batch(
    network: nn.Module, image: np.ndarray, fabric: Fabric, batch: int
) -> None:
    """Each slice equals a forward pass of its own; the last batch may be smaller."""
    found = predict_slices(lambda x: {"a": network(x)}, image, fabric, batch=batch)
    assert set(found) == {"a"}
    assert (found["a"].shape, found["a"].dtype) == (SHAPE[1:], np.float32)
    with torch.no_grad():
        for z in range(SHAPE[1]):
            logits = network(torch.from_numpy(image[None, :, z]))
            alone = torch.softmax(logits, dim=1)[0, 1].numpy()
            np.testing.assert_allclose(found["a"][z], alone, atol=1e-6)


def test_no_forward_pass_has_more_slices_than_the_batch(image: np.ndarray, fabric: Fabric) -> None:
    """Five slices two at a time are passes of 2, 2 and 1, which bounds the memory."""
    seen = []

    def forward(slices: torch.Tensor) -> dict[str, torch.Tensor]:
        seen.append(tuple(slices.shape))
        return {"a": slices}

    predict_slices(forward, image, fabric, batch=2)
    assert seen == [(2, 2, 8, 12), (2, 2, 8, 12), (1, 2, 8, 12)]


def test_every_named_map_is_kept_apart_and_no_gradient_is_recorded(
    network: nn.Module, image: np.ndarray, fabric: Fabric
) -> None:
    """A map and its negative add up to one, and nothing can be trained by accident."""
    recorded = []

    def forward(slices: torch.Tensor) -> dict[str, torch.Tensor]:
        logits = network(slices)
        recorded.append(logits.requires_grad)
        return {"a": logits, "b": -logits}

    found = predict_slices(forward, image, fabric)
    np.testing.assert_allclose(found["a"] + found["b"], 1, atol=1e-6)
    assert not np.allclose(found["a"], found["b"])
    assert recorded == [False]


def test_mixed_precision_still_gives_float32(network: nn.Module, image: np.ndarray) -> None:
    """Logits of bfloat16 become probabilities of float32, near those of full precision."""
    mixed = Fabric(accelerator="cpu", devices=1, precision="bf16-mixed")
    kinds = []

    def forward(slices: torch.Tensor) -> dict[str, torch.Tensor]:
        logits = network(slices)
        kinds.append(logits.dtype)
        return {"a": logits}

    found = predict_slices(forward, image, mixed)
    whole = predict_slices(forward, image, Fabric(accelerator="cpu", precision="32-true"))
    assert kinds == [torch.bfloat16, torch.float32]
    assert found["a"].dtype == np.float32
    np.testing.assert_allclose(found["a"], whole["a"], atol=0.02)


@given(st.lists(st.tuples(st.floats(-30, 30), st.floats(-30, 30)), min_size=1, max_size=8))
def test_the_lesion_probability_is_the_softmax_of_class_one(pairs: list[tuple]) -> None:
    """With two classes a sigmoid of the difference is the same."""
    logits = torch.tensor(pairs).reshape(len(pairs), 2, 1)
    expected = torch.softmax(logits, dim=1)[:, 1]
    torch.testing.assert_close(lesion_probability(logits), expected)


def test_one_logit_is_that_of_the_lesion() -> None:
    """A head of one map gives the sigmoid of it: 1/2 at 0 and 3/4 at log 3."""
    logits = torch.tensor([[[0.0, math.log(3.0)]]])
    torch.testing.assert_close(lesion_probability(logits), torch.tensor([[0.5, 0.75]]))


def test_extreme_and_half_precision_logits_give_probabilities() -> None:
    """No overflow at ±1e4, and float32 whatever comes in."""
    logits = torch.tensor([[1e4, -1e4], [-1e4, 1e4], [3.0, 3.0]], dtype=torch.bfloat16)
    probability = lesion_probability(logits)
    assert probability.tolist() == [0.0, 1.0, 0.5]
    assert probability.dtype == torch.float32


def test_a_stopwatch_books_the_time_since_the_last_lap_and_adds_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Laps at 1, 3 and 7 s after the start at 0: a gets 1 + 4, b gets 2."""
    ticks = iter([0.0, 1.0, 3.0, 7.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(ticks))
    watch = Stopwatch(torch.device("cpu"))
    for stage in ("a", "b", "a"):
        watch.lap(stage)
    assert watch.seconds == {"a": 5.0, "b": 2.0}
