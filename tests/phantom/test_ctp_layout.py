"""The CT-perfusion cohort on disk: names, headers, and how its volumes are recognised again."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from strokerepro.cohort import Cohort, load_cohort
from strokerepro.manifest import load_manifest, verify
from strokerepro.phantom import ctp_layout, verify_hashes
from strokerepro.phantom.anatomy import Grid
from strokerepro.phantom.ctp import CtpCase
from strokerepro.phantom.ctp_config import CTP
from strokerepro.phantom.volumes import Placement, matches, signature, write_volume
from strokerepro.phantom.writing import write_cohort

SHAPE, TIMES, DT_S = (12, 10, 2), 5, 1.0
SPACING_MM = (1.7, 1.7, 12.0)
NAME = re.compile(r"SMIR\.Brain\.XX\.O\.(\w+)\.(\d+)")
MODALITIES = {"CT", "CT_4DPWI", "CT_CBF", "CT_CBV", "CT_MTT", "CT_Tmax", "MR_DWI", "OT"}


def a_ctp_case(case: int, **_: Any) -> CtpCase:
    """Make a case of noise in the place of a simulated one."""
    rng = np.random.default_rng(case)
    affine = np.diag([*SPACING_MM, 1.0])
    affine[:3, 3] = (-100, -90, 14)

    def whole(kind: type, *more: int) -> Any:
        return rng.integers(1, 200, (*SHAPE, *more)).astype(kind)

    return CtpCase(
        grid=Grid(SHAPE, affine),
        ct=whole(np.int16),
        series=whole(np.int16, TIMES),
        dt_s=DT_S,
        cbf=whole(np.uint16),
        cbv=whole(np.uint16),
        mtt_s=rng.random(SHAPE).astype(np.float32),
        tmax_s=rng.random(SHAPE).astype(np.float32),
        dwi=whole(np.int16),
        label=(whole(np.uint8) > 150).astype(np.uint8),
        facts={"patient": case, "lesion_ml": 1.5, "arterial_hu": [0.0, 3.0, 1.0], "drawn": {}},
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three fake cases, written."""
    folder = tmp_path_factory.mktemp("ctp") / "cohort"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ctp_layout, "make_ctp_case", a_ctp_case)
        plan = ctp_layout.ctp_plan(identity={"cases": 3}, size_px=12, seed=0, config=CTP)
        return write_cohort(plan, folder)


@pytest.fixture
def cohort(root: Path) -> Cohort:
    """The same, read."""
    return load_cohort("phantom_ctp", root, ["ct", "cbf", "cbv", "mtt", "tmax", "dwi", "ctp"])


def test_folders_and_files_are_named_as_in_the_archive(root: Path) -> None:
    """Eight uncompressed files a case, each in a folder of its own name, and the drawn facts."""
    assert sorted(path.name for path in (root / "TRAINING").iterdir()) == [
        "case_1", "case_2", "case_3",
    ]  # fmt: skip
    for case in (root / "TRAINING").iterdir():
        folders = [path for path in case.iterdir() if path.is_dir()]
        found = [NAME.fullmatch(folder.name) for folder in folders]
        assert {match[1] for match in found if match} == MODALITIES
        for folder in folders:
            assert [path.name for path in folder.iterdir()] == [f"{folder.name}.nii"]
        assert json.loads((case / "facts.json").read_text())["facts"]["arterial_hu"] == [0, 3, 1]
    assert "SYNTHETIC" in (root / "README").read_text()


def test_the_loader_finds_and_the_verifier_accepts_it(root: Path, cohort: Cohort) -> None:
    """What is written is what the real archive's loader reads, voxel by voxel."""
    made, read = a_ctp_case(2), cohort[1]
    for name, volume in (("ct", made.ct), ("cbf", made.cbf), ("tmax", made.tmax_s)):
        np.testing.assert_array_equal(read.arrays[name], volume.transpose(2, 1, 0))
    np.testing.assert_array_equal(read.series["ctp"].array, made.series.transpose(3, 2, 1, 0))
    np.testing.assert_array_equal(read.label, made.label.transpose(2, 1, 0))
    assert read.series["ctp"].dt_s == DT_S
    assert [read.patient_id, cohort[2].patient_id] == ["Phantom_01", "Phantom_02"]
    small = load_manifest("phantom_ctp").model_copy(update={"expected_cases": 3})
    assert verify(small, root).ok


def test_the_spacing_stands_in_the_zooms_only(root: Path, cohort: Cohort) -> None:
    """Who takes the spacing from the affine gets 1 mm, as with the real files."""
    assert cohort[0].spacing_mm == pytest.approx(SPACING_MM[::-1])
    for path in root.glob("TRAINING/case_1/*/*.nii"):
        image = nib.load(path)
        np.testing.assert_array_equal(image.affine, np.eye(4))
        assert image.header.get_zooms()[:3] == pytest.approx(SPACING_MM)
        assert b"SYNTHETIC" in image.header["descrip"].tobytes()


def test_types_are_those_of_the_contract(root: Path) -> None:
    """Unsigned flow and volume, float times, a mask of bytes, a series of int16."""
    types = {
        NAME.match(path.name)[1]: str(nib.load(path).get_data_dtype())  # type: ignore[index]
        for path in root.glob("TRAINING/case_1/*/*.nii")
    }
    assert types == {
        "CT": "int16", "CT_4DPWI": "int16", "MR_DWI": "int16", "OT": "uint8",
        "CT_CBF": "uint16", "CT_CBV": "uint16", "CT_MTT": "float32", "CT_Tmax": "float32",
    }  # fmt: skip


def test_numbers_start_and_step_as_in_the_archive_and_then_jump() -> None:
    """No rule gives the number of a file from its case: a loader that computes it must fail."""
    numbers = [ctp_layout.file_id(case, "CT") for case in range(1, 95)]
    assert numbers[:2] == [345562, 345569]
    assert set(np.diff(numbers)) == {7, 10, 11}
    every = [ctp_layout.file_id(case, name) for case in range(1, 95) for name in MODALITIES]
    assert len(set(every)) == len(every)


def test_the_table_holds_what_is_no_list(root: Path) -> None:
    """A curve belongs into the case's own file, not into a cell."""
    header = (root / "participants.tsv").read_text().splitlines()[0]
    assert header.split("\t") == ["participant_id", "patient", "lesion_ml"]


def test_directions_survive_where_spacing_and_place_do_not() -> None:
    """A grid whose first axis points left keeps its sign in an otherwise trivial affine."""
    affine = np.diag([-0.9, 0.9, 5.0, 1.0])
    affine[:3, 3] = (100, -90, 14)
    like = ctp_layout.identity_like(Grid((4, 4, 2), affine))
    np.testing.assert_allclose(like, np.diag([-1, 1, 1, 1]), atol=1e-12)


# --- recognising volumes ---------------------------------------------------------------------


def damaged(path: Path, change: float) -> None:
    """Add a number to one voxel inside, which is a sample of a map."""
    image = nib.load(path)
    values = np.array(np.asanyarray(image.dataobj), copy=True)
    values[np.unravel_index(0, values.shape, order="F")] += values.dtype.type(change)
    place = Placement(image.affine, image.header.get_zooms()[:3])
    write_volume(path, values, place)


@pytest.mark.parametrize(
    ("modality", "change", "found"),
    [("CT_CBF", 1, True), ("CT_Tmax", 0.1, True), ("CT_Tmax", 1e-5, False)],
    ids=["one unit in an integer map", "a tenth of a second", "a last digit"],
)
def test_integers_are_compared_exactly_and_maps_within_a_tolerance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, modality: str, change: float, found: bool
) -> None:
    """Another processor may change the last digits of a map, and nothing else."""
    monkeypatch.setattr(ctp_layout, "make_ctp_case", a_ctp_case)
    plan = ctp_layout.ctp_plan(identity={"cases": 1}, size_px=12, seed=0, config=CTP)
    root = write_cohort(plan, tmp_path / "cohort")
    assert verify_hashes(root) == []
    (path,) = root.glob(f"TRAINING/case_1/*.{modality}.*/*.nii")
    damaged(path, change)
    assert verify_hashes(root) == ([path.relative_to(root).as_posix()] if found else [])


def test_a_map_of_another_shape_type_or_mean_is_another_map() -> None:
    """Shape, type, mean and the sampled values all count; an empty map has a signature too."""
    volume = np.random.default_rng(0).random((6, 5, 4)).astype(np.float32)
    expected = signature(volume)
    assert matches(volume + np.float32(1e-5), expected)
    assert not matches(volume.astype(np.float64), expected)
    assert not matches(volume[:5], expected)
    assert not matches(volume * np.float32(1.01), expected)
    assert not matches((100 * volume).astype(np.int16), expected)
    assert matches(np.zeros((2, 2, 2), np.float32), signature(np.zeros((2, 2, 2), np.float32)))
    assert not matches(volume, signature((100 * volume).astype(np.uint16)))
    json.dumps(expected, allow_nan=False)


def test_the_same_volume_gives_the_same_bytes(tmp_path: Path) -> None:
    """No time of day enters an uncompressed or a compressed file."""
    volume = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    place = Placement(np.eye(4), (1.0, 2.0, 3.0))
    for suffix in (".nii", ".nii.gz"):
        for name in ("a", "b"):
            write_volume(tmp_path / f"{name}{suffix}", volume, place)
        first, second = ((tmp_path / f"{name}{suffix}").read_bytes() for name in ("a", "b"))
        assert first == second
