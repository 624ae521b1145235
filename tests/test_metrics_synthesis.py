"""Scores of a synthesised image: by hand, against a known implementation, and where undefined."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strokerepro.errors import InputError
from strokerepro.metrics import SYNTHESIS_KEYS, score_synthesis
from strokerepro.metrics.synthesis import structural_similarity

SHAPE = (2, 24, 20)
BRAIN = np.ones(SHAPE, bool)


def noisy_pair() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Noise, and the same with more noise: generated and real."""
    rng = np.random.default_rng(2018)
    real = rng.random(SHAPE)
    return np.clip(real + rng.normal(0, 0.1, SHAPE), 0, 1), real


def a_lesion() -> npt.NDArray[np.uint8]:
    """A box of 2 x 4 x 5 voxels."""
    lesion = np.zeros(SHAPE, np.uint8)
    lesion[:, 8:12, 5:10] = 1
    return lesion


def test_scores_by_hand() -> None:
    """Real 0.2 with a lesion of 0.8; generated 0.3 with one of 0.6: errors 0.01 and 0.04."""
    lesion = a_lesion()
    real, generated = np.where(lesion, 0.8, 0.2), np.where(lesion, 0.6, 0.3)
    scores = score_synthesis(generated, real, BRAIN, lesion)
    assert tuple(scores) == SYNTHESIS_KEYS
    mse = (40 * 0.04 + 920 * 0.01) / 960
    assert scores["mse"] == pytest.approx(mse)
    assert scores["mse_lesion"] == pytest.approx(0.04)
    assert scores["psnr_db"] == pytest.approx(10 * math.log10(1 / mse))
    assert scores["lesion_contrast_real"] == pytest.approx(4)
    assert scores["lesion_contrast_generated"] == pytest.approx(2)


def test_ssim_of_flat_images_is_the_luminance_term() -> None:
    """0.2 against 0.8: (2 * 0.16 + 0.0001) / (0.04 + 0.64 + 0.0001)."""
    found = structural_similarity(np.full(SHAPE, 0.2), np.full(SHAPE, 0.8))
    assert found == pytest.approx(np.full(SHAPE, 0.3201 / 0.6801))


def test_ssim_is_that_of_scikit_image() -> None:
    """Constants of scikit-image 0.26.0 with Gaussian weights, population covariance, range 1.

    Each slice for itself: at a corner, where edges are mirrored, and in the middle. Its own mean
    leaves out a border of 5 px.
    """
    found = structural_similarity(*noisy_pair())
    assert found[0, 0, 0] == pytest.approx(0.967540724419017, abs=1e-12)
    assert found[1, 12, 10] == pytest.approx(0.9329612372651075, abs=1e-12)
    inner = found[:, 5:-5, 5:-5].mean(axis=(1, 2))
    assert inner == pytest.approx([0.95190314803787, 0.9458769649671089], abs=1e-12)


def test_psnr_is_that_of_scikit_image() -> None:
    """Version 0.26.0, range 1, over the whole volume."""
    scores = score_synthesis(*noisy_pair(), BRAIN, a_lesion())
    assert scores["psnr_db"] == pytest.approx(20.78498532998927, abs=1e-12)


@given(seed=st.integers(0, 99))
@settings(max_examples=10, deadline=None)
def test_what_lies_outside_the_brain_does_not_count(seed: int) -> None:
    """A generator is free there; a lesion there is left out."""
    generated, real = noisy_pair()
    brain, lesion = BRAIN.copy(), a_lesion()
    brain[:, :, 8:] = False
    outside = np.where(brain, 0, np.random.default_rng(seed).normal(0, 5, SHAPE))
    one = score_synthesis(generated, real, brain, lesion)
    other = score_synthesis(generated + outside, real - outside, brain, lesion)
    assert one == pytest.approx(other)
    assert one["mse_lesion"] == pytest.approx(((generated - real) ** 2)[:, 8:12, 5:8].mean())


def test_equal_images_are_equal() -> None:
    """No error and SSIM 1; the infinite ratio of signal to noise is undefined."""
    _, real = noisy_pair()
    scores = score_synthesis(real, real, BRAIN, a_lesion())
    assert scores["mse"] == 0
    assert scores["ssim"] == pytest.approx(1)
    assert math.isnan(scores["psnr_db"])
    assert scores["lesion_contrast_generated"] == scores["lesion_contrast_real"]


def test_more_noise_is_less_similar() -> None:
    """All three measures agree."""
    _, real = noisy_pair()
    noise = np.random.default_rng(1).normal(0, 1, SHAPE)
    little, much = (
        score_synthesis(real + share * noise, real, BRAIN, a_lesion()) for share in (0.05, 0.2)
    )
    assert little["mse"] < much["mse"]
    assert little["psnr_db"] > much["psnr_db"]
    assert little["ssim"] > much["ssim"]


@pytest.mark.parametrize(
    ("brain", "lesion", "undefined"),
    [
        (0, 0, set(SYNTHESIS_KEYS)),
        (1, 0, {"mse_lesion", "lesion_contrast_generated", "lesion_contrast_real"}),
        (1, 1, {"lesion_contrast_generated", "lesion_contrast_real"}),
    ],
)
def test_undefined_scores_are_nan(brain: int, lesion: int, undefined: set[str]) -> None:
    """No brain; no lesion; nothing but lesion."""
    scores = score_synthesis(
        *noisy_pair(), np.full(SHAPE, bool(brain)), np.full(SHAPE, lesion, np.uint8)
    )
    assert {name for name, value in scores.items() if math.isnan(value)} == undefined


def test_a_contrast_with_a_dark_rest_is_undefined() -> None:
    """A linear generator may give a mean of 0 or below, with which nothing is compared."""
    lesion = a_lesion()
    dark = np.where(lesion, 0.5, -0.1)
    scores = score_synthesis(dark, noisy_pair()[1], BRAIN, lesion)
    assert math.isnan(scores["lesion_contrast_generated"])
    assert scores["lesion_contrast_real"] > 0


@pytest.mark.parametrize("which", [0, 1, 2, 3])
def test_another_shape_is_refused(which: int) -> None:
    """Any of the four."""
    arrays: list[Any] = [*noisy_pair(), BRAIN, a_lesion()]
    arrays[which] = arrays[which][:1]
    with pytest.raises(InputError, match="one common shape"):
        score_synthesis(*arrays)


@pytest.mark.parametrize(("which", "name"), [(0, "generated"), (1, "real")])
def test_a_value_that_is_not_finite_is_refused(which: int, name: str) -> None:
    """A diverged generator is no NaN among the scores."""
    images = [image.copy() for image in noisy_pair()]
    images[which][0, 0, 0] = np.nan
    with pytest.raises(InputError, match=f"a {name} image"):
        score_synthesis(images[0], images[1], BRAIN, a_lesion())
