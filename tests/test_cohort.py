"""Cases are read with distrust, and patients are never split between folds."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strokerepro.cohort import (
    Case,
    case_folds,
    load_cohort,
    patient_folds,
    read_case_dir,
    read_volume,
    save_volume,
    slice_folds,
)
from strokerepro.errors import InputError, UsageError
from strokerepro.manifest import PhantomSpec, load_manifest, verify

TinyCohort = Callable[..., Path]
WriteNifti = Callable[..., Path]

CASE = "sub-strokecase0002"
FILES = {
    "dwi": f"ISLES-2022/{CASE}/ses-0001/dwi/{CASE}_ses-0001_dwi.nii.gz",
    "adc": f"ISLES-2022/{CASE}/ses-0001/dwi/{CASE}_ses-0001_adc.nii.gz",
    "flair": f"ISLES-2022/{CASE}/ses-0001/anat/{CASE}_ses-0001_FLAIR.nii.gz",
    "label": f"ISLES-2022/derivatives/{CASE}/ses-0001/{CASE}_ses-0001_msk.nii.gz",
}


def test_a_case_is_read_in_z_y_x_with_the_spacing_of_its_header(
    tiny_cohort: TinyCohort,
) -> None:
    """Axes are turned to (Z, Y, X), values stay, the spacing follows the axes."""
    root = tiny_cohort(shape=(7, 24, 20), spacing_mm=(5.0, 2.0, 1.5))
    case = load_cohort("isles2022", root)[1]
    on_disk = nib.load(root / FILES["dwi"])
    assert case.case_id == case.patient_id == CASE
    assert case.shape == (7, 24, 20)
    assert case.spacing_mm == (5.0, 2.0, 1.5)
    assert case.arrays["dwi"].dtype == np.float32
    assert case.arrays["dwi"][3, 10, 8] == np.float32(on_disk.dataobj[8, 10, 3])
    assert np.array_equal(case.affine, on_disk.affine)
    assert case.label is not None
    assert (case.label.dtype, case.label.sum()) == (np.uint8, 75)


def test_by_default_the_common_grid_is_read_and_flair_only_when_asked(
    tiny_cohort: TinyCohort,
) -> None:
    """FLAIR keeps its own grid, apart from the modalities that can be stacked."""
    root = tiny_cohort()
    plain = load_cohort("isles2022", root)[0]
    asked = load_cohort("isles2022", root, modalities=["flair"])[0]
    assert (set(plain.arrays), set(plain.off_grid)) == ({"dwi", "adc"}, set())
    assert (set(asked.arrays), set(asked.off_grid)) == ({"dwi"}, {"flair"})
    assert asked.off_grid["flair"].array.shape == (4, 30, 30)
    assert asked.off_grid["flair"].spacing_mm == pytest.approx((3.5, 1.6, 1.6))


def test_negative_values_are_kept(tiny_cohort: TinyCohort, write_nifti: WriteNifti) -> None:
    """Real DWI and ADC hold negative values; nothing is clipped."""
    root = tiny_cohort()
    write_nifti(root / FILES["adc"], np.full((7, 24, 20), -0.3, dtype=np.float32))
    assert load_cohort("isles2022", root)[1].arrays["adc"].min() == np.float32(-0.3)


def test_spacing_comes_from_the_zooms_where_the_affine_is_an_identity(
    tiny_cohort: TinyCohort,
) -> None:
    """Some releases carry the spacing in the zooms only."""
    root = tiny_cohort(cases=1)
    folder = root / "ISLES-2022" / "sub-strokecase0001" / "ses-0001" / "dwi"
    for path in folder.iterdir():
        image = nib.Nifti1Image(np.asarray(nib.load(path).dataobj), np.eye(4))
        image.header.set_zooms((0.9, 0.8, 12.0))
        nib.save(image, path)
    volume = read_volume(next(folder.glob("*dwi.nii.gz")), root)
    assert volume.spacing_mm == (12.0, 0.8, 0.9)  # not 0.8000000119, its float32
    assert np.array_equal(volume.affine, np.eye(4))


def shortened(path: Path) -> None:
    """Keep the first half of a compressed file."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def with_value(value: float) -> Callable[[Path], None]:
    """Put one value into one voxel of a file."""

    def put(path: Path) -> None:
        image = nib.load(path)
        values = np.asarray(image.dataobj, dtype=np.float32)
        values[2, 3, 4] = value
        nib.save(nib.Nifti1Image(values, image.affine), path)

    return put


def with_shape(*shape: int) -> Callable[[Path], None]:
    """Replace a file by ones of another shape (X, Y, Z, ...)."""

    def put(path: Path) -> None:
        nib.save(nib.Nifti1Image(np.ones(shape, np.float32), nib.load(path).affine), path)

    return put


def with_shift(shift_mm: float) -> Callable[[Path], None]:
    """Move a file's origin."""

    def put(path: Path) -> None:
        image = nib.load(path)
        affine = image.affine.copy()
        affine[0, 3] += shift_mm
        nib.save(nib.Nifti1Image(np.asarray(image.dataobj), affine), path)

    return put


def as_link_out(path: Path) -> None:
    """Replace a file by a link to a copy outside the data root."""
    outside = path.parents[4] / "outside.nii.gz"
    path.replace(outside)
    path.symlink_to(outside)


def as_complex(path: Path) -> None:
    """Replace a file by one of complex numbers."""
    nib.save(nib.Nifti1Image(np.zeros((20, 24, 7), np.complex64), nib.load(path).affine), path)


@pytest.mark.parametrize(
    ("which", "damage", "message"),
    [
        ("adc", shortened, "broken or truncated"),
        ("dwi", lambda path: path.write_text("no image"), "a NIfTI image"),
        ("dwi", lambda path: path.write_bytes(gzip.compress(b"no image")), "a NIfTI image"),
        ("adc", with_shape(20, 24, 6), "shape of the reference image"),
        ("label", with_shape(20, 24, 6), "shape of the reference image"),
        ("dwi", with_shape(20, 24), "three axes"),
        ("dwi", with_shape(20, 24, 7, 2), "three axes"),
        ("dwi", as_complex, "real numbers"),
        ("adc", with_shift(0.01), "affine differs by 0.01"),
        ("label", with_shift(1.0), "affine differs by 1"),
        ("dwi", with_value(np.nan), "1 NaN or infinite voxels"),
        ("adc", with_value(np.inf), "1 NaN or infinite voxels"),
        ("label", with_value(2), "1 voxels such as 2"),
        ("label", with_value(0.5), "1 voxels such as 0.5"),
        ("dwi", as_link_out, "leads out"),
    ],
)
def test_a_faulty_file_is_one_line_that_names_it(
    tiny_cohort: TinyCohort, which: str, damage: Callable[[Path], None], message: str
) -> None:
    """Every fault says which file, what was expected, and what to do; other cases still read."""
    root = tiny_cohort()
    damage(root / FILES[which])
    cohort = load_cohort("isles2022", root)
    with pytest.raises(InputError) as caught:
        cohort[1]
    assert message in str(caught.value)
    assert Path(FILES[which]).name in caught.value.got
    assert "\n" not in str(caught.value)
    assert cohort[0].case_id == "sub-strokecase0001"


def test_affines_within_rounding_are_one_grid(tiny_cohort: TinyCohort) -> None:
    """Headers of one scan differ in their last digits; 1e-3 is tolerated."""
    root = tiny_cohort()
    with_shift(0.0005)(root / FILES["adc"])
    assert load_cohort("isles2022", root)[1].case_id == CASE


def test_a_trailing_axis_of_length_one_is_dropped(tiny_cohort: TinyCohort) -> None:
    """Some converters write (X, Y, Z, 1)."""
    root = tiny_cohort()
    with_shape(20, 24, 7, 1)(root / FILES["adc"])
    assert load_cohort("isles2022", root)[1].arrays["adc"].shape == (7, 24, 20)


@pytest.mark.parametrize("which", ["dwi", "adc", "label"])
def test_a_missing_file_is_reported_when_the_cohort_is_opened(
    tiny_cohort: TinyCohort, which: str
) -> None:
    """Nobody trains for an hour before the missing file is met."""
    root = tiny_cohort()
    (root / FILES[which]).unlink()
    with pytest.raises(InputError, match=rf"1 of 3 cases incomplete, {CASE} lacks {which}"):
        load_cohort("isles2022", root)


def test_an_empty_case_folder_is_reported(tiny_cohort: TinyCohort) -> None:
    """A folder without files lacks all of them."""
    root = tiny_cohort()
    (root / "ISLES-2022" / "sub-strokecase0004").mkdir()
    with pytest.raises(InputError, match="sub-strokecase0004 lacks dwi, adc, label"):
        load_cohort("isles2022", root)


def test_what_is_not_asked_for_need_not_be_there(tiny_cohort: TinyCohort) -> None:
    """A DWI-only study works without ADC and FLAIR."""
    root = tiny_cohort()
    (root / FILES["adc"]).unlink()
    (root / FILES["flair"]).unlink()
    assert set(load_cohort("isles2022", root, modalities=["dwi"])[1].arrays) == {"dwi"}


def test_a_folder_without_cases_says_how_to_obtain_them(tmp_path: Path) -> None:
    """An empty root is one line with the command to fetch."""
    with pytest.raises(InputError, match="data fetch isles2022"):
        load_cohort("isles2022", tmp_path)


def test_real_data_need_a_root() -> None:
    """Without a folder the message asks for one, with exit code 2."""
    with pytest.raises(UsageError, match="--root DIR"):
        load_cohort("isles2022")


def test_an_unknown_modality_lists_the_known_ones(tiny_cohort: TinyCohort) -> None:
    """A typing error in a modality is answered with the right names."""
    with pytest.raises(UsageError, match="one of adc, dwi, flair"):
        load_cohort("isles2022", tiny_cohort(), modalities=["dwl"])


def test_cases_are_read_only_when_asked_for(tiny_cohort: TinyCohort) -> None:
    """Opening a cohort with a broken file succeeds; the other cases iterate in order."""
    root = tiny_cohort()
    shortened(root / FILES["dwi"])
    cohort = load_cohort("isles2022", root)
    assert len(cohort) == 3
    assert cohort[-1].case_id == "sub-strokecase0003"
    with pytest.raises(IndexError):
        cohort[3]


def test_a_cohort_iterates_over_its_cases(tiny_cohort: TinyCohort) -> None:
    """A for loop ends after the last case."""
    cohort = load_cohort("isles2022", tiny_cohort())
    assert tuple(case.case_id for case in cohort) == cohort.case_ids


def test_a_phantom_is_made_in_the_users_cache_on_demand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a root the phantom is written once into its cache folder, and then kept."""
    place = "strokerepro.cohort.loading.cohort_cache_dir"
    monkeypatch.setattr(place, lambda *spec: tmp_path.joinpath(*map(str, spec)))
    manifest = load_manifest("phantom_dwi")
    spec = PhantomSpec(kind="dwi", cases=2, size_px=32, seed=7)
    small = manifest.model_copy(update={"phantom": spec, "expected_cases": 2})
    monkeypatch.setattr("strokerepro.cohort.loading.load_manifest", lambda name: small)
    cohort = load_cohort("phantom_dwi", modalities=["dwi", "adc", "flair"])
    assert len(cohort) == 2
    assert cohort.root == tmp_path / "dwi" / "2" / "32" / "7"
    assert verify(small, cohort.root).ok
    written = [path.stat().st_mtime_ns for path in sorted(cohort.root.rglob("*.nii.gz"))]
    case = load_cohort("phantom_dwi", root="")[0]
    assert case.label is not None
    assert written == [path.stat().st_mtime_ns for path in sorted(cohort.root.rglob("*.nii.gz"))]


HEADER_BYTES = 352


@pytest.fixture(scope="module")
def plain_nifti(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One small uncompressed NIfTI file."""
    path = tmp_path_factory.mktemp("fuzz") / "whole.nii"
    nib.save(nib.Nifti1Image(np.ones((4, 3, 2), np.int16), np.eye(4)), path)
    return path


@settings(max_examples=150, deadline=None)
@given(
    changes=st.lists(st.tuples(st.integers(0, HEADER_BYTES - 1), st.integers(0, 255)), max_size=6),
    kept=st.integers(0, HEADER_BYTES + 48),
)
def test_no_header_makes_reading_fail_otherwise_than_in_one_line(
    plain_nifti: Path, changes: list[tuple[int, int]], kept: int
) -> None:
    """Whatever a header holds, a file is either read as finite numbers or refused."""
    content = bytearray(plain_nifti.read_bytes())
    for position, value in changes:
        content[position] = value
    path = plain_nifti.with_name("changed.nii")
    path.write_bytes(content[:kept] if kept % 3 == 0 else content)
    try:
        volume = read_volume(path, path.parent)
    except InputError:
        return
    assert volume.array.ndim == 3
    assert np.isfinite(volume.array).all()
    assert min(volume.spacing_mm) > 0


def test_a_header_that_announces_a_giant_is_refused_before_reading(plain_nifti: Path) -> None:
    """Three axes of 32767 would need 140 TB; the file is refused by its header."""
    content = bytearray(plain_nifti.read_bytes())
    struct.pack_into("<3h", content, 42, 32767, 32767, 32767)  # dim[1..3]
    path = plain_nifti.with_name("giant.nii")
    path.write_bytes(content)
    with pytest.raises(InputError, match="at most"):
        read_volume(path, path.parent)


@pytest.mark.parametrize(
    ("offset", "message"),
    [(80, "expected a spacing of"), (280, "affine that is not finite")],  # pixdim[1], srow_x[0]
)
def test_a_header_of_nan_is_refused(plain_nifti: Path, offset: int, message: str) -> None:
    """Spacing and position must be numbers."""
    content = bytearray(plain_nifti.read_bytes())
    struct.pack_into("<f", content, offset, float("nan"))
    path = plain_nifti.with_name("nan.nii")
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_volume(path, path.parent)


def test_an_image_of_another_format_is_refused(tmp_path: Path) -> None:
    """What can be read but is no NIfTI has other conventions for spacing and axes."""
    path = tmp_path / "image.mgz"
    nib.save(nib.MGHImage(np.ones((2, 3, 4), np.float32), np.eye(4)), path)
    with pytest.raises(InputError, match=r"image\.mgz, MGHImage; expected a NIfTI image"):
        read_volume(path, tmp_path)


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    """A file that vanished since the cohort was opened is one line."""
    with pytest.raises(InputError, match=r"no file .*gone"):
        read_volume(tmp_path / "gone.nii.gz", tmp_path)


def test_equal_affines_do_not_hide_unequal_spacing(tiny_cohort: TinyCohort) -> None:
    """Where the affine is an identity in all files, the zooms tell the grids apart."""
    root = tiny_cohort()
    for which, zoom in (("dwi", 0.9), ("adc", 0.8), ("label", 0.9)):
        image = nib.Nifti1Image(np.asarray(nib.load(root / FILES[which]).dataobj), np.eye(4))
        image.header.set_zooms((zoom, zoom, 5.0))
        nib.save(image, root / FILES[which])
    with pytest.raises(InputError, match=r"adc\.nii\.gz with spacing"):
        load_cohort("isles2022", root)[1]


def a_case(spacing_mm: tuple[float, float, float] = (12.0, 0.8, 0.9)) -> Case:
    """Make a case of 3 x 4 x 5 voxels whose affine is an identity."""
    array = np.zeros((3, 4, 5), dtype=np.float32)
    return Case("a", "a", {"dwi": array}, np.eye(4), spacing_mm)


@pytest.mark.parametrize("name", ["out.nii.gz", "out.nii"])
@pytest.mark.parametrize(
    ("given_type", "stored_type"),
    [(np.float64, np.float32), (np.bool_, np.uint8), (np.int32, np.int32)],
)
def test_a_saved_volume_lies_on_the_grid_of_the_case(
    tmp_path: Path, name: str, given_type: type, stored_type: type
) -> None:
    """What is written reads back with values, affine and spacing of the case."""
    volume = (np.arange(60).reshape(3, 4, 5) % 2).astype(given_type)
    save_volume(tmp_path / name, volume, a_case())
    read = read_volume(tmp_path / name, tmp_path)
    assert np.array_equal(read.array, volume)
    assert np.array_equal(read.affine, np.eye(4))
    assert read.spacing_mm == pytest.approx((12.0, 0.8, 0.9))
    assert nib.load(tmp_path / name).get_data_dtype() == stored_type
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_volume_on_another_grid_is_not_saved(tmp_path: Path) -> None:
    """A prediction that was not restored to the file's grid is refused."""
    with pytest.raises(InputError, match="restore the volume"):
        save_volume(tmp_path / "out.nii.gz", np.zeros((3, 4, 6)), a_case())
    with pytest.raises(UsageError, match=r"\.nii"):
        save_volume(tmp_path / "out.png", np.zeros((3, 4, 5)), a_case())
    assert list(tmp_path.iterdir()) == []


def test_one_folder_in_the_layout_is_read_with_its_mask_if_there_is_one(
    tiny_cohort: TinyCohort,
) -> None:
    """For a prediction the mask is welcome but not needed."""
    root, manifest = tiny_cohort(), load_manifest("isles2022")
    folder = root / "ISLES-2022" / CASE
    assert read_case_dir(folder, manifest).label is not None
    (root / FILES["label"]).unlink()
    case = read_case_dir(folder, manifest, ["dwi"])
    assert (case.case_id, case.label, set(case.arrays)) == (CASE, None, {"dwi"})


def test_one_folder_of_ones_own_is_read_by_file_names(
    tmp_path: Path, write_nifti: WriteNifti
) -> None:
    """Any folder with one file per modality serves, whatever it is called."""
    volume = np.ones((2, 3, 4), np.float32)
    write_nifti(tmp_path / "mine" / "scan_DWI.nii.gz", volume)
    write_nifti(tmp_path / "mine" / "adc.nii", volume)
    case = read_case_dir(tmp_path / "mine", load_manifest("isles2022"))
    assert (case.case_id, set(case.arrays)) == ("mine", {"dwi", "adc"})


def test_one_folder_with_two_candidates_or_none_is_refused(
    tmp_path: Path, write_nifti: WriteNifti
) -> None:
    """It is not guessed which of two files is meant."""
    manifest, volume = load_manifest("isles2022"), np.ones((2, 3, 4), np.float32)
    with pytest.raises(InputError, match="0 files for dwi"):
        read_case_dir(tmp_path, manifest, ["dwi"])
    write_nifti(tmp_path / "dwi.nii.gz", volume)
    write_nifti(tmp_path / "other_dwi.nii.gz", volume)
    with pytest.raises(InputError, match="2 files for dwi"):
        read_case_dir(tmp_path, manifest, ["dwi"])
    with pytest.raises(InputError, match="no folder"):
        read_case_dir(tmp_path / "nowhere", manifest)


PATIENTS = st.lists(st.integers(0, 30).map(str), min_size=1, max_size=60)


@given(patients=PATIENTS, k=st.integers(2, 6), seed=st.integers(0, 99))
def test_folds_are_disjoint_exhaustive_even_and_by_patient(
    patients: list[str], k: int, seed: int
) -> None:
    """Every case is tested once, no patient is on both sides, fold sizes differ by at most 1."""
    if len(set(patients)) < k:
        with pytest.raises(UsageError, match="folds for"):
            patient_folds(patients, k, seed)
        return
    folds = patient_folds(patients, k, seed)
    assert sorted(i for fold in folds for i in fold.test) == list(range(len(patients)))
    sizes = []
    for fold in folds:
        train, test = ({patients[i] for i in part} for part in (fold.train, fold.test))
        assert not train & test
        assert sorted(fold.train + fold.test) == list(range(len(patients)))
        sizes.append(len(test))
    assert max(sizes) - min(sizes) <= 1


@given(patients=PATIENTS.filter(lambda p: len(set(p)) > 2), order=st.randoms(), seed=st.integers(0))
def test_folds_do_not_depend_on_the_order_of_the_cases(
    patients: list[str], order: st.DataObject, seed: int
) -> None:
    """Two file systems that list folders differently give the same folds."""
    shuffled = list(patients)
    order.shuffle(shuffled)
    for one, other in zip(
        patient_folds(patients, 3, seed), patient_folds(shuffled, 3, seed), strict=True
    ):
        assert {patients[i] for i in one.test} == {shuffled[i] for i in other.test}


def test_the_folds_of_a_seed_are_fixed() -> None:
    """Records of different years must mean the same cases; a change here voids them all."""
    folds = patient_folds([f"p{n}" for n in range(7)], 3, 0)
    assert [fold.test for fold in folds] == [(2, 3, 4), (5, 6), (0, 1)]


@pytest.mark.parametrize("fold", [0, 1, 2])
def test_a_split_has_three_disjoint_parts_with_the_test_set_of_its_fold(
    tiny_cohort: TinyCohort, fold: int
) -> None:
    """Validation patients come from the training patients only."""
    cohort = load_cohort("isles2022", tiny_cohort(cases=9))
    split = cohort.split(fold, k=3, val_fraction=0.34, seed=5)
    assert split.test == cohort.folds(3, 5)[fold].test
    assert (len(split.train), len(split.val), len(split.test)) == (4, 2, 3)
    assert sorted(split.train + split.val + split.test) == list(range(9))
    assert split == cohort.split(fold, k=3, val_fraction=0.34, seed=5)


def test_a_split_without_validation_trains_on_all_the_rest(tiny_cohort: TinyCohort) -> None:
    """A share of 0 holds out nobody; a tiny share at least one patient."""
    cohort = load_cohort("isles2022", tiny_cohort(cases=4))
    assert cohort.split(0, 2, 0.0, 0).val == ()
    assert len(cohort.split(0, 2, 0.01, 0).val) == 1


@pytest.mark.parametrize(("fold", "share"), [(2, 0.1), (-1, 0.1), (0, 1.0), (0, -0.1), (0, 0.9)])
def test_an_impossible_split_is_refused(tiny_cohort: TinyCohort, fold: int, share: float) -> None:
    """No such fold, no such share, or nobody left to train on."""
    cohort = load_cohort("isles2022", tiny_cohort(cases=4))
    with pytest.raises(UsageError):
        cohort.split(fold, 2, share, 0)


@given(depth=st.integers(1, 40), k=st.integers(2, 6), seed=st.integers(0, 99))
def test_slices_are_dealt_out_evenly(depth: int, k: int, seed: int) -> None:
    """Folds of a case differ by at most one slice, and repeat."""
    folds = slice_folds(depth, k, seed, "case_7")
    counts = np.bincount(folds, minlength=k)
    assert counts.sum() == depth
    assert len(counts) == k
    assert counts.max() - counts.min() <= 1
    assert (folds == slice_folds(depth, k, seed, "case_7")).all()


def test_slices_of_many_thin_cases_fill_all_folds() -> None:
    """94 cases of two slices: no fold of four has far more than a quarter of the 188."""
    folds = np.concatenate([slice_folds(2, 4, 0, f"case_{n}") for n in range(94)])
    assert np.bincount(folds, minlength=4) == pytest.approx(np.full(4, 47), abs=14)


def test_folds_by_case_part_patients() -> None:
    """Twenty slabs of ten patients in four folds of five: no fold can hold pairs alone."""
    patients, cases = [f"p{n // 2}" for n in range(20)], [f"case_{n}" for n in range(20)]
    folds = case_folds(cases, 4, 0)
    assert sorted(i for fold in folds for i in fold.test) == list(range(20))
    assert {len(fold.test) for fold in folds} == {5}
    for fold in folds:
        assert {patients[i] for i in fold.train} & {patients[i] for i in fold.test}
    assert [fold.test for fold in folds] == [fold.test for fold in patient_folds(cases, 4, 0)]
    with pytest.raises(UsageError, match="21 folds for 20 cases"):
        case_folds(cases, 21, 0)
    with pytest.raises(UsageError, match="1 folds of slices"):
        slice_folds(4, 1, 0, "case_1")


def test_a_split_by_case_holds_out_cases(tiny_cohort: TinyCohort) -> None:
    """The test set is that of the folds by case; another unit is refused."""
    cohort = load_cohort("isles2022", tiny_cohort(cases=6))
    split = cohort.split(1, 3, 0.25, 0, by="case")
    assert split.test == cohort.folds(3, 0, by="case")[1].test
    assert (len(split.train), len(split.val), len(split.test)) == (3, 1, 2)
    with pytest.raises(UsageError, match="case, patient"):
        cohort.split(1, 3, 0.25, 0, by="slice")  # type: ignore[arg-type]


def test_default_folds_are_those_of_the_manifest(tiny_cohort: TinyCohort) -> None:
    """ISLES 2022 is cut in five with seed 0."""
    cohort = load_cohort("isles2022", tiny_cohort(cases=6))
    assert cohort.folds() == cohort.folds(5, 0)


@pytest.mark.real_data
def test_the_real_sample_case_is_read(real_data: Path) -> None:
    """The published sample case of ISLES 2022 has the shape and mask that were inspected."""
    cohort = load_cohort("isles2022", real_data / "isles2022_sample", ["dwi", "adc", "flair"])
    case = cohort[0]
    assert (len(cohort), case.case_id) == (1, "sub-strokecase0009")
    assert case.shape == (73, 112, 112)
    assert case.spacing_mm == (2.0, 2.0, 2.0)
    assert case.label is not None
    assert int(case.label.sum()) == 523
    assert case.arrays["dwi"].min() == pytest.approx(-5.656, abs=1e-3)
    assert case.off_grid["flair"].array.shape == (29, 512, 512)


def test_a_spacing_that_is_almost_zero_is_refused(plain_nifti: Path) -> None:
    """A denormal number is above zero, and no spacing."""
    content = bytearray(plain_nifti.read_bytes())
    content[87] = 0  # the exponent of the second zoom
    path = plain_nifti.with_name("denormal.nii")
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"spacing .* expected a spacing of 0\.001 to 1000"):
        read_volume(path, path.parent)
