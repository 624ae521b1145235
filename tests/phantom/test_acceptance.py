"""The cohort's marginals beside the published ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from strokerepro.errors import InputError
from strokerepro.phantom import make_cohort
from strokerepro.phantom.acceptance import acceptance, component_sizes_px


def _draw(picture: str) -> np.ndarray:
    rows = [[int(mark == "#") for mark in line] for line in picture.split()]
    return np.array(rows, dtype=np.uint8)


def test_components_are_counted_per_slice_with_eight_neighbours() -> None:
    """A diagonal touch joins, a touch across slices does not."""
    upper = _draw("##... #.... .#... ...## ...##")
    lower = _draw("#.... ..... ..... ..... .....")
    mask = np.stack([upper, lower], axis=2)
    assert sorted(component_sizes_px(mask, (1.6, 1.6))) == [1, 4, 4]


def test_sizes_are_those_at_the_common_pixel() -> None:
    """A square of 16 x 16 pixels of 0.8 mm is about 8 x 8 pixels of 1.6 mm."""
    mask = np.zeros((40, 40, 1), dtype=np.uint8)
    mask[10:26, 10:26] = 1
    (size,) = component_sizes_px(mask, (0.8, 0.8))
    assert 49 <= size <= 81


def test_an_empty_mask_has_no_components() -> None:
    """Nothing in, nothing counted."""
    assert component_sizes_px(np.zeros((8, 8, 2), dtype=np.uint8), (1.6, 1.6)).size == 0


def test_a_tiny_cohort_gives_plausible_numbers(tiny_root: Path) -> None:
    """All statistics are there, finite, and the lesions bright."""
    found = acceptance(tiny_root)
    assert found["subjects"] == 6
    assert sum(found["type_counts"].values()) == 6
    assert 0 < found["mean_size_px"] < 400
    assert 0 <= found["small_share"] <= 1
    assert 1.1 < found["signal_ratio_percentiles_5_50_95"][1] < 2.5
    assert 1.1 < found["interior_ratio_percentiles_5_50_95"][1] < 2.5
    assert np.all(np.diff(found["volume_ml_percentiles"]) >= 0)
    assert found["reference"]["edd_small_share"] == pytest.approx(271 / 361)


def test_a_folder_that_is_no_cohort_is_refused(tmp_path: Path) -> None:
    """One line instead of an empty table."""
    with pytest.raises(InputError, match="complete phantom cohort"):
        acceptance(tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_marginals_are_those_the_phantom_was_frozen_with(tmp_path: Path) -> None:
    """80 subjects: lesion size, share of small lesions and contrast near the published values."""
    root = make_cohort("dwi", tmp_path / "cohort", cases=80, size_px=128, seed=2017)
    found = acceptance(root)
    reference = found["reference"]
    # Heavy tails: with 80 subjects the standard error of the mean is about 6 px, of the share 5 %.
    assert found["mean_size_px"] == pytest.approx(reference["edd_mean_size_px"], abs=12)
    assert found["small_share"] == pytest.approx(reference["edd_small_share"], abs=0.10)
    ratio = found["interior_ratio_percentiles_5_50_95"][1]
    assert ratio == pytest.approx(reference["eastwood_signal_ratio"], rel=0.15)
    # Smaller than in SOOP by selection: two thirds of the subjects have lacunes or emboli.
    assert found["volume_ml_mean"] < reference["soop_volume_ml_mean"]
