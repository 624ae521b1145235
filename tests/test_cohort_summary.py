"""What the data page shows of a phantom is computed from its files and stays small."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from strokerepro import phantom
from strokerepro.cohort import Cohort, load_cohort
from strokerepro.experiment import read_acceptance, summarise_phantom
from strokerepro.experiment.evaluation import richest_slices
from strokerepro.phantom.acceptance import acceptance
from strokerepro.records import MAX_ARRAYS_BYTES, load_arrays

KINDS = ("lacune", "shower", "territorial")


@pytest.fixture(scope="module")
def cohort(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """Eight small subjects, made once; the atlas is kept between test runs."""
    root = tmp_path_factory.mktemp("phantom") / "cohort"
    with pytest.MonkeyPatch.context() as patch:
        cache = request.config.cache.mkdir("strokerepro-phantom")
        patch.setenv("STROKEREPRO_CACHE", str(cache))
        phantom.make_cohort("dwi", root, cases=8, size_px=48, seed=7)
    return load_cohort("phantom_dwi", root)


@pytest.fixture(scope="module")
def subjects(cohort: Cohort) -> pd.DataFrame:
    """The cohort's own table of subjects."""
    return pd.read_csv(cohort.root / "participants.tsv", sep="\t").set_index("participant_id")


@pytest.fixture(scope="module")
def written(cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder that the summary was written to."""
    return summarise_phantom(cohort, tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="module")
def arrays(written: Path) -> dict[str, np.ndarray]:
    """The example arrays."""
    return load_arrays(written / "examples.npz")


def test_two_files_are_written_under_the_cohorts_name(written: Path) -> None:
    """Nothing else is left, and the arrays are small enough for a checkout."""
    assert written.name == "phantom_dwi"
    assert {path.name for path in written.iterdir()} == {"acceptance.json", "examples.npz"}
    assert (written / "examples.npz").stat().st_size <= MAX_ARRAYS_BYTES


def test_the_marginals_carry_the_version_they_belong_to(cohort: Cohort, written: Path) -> None:
    """Version and hash of the frozen phantom stand beside its measured marginals."""
    content = read_acceptance(written)
    assert content.pop("phantom_version") == phantom.VERSIONS["dwi"]
    assert content.pop("config_hash") == phantom.config_hash("dwi")
    assert content == json.loads(json.dumps(acceptance(cohort.root)))
    assert content["subjects"] == 8


def test_the_raw_example_is_a_whole_embolic_shower(
    cohort: Cohort, subjects: pd.DataFrame, arrays: dict[str, np.ndarray]
) -> None:
    """Image, mask and spacing are those of one case on disk, of the right kind."""
    owners = [
        case for case, index in zip(cohort.case_ids, range(len(cohort)), strict=True)
        if np.array_equal(cohort[index].label, arrays["lesion"])
    ]  # fmt: skip
    assert [subjects.loc[case, "lesion_type"] for case in owners] == ["shower"]
    case = cohort[cohort.case_ids.index(owners[0])]
    np.testing.assert_array_equal(arrays["dwi"], case.arrays["dwi"])
    assert tuple(arrays["spacing_mm"]) == case.spacing_mm


@pytest.mark.parametrize("kind", KINDS)
def test_the_example_of_a_kind_has_its_median_volume(
    cohort: Cohort, subjects: pd.DataFrame, arrays: dict[str, np.ndarray], kind: str
) -> None:
    """No other case of the kind is nearer to the median; the richest slice is among the five."""
    group = subjects.query("lesion_type == @kind")["lesion_volume_ml"]
    typical = (group - group.median()).abs().idxmin()
    case = cohort[cohort.case_ids.index(typical)]
    assert arrays[f"{kind}/image"].shape == arrays[f"{kind}/lesion"].shape
    assert arrays[f"{kind}/image"].shape[0] == 5
    assert arrays[f"{kind}/image"].dtype == np.uint8
    per_slice = arrays[f"{kind}/lesion"].sum(axis=(1, 2))
    assert per_slice.max() == case.label.sum(axis=(1, 2)).max()
    assert tuple(arrays[f"{kind}/spacing_mm"]) == case.spacing_mm


def test_the_frequency_counts_subjects_with_a_lesion_at_each_voxel(
    cohort: Cohort, arrays: dict[str, np.ndarray]
) -> None:
    """The sum over voxels is that of all masks in MNI space; no voxel exceeds the subjects."""
    paths = sorted(cohort.root.glob("derivatives/*/*/*_space-MNI152_label-lesion.nii.gz"))
    masks = [np.asarray(nib.load(path).dataobj).T > 0 for path in paths]  # (Z, Y, X)
    assert len(masks) == 8
    np.testing.assert_array_equal(arrays["frequency"], np.sum(masks, axis=0))
    np.testing.assert_allclose(arrays["frequency_affine"], nib.load(paths[0]).affine)


@pytest.mark.parametrize(
    ("richest", "count", "expected"),
    [(4, 3, (3, 6)), (0, 3, (0, 3)), (9, 3, (7, 10)), (5, 4, (3, 7)), (2, 20, (0, 20))],
)
def test_shown_slices_surround_the_richest_and_stay_inside(
    richest: int, count: int, expected: tuple[int, int]
) -> None:
    """Ten slices: centred where there is room, moved inwards at an end, all if too few."""
    label = np.zeros((10, 4, 4), np.uint8)
    label[richest, 1:3, 1:3] = 1
    label[(richest + 1) % 10, 0, 0] = 1
    chosen = richest_slices(label, count)
    assert (chosen.start, chosen.stop) == expected
    assert label[chosen].sum() >= 4
