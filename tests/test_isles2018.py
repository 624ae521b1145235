"""ISLES 2018: files found by modality, slabs kept with their patient, faults told in one line."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from smir_cohort import (
    JULY,
    JUNE,
    SPACING_MM,
    TIME_POINTS,
    find_smir,
    smir_file,
    smir_images,
    write_smir,
    write_smir_cohort,
)

from strokerepro.cohort import load_cohort, patient_folds, read_case_dir, read_folds
from strokerepro.cohort.series import read_series
from strokerepro.errors import InputError
from strokerepro.files import bundled
from strokerepro.manifest import Manifest, load_manifest, verify

MAPS = ("ct", "cbf", "cbv", "mtt", "tmax")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three cases named as from July 2018 on."""
    return write_smir_cohort(tmp_path)


def of_three(name: str = "isles2018") -> Manifest:
    """Return a manifest that expects three cases."""
    return load_manifest(name).model_copy(update={"expected_cases": 3})


def replaced(path: Path, image: npt.NDArray[Any], **header: Any) -> None:
    """Overwrite a file with another image."""
    write_smir(path, image, **header)


def one_line(caught: pytest.ExceptionInfo[InputError]) -> str:
    """Return the message, which must be one line."""
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- layout ---------------------------------------------------------------------------------


@pytest.mark.parametrize("names", [JULY, JUNE], ids=["July names", "June names"])
def test_both_releases_are_read_alike(tmp_path: Path, names: dict[str, str]) -> None:
    """CT_MTT and MR_MTT are the same modality; every array is that of its own file."""
    root = write_smir_cohort(tmp_path, names=names)
    case = load_cohort("isles2018", root)[1]
    images = smir_images((2, 20, 18), seed=2)
    assert (case.case_id, case.patient_id) == ("case_2", "Train_01")
    assert tuple(case.arrays) == MAPS
    for name, file_name in zip(MAPS, ("CT", "CBF", "CBV", "MTT", "Tmax"), strict=True):
        np.testing.assert_array_equal(case.arrays[name], images[file_name].astype(np.float32))
    np.testing.assert_array_equal(case.label, images["OT"])
    assert not case.series


def test_the_spacing_comes_from_the_zooms_although_the_affine_is_an_identity(root: Path) -> None:
    """Who reads the affine gets 1 x 1 x 1 mm and volumes that are wrong eightfold."""
    case = load_cohort("isles2018", root)[0]
    np.testing.assert_array_equal(case.affine, np.eye(4))
    assert case.spacing_mm == pytest.approx(SPACING_MM)


def test_plain_ct_is_not_taken_for_a_map(root: Path) -> None:
    """Without the CT the case lacks it, although five files have CT in their names."""
    find_smir(root, 2, "CT").unlink()
    with pytest.raises(InputError) as caught:
        load_cohort("isles2018", root)
    assert "1 of 3 cases incomplete, case_2 lacks ct;" in one_line(caught)
    report = verify(of_three(), root)
    assert report.missing == {"case_2": ("case_2/SMIR.Brain.XX.O.CT.*/SMIR.Brain.XX.O.CT.*.nii",)}


@pytest.mark.parametrize("gone", ["CT_CBF", "CT_CBV", "CT_MTT", "CT_Tmax", "OT"])
def test_a_case_without_one_modality_is_named_with_what_it_lacks(root: Path, gone: str) -> None:
    """Nothing is left out silently, and the names of the files need not be known."""
    find_smir(root, 3, gone).unlink()
    lacking = "label" if gone == "OT" else gone.removeprefix("CT_").lower()
    with pytest.raises(InputError, match=rf"case_3 lacks {lacking};.*data verify isles2018"):
        load_cohort("isles2018", root)


def test_two_files_of_one_modality_are_refused_and_named(root: Path) -> None:
    """Two releases unpacked over each other: nobody may guess which file is meant."""
    images = smir_images((2, 20, 18), seed=2)
    second = smir_file(root / "TRAINING" / "case_2", "MR_MTT", 339209)
    write_smir(second, images["MTT"])
    with pytest.raises(InputError, match=r"2 files for mtt of case_2: .*CT_MTT.*MR_MTT") as caught:
        load_cohort("isles2018", root)
    one_line(caught)
    report = verify(of_three(), root)
    assert report.complete == ("case_1", "case_3")
    assert "one of 2 files" in next(iter(report.unreadable.values()))
    assert load_cohort("isles2018", root, modalities=["ct", "cbf"])[1].case_id == "case_2"


def test_cases_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    """case_2 stands before case_10, as in the archive's own order of patients."""
    root = write_smir_cohort(tmp_path, cases=11)
    assert load_cohort("isles2018", root).case_ids == tuple(f"case_{n}" for n in range(1, 12))


def test_the_test_set_has_neither_masks_nor_training_patients(tmp_path: Path) -> None:
    """62 cases of 40 patients below TESTING, without a label."""
    root = write_smir_cohort(tmp_path, folder="TESTING")
    case = load_cohort("isles2018_test", root)[0]
    assert case.label is None
    assert case.patient_id == "Test_01"
    assert verify(of_three("isles2018_test"), root).ok


# --- DWI and the series -------------------------------------------------------------------------


def test_dwi_is_read_where_the_release_has_it(tmp_path: Path) -> None:
    """The June release holds MR_DWI; it is read when asked for, and only then."""
    root = write_smir_cohort(tmp_path, names=JUNE, dwi=True)
    assert "dwi" not in load_cohort("isles2018", root)[0].arrays
    assert "dwi" in load_cohort("isles2018", root, modalities=["ct", "dwi"])[0].arrays


def test_what_is_read_where_present_may_be_absent_or_unknown(tmp_path: Path) -> None:
    """Of two cases one has lost its DWI; no case is refused, and one modality no layout knows."""
    root = write_smir_cohort(tmp_path, names=JUNE, dwi=True)
    find_smir(root, 2, "MR_DWI").unlink()
    cohort = load_cohort("isles2018", root, ["ct"], where_present=["ct", "dwi", "flair"])
    assert [set(case.arrays) for case in (cohort[0], cohort[1])] == [{"ct", "dwi"}, {"ct"}]


def test_asking_for_dwi_where_it_is_absent_says_where_it_is(root: Path) -> None:
    """One line: the download of today has no DWI and never had."""
    with pytest.raises(InputError, match=r"lacks dwi;.*first release of June 2018") as caught:
        load_cohort("isles2018", root, modalities=["ct", "dwi"])
    one_line(caught)


def test_verify_calls_a_release_without_dwi_complete_and_says_so(root: Path) -> None:
    """The DWI is no fault of the folder, yet nobody should look for it in vain."""
    report = verify(of_three(), root)
    assert report.ok
    assert any(line.startswith("without dwi: only the first release") for line in report.lines())


def test_an_empty_folder_tells_a_newcomer_what_to_get_and_where_to_put_it(tmp_path: Path) -> None:
    """The record, the original archive with its hash, and the folder it must end in."""
    last = verify(load_manifest("isles2018"), tmp_path).lines()
    assert "no folder: case_1 to case_94 (94)" in last
    for word in (
        "zenodo.org/records/17736412",
        "ISLES2018_Training.zip",
        "b6d16c45",
        "TRAINING/case_1",
    ):
        assert word in last[-1]


def squeezed(path: Path, dt_s: float = 1.0, *, singleton: bool = False) -> None:
    """Rewrite a series with another time step, or with the singleton axis of some copies."""
    series = smir_images((2, 20, 18), seed=1)["4DPWI"]
    write_smir(path, series[:, None] if singleton else series, dt_s=dt_s)


@pytest.mark.parametrize("singleton", [False, True], ids=["(X,Y,Z,T)", "(X,Y,Z,1,T)"])
@pytest.mark.parametrize(("header_s", "dt_s"), [(1.0, 1.0), (2.0, 2.0), (0.0, 1.0)])
def test_a_series_is_read_with_its_time_step(
    root: Path, header_s: float, dt_s: float, singleton: bool
) -> None:
    """Both shapes give (T, Z, Y, X); a header of 0 means the 1 s of the release."""
    squeezed(find_smir(root, 1, "CT_4DPWI"), header_s, singleton=singleton)
    series = load_cohort("isles2018", root, modalities=["ctp"])[0].series["ctp"]
    assert series.array.shape == (TIME_POINTS, 2, 20, 18)
    np.testing.assert_array_equal(series.array, smir_images((2, 20, 18), seed=1)["4DPWI"])
    assert series.dt_s == dt_s


def test_milliseconds_are_understood(root: Path) -> None:
    """A header in milliseconds gives seconds."""
    path = find_smir(root, 1, "CT_4DPWI")
    image = nib.load(path)
    values = np.asarray(image.dataobj).copy()  # the file is about to be overwritten
    image.header.set_zooms((*image.header.get_zooms()[:3], 1500.0))
    image.header.set_xyzt_units("mm", "msec")
    nib.save(nib.Nifti1Image(values, image.affine, image.header), path)
    assert load_cohort("isles2018", root, modalities=["ctp"])[0].series["ctp"].dt_s == 1.5


@pytest.mark.parametrize("key", ["VolumeTiming", "FrameTimesStart"])
@pytest.mark.parametrize(
    ("times", "message"),
    [
        ([0, 1, 2, 4, 5], r"1 to 2 s between its volumes.*equal times apart"),
        ([0, 1, 1, 2, 3], r"0 to 1 s between its volumes"),
        ([0, 1, 2], r"3 times in .*\.json for 5 volumes"),
        ([0, 2, 4, 6, 8], r"a time step of 1 s, and 2 s in its JSON file"),
        (["a"], r"\.json: could not convert"),
    ],
)
def test_times_that_do_not_fit_are_refused(
    root: Path, key: str, times: list[Any], message: str
) -> None:
    """A deconvolution at a wrong or uneven time step would be wrong without a sign of it."""
    path = find_smir(root, 1, "CT_4DPWI")
    path.with_suffix(".json").write_text(json.dumps({key: times}))
    with pytest.raises(InputError, match=message) as caught:
        load_cohort("isles2018", root, modalities=["ctp"])[0]
    one_line(caught)


def test_uniform_times_and_the_archives_own_sidecar_are_accepted(root: Path) -> None:
    """The real JSON files hold a description only; uniform times fill a header without a step."""
    path = find_smir(root, 1, "CT_4DPWI")
    path.with_suffix(".json").write_text('{"description": "ISLES 2018 - TRAIN - Train_01_A"}')
    assert load_cohort("isles2018", root, modalities=["ctp"])[0].series["ctp"].dt_s == 1.0
    squeezed(path, dt_s=0.0)
    path.with_suffix(".json").write_text('{"VolumeTiming": [0, 1.5, 3, 4.5, 6]}')
    assert load_cohort("isles2018", root, modalities=["ctp"])[0].series["ctp"].dt_s == 1.5


@pytest.mark.parametrize("time_points", [1, None])
def test_a_series_with_one_time_point_is_refused(root: Path, time_points: int | None) -> None:
    """A single volume in place of the series has no curve to look at."""
    series = smir_images((2, 20, 18), seed=1)["4DPWI"]
    replaced(find_smir(root, 1, "CT_4DPWI"), series[:1] if time_points else series[0])
    with pytest.raises(InputError, match=r"1 time point.*at least two time points") as caught:
        load_cohort("isles2018", root, modalities=["ctp"])[0]
    one_line(caught)


def test_a_series_on_another_grid_is_refused(root: Path) -> None:
    """The series must lie on the grid of the CT."""
    series = smir_images((2, 20, 18), seed=1)["4DPWI"]
    replaced(find_smir(root, 1, "CT_4DPWI"), series, spacing_mm=(10.0, 0.8203, 0.8203))
    with pytest.raises(InputError, match=r"CT_4DPWI.*with spacing"):
        load_cohort("isles2018", root, modalities=["ctp"])[0]


HEADER_BYTES = 352


@settings(max_examples=150, deadline=None)
@given(
    changes=st.lists(st.tuples(st.integers(0, HEADER_BYTES - 1), st.integers(0, 255)), max_size=6),
    kept=st.integers(0, HEADER_BYTES + 200),
)
def test_no_header_makes_reading_a_series_fail_otherwise_than_as_bad_input(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]], kept: int
) -> None:
    """Whatever a header holds, a series is read with a positive time step or refused."""
    path = tmp_path_factory.mktemp("fuzz") / "series.nii"
    write_smir(path, np.ones((3, 2, 4, 5), np.float32))
    content = bytearray(path.read_bytes())
    for position, value in changes:
        content[position] = value
    path.write_bytes(content[:kept] if kept % 3 == 0 else content)
    try:
        series, _ = read_series(path, path.parent)
    except InputError:
        return
    assert series.array.ndim == 4
    assert len(series.array) > 1
    assert 0 < series.dt_s < float("inf")


@settings(max_examples=100, deadline=None)
@given(text=st.text(max_size=60) | st.sampled_from(["[" * 100_000, '{"VolumeTiming": 1}']))
def test_no_sidecar_makes_reading_a_series_fail_otherwise_than_as_bad_input(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    """A file beside the series may hold anything."""
    path = tmp_path_factory.mktemp("fuzz") / "series.nii"
    write_smir(path, np.ones((3, 2, 4, 5), np.float32))
    path.with_suffix(".json").write_text(text, encoding="utf-8")
    try:
        series, _ = read_series(path, path.parent)
    except InputError:
        return
    assert series.dt_s == 1.0


# --- bad input ----------------------------------------------------------------------------------


def negative(image: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the image with three voxels of -1.5."""
    changed = image.copy()
    changed[0, 5, 5:8] = -1.5
    return changed


@pytest.mark.parametrize(
    ("modality", "change", "message"),
    [
        ("CT_CBF", np.zeros_like, r"CT_CBF.*which is 0 in every voxel"),
        ("CT_Tmax", np.zeros_like, r"CT_Tmax.*which is 0 in every voxel"),
        ("CT_MTT", lambda image: image[:1], r"CT_MTT.*of shape \(1, 20, 18\).*\(2, 20, 18\)"),
        ("CT_Tmax", negative, r"CT_Tmax.*3 voxels below 0 such as -1\.5.*0 or more"),
        ("OT", lambda image: 2 * image, r"OT.*with 48 voxels such as 2; expected a lesion mask"),
    ],
)
def test_a_map_that_cannot_be_right_is_one_line_and_the_other_cases_are_read(
    root: Path, modality: str, change: Callable[[Any], Any], message: str
) -> None:
    """The faulty file is named; its neighbours in the cohort are untouched."""
    images = smir_images((2, 20, 18), seed=2)
    replaced(find_smir(root, 2, modality), change(images[modality.removeprefix("CT_")]))
    cohort = load_cohort("isles2018", root)
    with pytest.raises(InputError, match=message) as caught:
        cohort[1]
    one_line(caught)
    assert [cohort[n].case_id for n in (0, 2)] == ["case_1", "case_3"]


# --- one folder, for a prediction -----------------------------------------------------------------


@pytest.mark.parametrize("folder", ["case_2", "case_999", "patient of tomorrow"])
def test_one_folder_with_smir_files_is_read_whatever_it_is_called(root: Path, folder: str) -> None:
    """A prediction needs neither the cohort nor its patients nor a mask."""
    path = (root / "TRAINING" / "case_2").rename(root / "TRAINING" / folder)
    case = read_case_dir(path, load_manifest("isles2018"))
    assert (case.case_id, tuple(case.arrays)) == (folder, MAPS)
    assert case.patient_id == ("Train_01" if folder == "case_2" else folder)
    for file in path.glob("*.OT.*/*"):
        file.unlink()
    assert read_case_dir(path, load_manifest("isles2018")).label is None


def test_one_folder_that_lacks_a_map_names_the_file(root: Path) -> None:
    """The line shows the name that the file must have."""
    find_smir(root, 1, "CT_Tmax").unlink()
    with pytest.raises(InputError, match=r"no file .*SMIR\.Brain\.XX\.O\.CT_Tmax\.\*\.nii"):
        read_case_dir(root / "TRAINING" / "case_1", load_manifest("isles2018"))


@pytest.mark.parametrize("modality", ["dwi", "ctp"])
def test_one_folder_may_lack_what_the_layout_calls_optional(root: Path, modality: str) -> None:
    """A prediction from CT needs no DWI; whoever does need it finds it absent."""
    if modality == "ctp":
        find_smir(root, 2, "CT_4DPWI").unlink()
    wanted = ("ct", "cbf", "dwi", "ctp")
    case = read_case_dir(root / "TRAINING" / "case_2", load_manifest("isles2018"), wanted)
    assert tuple(case.arrays) == ("ct", "cbf")
    assert tuple(case.series) == (() if modality == "ctp" else ("ctp",))


def test_one_folder_of_plain_names_may_lack_what_is_optional(root: Path, tmp_path: Path) -> None:
    """There is a DWI, which is read; two of them are as ambiguous as two of anything."""
    folder = tmp_path / "plain"
    folder.mkdir()
    for name in ("CT", "CT_CBF"):
        plain = folder / f"{name.removeprefix('CT_').lower()}.nii"
        find_smir(root, 1, name).rename(plain)
    manifest = load_manifest("isles2018")
    assert tuple(read_case_dir(folder, manifest, ("cbf", "dwi")).arrays) == ("ct", "cbf")
    (folder / "b0_dwi.nii").write_bytes((folder / "cbf.nii").read_bytes())
    assert tuple(read_case_dir(folder, manifest, ("cbf", "dwi")).arrays) == ("ct", "cbf", "dwi")
    (folder / "dwi.nii").write_bytes((folder / "cbf.nii").read_bytes())
    with pytest.raises(InputError, match="2 files for dwi"):
        read_case_dir(folder, manifest, ("cbf", "dwi"))


# --- patients -----------------------------------------------------------------------------------


@pytest.fixture
def table() -> list[dict[str, str]]:
    """Facts of the 94 training cases."""
    with (bundled("data_manifests") / "isles2018_cases.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_patients_are_those_of_the_table_in_both_manifests(table: list[dict[str, str]]) -> None:
    """94 slabs of 63 patients, 31 with two; the phantom's slabs follow the same map."""
    for name, prefix in (("isles2018", "Train"), ("phantom_ctp", "Phantom")):
        mapping = load_manifest(name).patients.mapping
        expected = {f"case_{r['case']}": f"{prefix}_{int(r['patient']):02d}" for r in table}
        assert mapping == expected
        assert len(set(mapping.values())) == 63


def test_the_test_set_has_twenty_two_patients_with_two_slabs() -> None:
    """62 slabs of 40 patients, neighbours in number."""
    manifest = load_manifest("isles2018_test")
    patients = [manifest.patients.mapping[case] for case in manifest.expected_case_ids()]
    assert len(set(patients)) == 40
    assert sum(one == other for one, other in pairwise(patients)) == 22


def test_the_table_has_the_known_counts(table: list[dict[str, str]]) -> None:
    """Slices of 2 to 22, 502 in all; 43 to 64 time points."""
    slices = [int(row["slices"]) for row in table]
    assert {n: slices.count(n) for n in set(slices)} == {2: 51, 4: 19, 8: 9, 16: 13, 22: 2}
    assert sum(slices) == 502
    times = [int(row["time_points"]) for row in table]
    assert (min(times), max(times)) == (43, 64)


def parted(patients: list[str], fold_of: npt.NDArray[np.int64]) -> int:
    """Count the patients whose cases are tested in different folds."""
    return sum(
        len({int(fold) for fold, name in zip(fold_of, patients, strict=True) if name == patient})
        > 1
        for patient in set(patients)
    )


def test_naive_folds_leak_and_ours_do_not() -> None:
    """Contiguous folds of 19 part exactly one patient, random ones most pairs."""
    manifest = load_manifest("isles2018")
    patients = [manifest.patients.mapping[case] for case in manifest.expected_case_ids()]
    contiguous = np.arange(94) // 19
    assert parted(patients, contiguous) == 1
    assert [patients[i] for i in (56, 57)] == ["Train_36", "Train_36"]  # cases 57 and 58
    assert contiguous[56] != contiguous[57]
    for seed in range(20):
        assert parted(patients, np.random.default_rng(seed).permutation(contiguous)) > 15
    by_patient = np.empty(94, np.int64)
    for number, fold in enumerate(patient_folds(patients, 5, 0)):
        by_patient[list(fold.test)] = number
    assert parted(patients, by_patient) == 0


def fold_file(path: Path, rows: list[tuple[str, Any]], header: str = "case,fold") -> Path:
    """Write a fold file."""
    path.write_text("\n".join([header, *(f"{case},{fold}" for case, fold in rows)]) + "\n")
    return path


IDS = ("case_1", "case_2", "case_3", "case_4", "case_5")
PATIENTS = ("p1", "p1", "p2", "p2", "p3")


def test_a_fold_file_is_read(tmp_path: Path) -> None:
    """Folds come in the order of their numbers, and train on everybody else."""
    path = fold_file(tmp_path / "folds.csv", list(zip(IDS, (2, 2, 1, 1, 2), strict=True)))
    first, second = read_folds(path, IDS, PATIENTS)
    assert (first.test, first.train) == ((2, 3), (0, 1, 4))
    assert (second.test, second.train) == ((0, 1, 4), (2, 3))


@pytest.mark.parametrize(
    ("folds", "header", "message"),
    [
        ((1, 2, 1, 1, 2), "case,fold", r"tests case_1 in fold 1 and case_2 in fold 2, .*p1"),
        ((1, 1, 2, 2), "case,fold", "no fold for case_5"),
        ((1, 1, 1, 1, 1), "case,fold", "one fold only"),
        ((1, 1, 2, 2, "two"), "case,fold", "invalid literal"),
        ((1, 1, 2, 2, 2), "case,group", "the columns case and fold"),
    ],
)
def test_a_fold_file_that_splits_a_patient_or_is_none_is_refused(
    tmp_path: Path, folds: tuple[Any, ...], header: str, message: str
) -> None:
    """One line that names the patient and both cases, or what is wrong with the table."""
    path = fold_file(tmp_path / "folds.csv", list(zip(IDS, folds, strict=False)), header)
    with pytest.raises(InputError, match=message) as caught:
        read_folds(path, IDS, PATIENTS)
    one_line(caught)


def test_a_fold_file_with_a_strange_or_repeated_case_is_refused(tmp_path: Path) -> None:
    """Another cohort's file and a case in two folds are no folds of this cohort."""
    rows = list(zip(IDS, (1, 1, 2, 2, 2), strict=True))
    with pytest.raises(InputError, match="unknown case case_9"):
        read_folds(fold_file(tmp_path / "a.csv", [*rows, ("case_9", 1)]), IDS, PATIENTS)
    with pytest.raises(InputError, match="named twice"):
        read_folds(fold_file(tmp_path / "b.csv", [*rows, ("case_5", 2)]), IDS, PATIENTS)
