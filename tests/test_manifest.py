"""Manifests are strict, and a folder is compared with one file by file."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from strokerepro.errors import InputError, UsageError
from strokerepro.files import bundled
from strokerepro.manifest import (
    Manifest,
    data_root,
    find_cases,
    load_manifest,
    manifest_names,
    read_manifest,
    verify,
)

TinyCohort = Callable[..., Path]
CASE = "sub-strokecase0002"
DWI = f"{CASE}/ses-0001/dwi/{CASE}_ses-0001_dwi.nii.gz"
FLAIR = f"{CASE}/ses-0001/anat/{CASE}_ses-0001_FLAIR.nii.gz"
MASK = f"derivatives/{CASE}/ses-0001/{CASE}_ses-0001_msk.nii.gz"


def isles2022_of(cases: int) -> Manifest:
    """Return the ISLES 2022 manifest with another number of cases."""
    return load_manifest("isles2022").model_copy(update={"expected_cases": cases})


def written(tmp_path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """Write the ISLES 2022 manifest, changed, and return its path."""
    content = yaml.safe_load((bundled("data_manifests") / "isles2022.yaml").read_text())
    change(content)
    path = tmp_path / "changed.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.mark.parametrize("name", manifest_names())
def test_every_bundled_manifest_is_valid_and_is_called_as_its_file(name: str) -> None:
    """A manifest loads under its own name, so that a name leads to one file only."""
    assert load_manifest(name).name == name


def test_isles2022_states_the_published_facts() -> None:
    """Archive, number of cases and empty masks are those of the Zenodo record 7153326."""
    manifest = load_manifest("isles2022")
    archive = manifest.archives[0]
    assert archive.size_bytes == 1_692_717_470
    assert archive.digest == ("md5", "302ee280373cdd5c190ab763d72a7a50")
    assert manifest.expected_case_ids()[::249] == ("sub-strokecase0001", "sub-strokecase0250")
    assert set(manifest.known_empty_masks) <= set(manifest.expected_case_ids())
    assert len(manifest.known_empty_masks) == 3


def test_an_unknown_data_set_lists_the_known_ones() -> None:
    """A typing error in a name is answered with the nearest name and exit code 2."""
    with pytest.raises(UsageError, match="did you mean isles2022") as caught:
        load_manifest("isle2022")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("change", "field", "expected"),
    [
        (lambda m: m.pop("licence"), "licence", "required"),
        (lambda m: m.update(folds={"by": "slice", "k": 5, "seed": 0}), "folds.by", "patient"),
        (lambda m: m.update(folds={"by": "patient", "k": 1, "seed": 0}), "folds.k", "equal to 2"),
        (lambda m: m.update(colour="red"), "colour", "not permitted"),
        (lambda m: m.update(expected_cases=0), "expected_cases", "greater than 0"),
        (lambda m: m["archives"][0].update(md5="abc"), "archives.0.md5", "match pattern"),
        (lambda m: m["archives"][0].pop("md5"), "archives.0", "an md5 or a sha256"),
        (lambda m: m["archives"][0].update(url="http://a.org/x"), "archives.0.url", "pattern"),
        (lambda m: m["layout"].update(label="../{case}.nii"), "layout", "stay below"),
        (lambda m: m["layout"].update(label="/{case}.nii"), "layout", "stay below"),
        (lambda m: m["layout"].update(label="{subject}.nii"), "layout", "fields"),
        (lambda m: m["layout"].update(case_regex="("), "layout", "does not compile"),
        (lambda m: m["layout"].update(case_regex="sub-.*"), "layout", "named 'case'"),
        (lambda m: m["layout"].update(reference="t1"), "layout", "not among the images"),
        (lambda m: m["layout"].update(optional=["dwi"]), "layout", "neither off_grid nor"),
        (lambda m: m["patients"].update(mapping={"a": "b"}), "patients", "only if"),
    ],
)
def test_a_wrong_field_is_one_line_with_file_field_and_expectation(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], field: str, expected: str
) -> None:
    """Every fault of a manifest names the file and the field, and says what is right."""
    with pytest.raises(InputError) as caught:
        read_manifest(written(tmp_path, change))
    message = str(caught.value)
    assert message.startswith(f"got changed.yaml, field {field}")
    assert expected in caught.value.expected
    assert "\n" not in message


@pytest.mark.parametrize("text", ["a: [1", "\x00", "just words", ""])
def test_what_is_no_manifest_at_all_is_one_line(tmp_path: Path, text: str) -> None:
    """Broken YAML and YAML of another kind are refused with the file's name."""
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"^got broken\.yaml[^\n]*$"):
        read_manifest(path)


def test_the_hash_follows_the_data_and_not_the_wording(tmp_path: Path) -> None:
    """Rewording the citation keeps the hash; another fold seed changes it."""
    original = load_manifest("isles2022")
    reworded = read_manifest(written(tmp_path, lambda m: m.update(citation="elsewhere")))
    reseeded = read_manifest(written(tmp_path, lambda m: m["folds"].update(seed=1)))
    assert reworded.sha256 == original.sha256
    assert reseeded.sha256 != original.sha256
    assert len(original.sha256) == 64


def test_a_mapping_names_the_patient_of_every_case(tmp_path: Path) -> None:
    """Two slabs of one patient are one patient; a case without a patient is refused."""
    rule = {"rule": "mapping", "mapping": {"case_1": "p1", "case_2": "p1"}}
    patients = read_manifest(written(tmp_path, lambda m: m.update(patients=rule))).patients
    assert patients.patient_of("case_1") == patients.patient_of("case_2") == "p1"
    with pytest.raises(InputError, match="case_3 without a patient"):
        patients.patient_of("case_3")


def test_the_root_may_be_the_marker_folder_or_the_one_above(tiny_cohort: TinyCohort) -> None:
    """A user may point at ISLES-2022 or at the folder that it was unpacked in."""
    root, manifest = tiny_cohort(cases=1), isles2022_of(1)
    assert data_root(manifest, root) == data_root(manifest, root / "ISLES-2022")
    assert [files.case_id for files in find_cases(manifest, root / "ISLES-2022")] == [
        "sub-strokecase0001"
    ]


def test_folders_with_other_names_are_no_cases(tiny_cohort: TinyCohort) -> None:
    """The regular expression decides, the glob only narrows the search."""
    root, manifest = tiny_cohort(cases=1), isles2022_of(1)
    (root / "ISLES-2022" / "sub-strokecase12").mkdir()
    (root / "ISLES-2022" / "sub-strokecase0099.txt").touch()
    assert len(find_cases(manifest, root / "ISLES-2022")) == 1


def test_a_complete_folder_verifies(tiny_cohort: TinyCohort) -> None:
    """All cases with all files, read to their ends: the report is ok and says so."""
    report = verify(isles2022_of(3), tiny_cohort())
    assert report.ok
    assert report.complete == report.found == tuple(f"sub-strokecase000{n}" for n in (1, 2, 3))
    assert report.lines()[1] == "cases: 3 expected, 3 found, 3 complete"
    assert len(report.lines()) == 2


@pytest.mark.parametrize("gone", [DWI, MASK])
def test_a_missing_file_is_named_by_its_path(tiny_cohort: TinyCohort, gone: str) -> None:
    """The reader learns which file must stand where."""
    root = tiny_cohort()
    (root / "ISLES-2022" / gone).unlink()
    report = verify(isles2022_of(3), root)
    assert not report.ok
    assert report.missing == {CASE: (gone,)}
    assert f"missing: {gone}" in report.lines()
    assert report.as_dict()["missing"] == {CASE: [gone]}


def test_an_optional_file_is_reported_but_not_needed(tiny_cohort: TinyCohort) -> None:
    """A case without FLAIR is complete, and the report says what it lacks."""
    root = tiny_cohort()
    (root / "ISLES-2022" / FLAIR).unlink()
    report = verify(isles2022_of(3), root)
    assert report.ok
    assert report.missing_optional == {CASE: (FLAIR,)}
    assert "optional files missing in 1 cases" in report.lines()


def test_absent_cases_are_all_named_in_runs(tiny_cohort: TinyCohort) -> None:
    """Neighbouring absent cases are joined, so that no name is left out of a short text."""
    root = tiny_cohort(cases=3)
    (root / "ISLES-2022" / CASE).rename(root / "elsewhere")
    report = verify(isles2022_of(7), root)
    assert report.absent == (CASE, *(f"sub-strokecase000{n}" for n in (4, 5, 6, 7)))
    assert f"no folder: {CASE}" in report.lines()
    assert "no folder: sub-strokecase0004 to sub-strokecase0007 (4)" in report.lines()


def test_a_long_list_of_files_is_cut_and_says_so(tiny_cohort: TinyCohort) -> None:
    """Twenty lines are shown, the rest is counted, and the dictionary has all of them."""
    missing = {f"case_{n}": (f"case_{n}/dwi.nii.gz",) for n in range(25)}
    report = replace(verify(isles2022_of(3), tiny_cohort()), missing=missing)
    assert sum(line.startswith("missing: ") for line in report.lines()) == 20
    assert "... 5 more missing files" in report.lines()
    assert len(report.as_dict()["missing"]) == 25


def test_surplus_cases_are_not_the_data_set(tiny_cohort: TinyCohort) -> None:
    """More cases than the data set has is as wrong as fewer."""
    assert not verify(isles2022_of(2), tiny_cohort(cases=3)).ok


def damaged(path: Path, damage: str) -> None:
    """Damage one file in a named way."""
    content = path.read_bytes()
    outside = path.parents[5] / "outside.nii.gz"
    match damage:
        case "truncated":
            path.write_bytes(content[: len(content) // 2])
        case "text":
            path.write_text("not an image")
        case "empty":
            path.write_bytes(b"")
        case "link out":
            path.replace(outside)
            path.symlink_to(outside)
        case "dangling link":
            path.unlink()
            path.symlink_to(path.with_name("nothing"))


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ("truncated", "truncated gzip"),
        ("text", "no NIfTI"),
        ("empty", "an empty file"),
        ("link out", "leads out"),
        ("dangling link", "link to nothing"),
    ],
)
def test_a_damaged_file_is_named_with_the_reason(
    tiny_cohort: TinyCohort, damage: str, reason: str
) -> None:
    """A file that is there but cannot be used makes its case incomplete, and is named."""
    root = tiny_cohort()
    damaged(root / "ISLES-2022" / DWI, damage)
    report = verify(isles2022_of(3), root)
    assert not report.ok
    assert CASE not in report.complete
    assert reason in report.unreadable[DWI]


def test_an_uncompressed_file_cut_short_is_found(tiny_cohort: TinyCohort, tmp_path: Path) -> None:
    """A plain .nii shorter than its header announces is truncated."""
    manifest = isles2022_of(1)
    images = {"dwi": "{case}/dwi.nii"}
    layout = manifest.layout.model_copy(
        update={"images": images, "off_grid": (), "optional": (), "label": None}
    )
    manifest = manifest.model_copy(update={"layout": layout})
    folder = tmp_path / "ISLES-2022" / "sub-strokecase0001"
    source = tiny_cohort(cases=1) / "ISLES-2022" / DWI.replace("0002", "0001")
    content = gzip.decompress(source.read_bytes())
    (folder / "dwi.nii").write_bytes(content)
    assert verify(manifest, tmp_path).ok
    (folder / "dwi.nii").write_bytes(content[:-1])
    report = verify(manifest, tmp_path)
    assert f"{len(content) - 1} of {len(content)} bytes" in next(iter(report.unreadable.values()))


def test_an_empty_folder_says_how_to_obtain_the_data(tmp_path: Path) -> None:
    """Nobody is left with a bare 'not found'."""
    report = verify(load_manifest("isles2022"), tmp_path)
    assert not report.ok
    assert report.found == ()
    assert "no folder: sub-strokecase0001 to sub-strokecase0250 (250)" in report.lines()
    assert "data fetch isles2022" in report.lines()[-1]


def test_a_root_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    """A wrong path is one line that says how to obtain the data."""
    with pytest.raises(InputError, match=r"no folder.*data fetch isles2022"):
        verify(load_manifest("isles2022"), tmp_path / "nowhere")


def test_verify_reports_its_progress(tiny_cohort: TinyCohort) -> None:
    """The progress counts the cases."""
    seen: list[tuple[int, int]] = []
    verify(
        isles2022_of(3),
        tiny_cohort(),
        progress=lambda done, total, note="": seen.append((done, total)),
    )
    assert seen == [(1, 3), (2, 3), (3, 3)]
