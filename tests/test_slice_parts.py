"""A case parted by slices: every slice on one side, with everything that belongs to it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from strokerepro.cohort import slice_folds
from strokerepro.errors import UsageError
from strokerepro.preprocess import PreparedCase, Window, plan_resize, slice_parts
from strokerepro.preprocess.geometry import Geometry

DEPTH = 7


def a_case(depth: int = DEPTH, **changed: object) -> PreparedCase:
    """Every voxel of slice z holds z + 1; lesion and rule in slices of their own."""
    shape = (depth, 4, 4)
    numbered = np.broadcast_to(np.arange(1, depth + 1)[:, None, None], shape)
    label = np.zeros(shape, np.uint8)
    label[:, 1, : 1 + depth // 2] = 1
    rules = {"rule": (numbered % 2).astype(np.uint8)}
    case = PreparedCase(
        case_id="case_7",
        patient_id="p",
        image=np.stack([numbered, -numbered]).astype(np.float32),
        label=label,
        spacing_mm=(5.0, 1.0, 1.0),
        geometry=Geometry(shape, (5.0, 1.0, 1.0), 1, (1.0, 1.0), Window(0, 0, 4, 4)),
        native_lesion_voxels=int(label.sum()),
        foreground=numbered > 0,
        baselines=rules,
        native_label=label,
        native_baselines=rules,
        channels=("a", "b"),
    )
    return replace(case, **changed)  # type: ignore[arg-type]


def slices_of(part: PreparedCase | None) -> list[int]:
    """Numbers of the slices of a part."""
    return [] if part is None else [int(value) - 1 for value in part.image[0, :, 0, 0]]


def test_every_slice_is_tested_once_and_trained_on_else() -> None:
    """Over the four folds, in the order of the case."""
    tested = []
    for fold in range(4):
        train, test = (slices_of(part) for part in slice_parts(a_case(), fold, 4, seed=0))
        assert sorted(train + test) == list(range(DEPTH))
        assert train == sorted(train)
        parts = slice_parts(a_case(), fold, 4, seed=0)
        assert [part and list(part.file_slices) for part in parts] == [train, test]
        assert test == np.flatnonzero(slice_folds(DEPTH, 4, 0, "case_7") == fold).tolist()
        tested += test
    assert sorted(tested) == list(range(DEPTH))


def test_masks_go_with_their_slices() -> None:
    """Label, foreground and rules, on both grids, and the way back."""
    case = a_case()
    for part in slice_parts(case, 0, 3, seed=1):
        assert part is not None
        rows = slices_of(part)
        assert case.label is not None
        assert part.label is not None
        assert part.native_label is not None
        assert part.foreground is not None
        assert (part.label == case.label[rows]).all()
        assert (part.native_label == case.label[rows]).all()
        assert part.native_lesion_voxels == case.label[rows].sum()
        assert part.foreground.shape == part.label.shape
        for rules in (part.baselines, part.native_baselines):
            assert (rules["rule"] == case.baselines["rule"][rows]).all()
        assert part.channels == ("a", "b")
        assert part.geometry.shape == part.label.shape
        assert (part.geometry.restore(part.image[0]) == part.image[0]).all()


def test_a_resized_case_goes_back_slice_by_slice() -> None:
    """The restored part has the slices of the restored case."""
    geometry = plan_resize((DEPTH, 9, 9), (5.0, 1.0, 1.0), size_px=4)
    case = a_case(geometry=geometry)
    _, part = slice_parts(case, 1, 2, seed=0)
    assert part is not None
    whole = geometry.restore(case.image[0])
    assert np.allclose(part.geometry.restore(part.image[0]), whole[slices_of(part)])


def test_a_part_without_slices_is_none() -> None:
    """Of two slices and four folds two test nothing, and then all is trained on."""
    case = a_case(depth=2)
    parts = [slice_parts(case, fold, 4, seed=0) for fold in range(4)]
    without = [train for train, test in parts if test is None]
    assert without == [case, case]
    assert [train is None for train, _ in parts] == [False] * 4
    single = [slice_parts(a_case(depth=1), fold, 2, seed=0) for fold in range(2)]
    assert sorted((train is None, test is None) for train, test in single) == [
        (False, True),
        (True, False),
    ]


def test_a_case_without_mask_is_parted_too() -> None:
    """Nothing is invented."""
    bare = a_case(label=None, native_label=None, foreground=None, native_lesion_voxels=0)
    train, _ = slice_parts(bare, 0, 2, seed=0)
    assert train is not None
    assert train.label is train.foreground is train.native_label is None
    assert train.native_lesion_voxels == 0


@pytest.mark.parametrize("fold", [-1, 4])
def test_an_impossible_fold_is_refused(fold: int) -> None:
    """Folds are counted from 0."""
    with pytest.raises(UsageError, match="fold from 0 to 3"):
        slice_parts(a_case(), fold, 4, seed=0)


def test_averaged_slices_are_not_parted() -> None:
    """One prepared slice stands for several of the file."""
    thick = a_case(geometry=replace(a_case().geometry, block=2))
    with pytest.raises(UsageError, match="2 slices averaged"):
        slice_parts(thick, 0, 2, seed=0)
