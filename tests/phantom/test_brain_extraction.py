"""What is not brain is zero, as in the public images the phantom stands in for."""

from __future__ import annotations

import numpy as np
import pytest

from strokerepro.phantom.atlas import Atlas
from strokerepro.phantom.brain_extraction import extracted_brain
from strokerepro.phantom.dwi import make_dwi_case
from strokerepro.phantom.dwi_config import DWI


def test_faint_voxels_are_cut_and_voids_inside_are_kept() -> None:
    """A ring of brain keeps its dark middle; what is faint outside goes."""
    image = np.zeros((7, 7, 1))
    image[1:6, 1:6] = 100.0
    image[3, 3] = 0.0  # a void
    image[0, 0] = 15.0  # fainter than a fifth of the parenchyma
    brain = extracted_brain(image, parenchyma=100.0, floor=0.2)
    assert brain[3, 3, 0]
    assert not brain[0, 0, 0]
    assert brain.sum() == 25


def test_all_images_of_a_subject_are_zero_outside_the_brain(atlas: Atlas) -> None:
    """The corners hold no noise, the brain no zeros, as in ISLES 2022."""
    case = make_dwi_case(2, size_px=48, seed=1, config=DWI)
    for volume in (case.dwi, case.adc, case.flair):
        assert not volume[:3, :3].any()
        assert 0.55 < (volume == 0).mean() < 0.9
    assert (case.dwi[case.adc > 300] > 0).mean() == pytest.approx(1.0, abs=0.01)
