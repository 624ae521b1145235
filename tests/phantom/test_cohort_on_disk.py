"""The cohort folder: layout, headers, resumption, refusals, hashes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from strokerepro.errors import InputError, UsageError
from strokerepro.phantom import make_cohort, verify_hashes
from strokerepro.phantom.anatomy import Grid
from strokerepro.phantom.writing import write_volume

from .conftest import TINY

FIRST = "sub-strokecase0001"
IMAGES = f"{FIRST}/ses-0001"
DERIVED = f"derivatives/{FIRST}/ses-0001"


def _first(root: Path, name: str) -> nib.Nifti1Image:
    folder = {"dwi": f"{IMAGES}/dwi", "adc": f"{IMAGES}/dwi", "FLAIR": f"{IMAGES}/anat"}
    return nib.load(root / folder.get(name, DERIVED) / f"{FIRST}_ses-0001_{name}.nii.gz")


def test_the_layout_is_that_of_isles_2022(tiny_root: Path) -> None:
    """Every file of a case lies where the archive has it, and nothing unfinished is left."""
    for number in range(1, TINY["cases"] + 1):
        case = f"sub-strokecase{number:04d}"
        stem = f"{case}_ses-0001"
        for path in (
            f"{case}/ses-0001/dwi/{stem}_dwi.nii.gz",
            f"{case}/ses-0001/dwi/{stem}_adc.nii.gz",
            f"{case}/ses-0001/anat/{stem}_FLAIR.nii.gz",
            f"derivatives/{case}/ses-0001/{stem}_msk.nii.gz",
        ):
            assert (tiny_root / path).is_file()
    assert "SYNTHETIC" in (tiny_root / "README").read_text()
    assert not list(tiny_root.glob(".*"))


def test_the_table_has_one_row_per_participant(tiny_root: Path) -> None:
    """participants.tsv has the drawn facts under their names."""
    header, *rows = (tiny_root / "participants.tsv").read_text().splitlines()
    assert header.split("\t")[:2] == ["participant_id", "lesion_type"]
    assert {"age_days", "field_t", "lesion_volume_ml"} <= set(header.split("\t"))
    assert rows[0].split("\t")[0] == FIRST
    assert len(rows) == TINY["cases"]


def test_orientation_zooms_and_description(tiny_root: Path) -> None:
    """LAS; 230.4 mm over 48 pixels; thickness plus gap as third zoom; marked as synthetic."""
    dwi = _first(tiny_root, "dwi")
    assert nib.aff2axcodes(dwi.affine) == ("L", "A", "S")
    x, y, z = dwi.header.get_zooms()
    assert (x, y) == pytest.approx((4.8, 4.8))
    assert 6.0 <= z <= 6.5
    assert 19 <= dwi.shape[2] <= 23
    assert b"SYNTHETIC" in dwi.header["descrip"].tobytes()


def test_images_and_mask_share_a_grid_and_flair_does_not(tiny_root: Path) -> None:
    """DWI, ADC and mask agree in shape and affine; FLAIR has another shape and is oblique."""
    dwi, adc, mask, flair = (_first(tiny_root, name) for name in ("dwi", "adc", "msk", "FLAIR"))
    for other in (adc, mask):
        assert other.shape == dwi.shape
        assert np.allclose(other.affine, dwi.affine)
    assert flair.shape != dwi.shape
    assert np.abs(flair.affine[0, 1]) > 0


def test_volumes_are_small_integers(tiny_root: Path) -> None:
    """int16 images, a uint8 mask of 0 and 1, ADC of white matter near 730e-6 mm2/s."""
    dwi, adc, mask = (_first(tiny_root, name) for name in ("dwi", "adc", "msk"))
    assert dwi.get_data_dtype() == adc.get_data_dtype() == np.int16
    assert mask.get_data_dtype() == np.uint8
    assert set(np.unique(np.asanyarray(mask.dataobj))) == {0, 1}
    values = np.asanyarray(adc.dataobj)
    assert 700 < np.median(values[(values > 300) & (values < 1500)]) < 900


def test_the_mask_in_template_space_is_near_the_lesion(tiny_root: Path) -> None:
    """The 4 mm template mask holds about as much tissue as the mask, corrected for head size."""
    template = _first(tiny_root, "space-MNI152_label-lesion")
    assert template.header.get_zooms() == pytest.approx((4.0, 4.0, 4.0))
    assert template.shape == (50, 59, 48)
    assert np.asanyarray(template.dataobj).any()


def test_the_same_seed_gives_the_same_bytes(tiny_root: Path, tmp_path: Path) -> None:
    """Files of two runs are equal byte by byte, whenever and wherever they were written."""
    again = make_cohort("dwi", tmp_path / "again", cases=1, size_px=48, seed=7)
    for name in ("dwi", "adc", "FLAIR", "msk"):
        path = _first(tiny_root, name).get_filename()
        assert Path(path).read_bytes() == (again / Path(path).relative_to(tiny_root)).read_bytes()


def test_an_interrupted_run_is_completed_and_finished_cases_are_kept(tmp_path: Path) -> None:
    """After an interruption the second run keeps what is there and makes the rest."""
    root = tmp_path / "cohort"

    def stop(done: int, total: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_cohort("dwi", root, cases=2, size_px=32, seed=1, progress=stop)
    kept = root / DERIVED / f"{FIRST}_ses-0001_msk.nii.gz"
    written = kept.stat().st_mtime_ns
    assert not (root / "hashes.json").exists()
    seen: list[tuple[int, int]] = []
    make_cohort("dwi", root, cases=2, size_px=32, seed=1, progress=lambda *a: seen.append(a))
    assert seen == [(1, 2), (2, 2)]
    assert kept.stat().st_mtime_ns == written
    assert verify_hashes(root) == []


def test_a_half_moved_case_is_completed(tiny_root: Path, tmp_path: Path) -> None:
    """A case whose mask is in place but whose images are not gets its images, bit for bit."""
    root = tmp_path / "copy"
    shutil.copytree(tiny_root, root)
    shutil.rmtree(root / FIRST)
    (root / "hashes.json").unlink()
    make_cohort("dwi", root, **TINY)
    assert verify_hashes(root) == []
    assert (root / "hashes.json").read_text() == (tiny_root / "hashes.json").read_text()
    assert not list(root.glob(".*"))


def test_a_complete_cohort_is_left_alone(tiny_root: Path) -> None:
    """A second call returns at once and reports everything as done."""
    seen: list[tuple[int, int]] = []
    make_cohort("dwi", tiny_root, **TINY, progress=lambda *a: seen.append(a))
    assert seen == [(6, 6)]


def test_a_changed_voxel_and_a_missing_file_are_found(tiny_root: Path, tmp_path: Path) -> None:
    """verify_hashes names exactly the damaged and the missing volume."""
    root = tmp_path / "copy"
    shutil.copytree(tiny_root, root)
    dwi = f"{IMAGES}/dwi/{FIRST}_ses-0001_dwi.nii.gz"
    image = nib.load(root / dwi)
    voxels = np.asanyarray(image.dataobj).copy()
    voxels[3, 3, 3] += 1
    write_volume(root / dwi, voxels, Grid(voxels.shape, image.affine))
    mask = f"{DERIVED}/{FIRST}_ses-0001_msk.nii.gz"
    (root / mask).unlink()
    assert sorted(verify_hashes(root)) == sorted([dwi, mask])


def test_hashes_of_an_incomplete_folder_are_refused(tmp_path: Path) -> None:
    """A folder without the list of hashes is no complete cohort."""
    with pytest.raises(InputError, match=r"hashes\.json"):
        verify_hashes(tmp_path)


def test_another_cohort_in_the_folder_is_refused_by_name(tiny_root: Path) -> None:
    """The message says which setting differs, and the cohort is untouched."""
    with pytest.raises(InputError, match="differs in seed"):
        make_cohort("dwi", tiny_root, cases=6, size_px=48, seed=8)
    assert json.loads((tiny_root / "phantom.json").read_text())["seed"] == 7


def test_foreign_content_is_refused(tmp_path: Path) -> None:
    """A folder with anything else in it is not written to."""
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(InputError, match="other content"):
        make_cohort("dwi", tmp_path, cases=1, size_px=32, seed=0)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_file_in_place_of_the_folder_is_one_line(tmp_path: Path) -> None:
    """A path that cannot become a folder ends in one line."""
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="can be written") as caught:
        make_cohort("dwi", tmp_path / "file" / "cohort", cases=1, size_px=32, seed=0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "wrong", [{"cases": 0}, {"size_px": 8}, {"seed": -1}], ids=lambda wrong: next(iter(wrong))
)
def test_numbers_out_of_range_are_wrong_use(tmp_path: Path, wrong: dict[str, int]) -> None:
    """No cases, too small a matrix and a negative seed are refused before anything is written."""
    settings = {"cases": 1, "size_px": 32, "seed": 0} | wrong
    with pytest.raises(UsageError, match=next(iter(wrong))):
        make_cohort("dwi", tmp_path / "cohort", **settings)
    assert not (tmp_path / "cohort").exists()


def test_an_unknown_kind_is_wrong_use(tmp_path: Path) -> None:
    """A kind that does not exist is answered with those that do."""
    with pytest.raises(UsageError, match="unknown phantom kind"):
        make_cohort("pet", tmp_path, cases=1, size_px=32, seed=0)
