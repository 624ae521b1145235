"""Run records are whole or absent, readable by others, and refused when they do not fit."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from strokerepro import records
from strokerepro.errors import InputError
from strokerepro.records import RunRecord


def make_record(**changes: Any) -> RunRecord:
    """Build a small record."""
    content: dict[str, Any] = {
        "slug": "edd_muscle", "name": "main", "profile": "smoke", "data": "phantom_dwi",
        "fold": 0, "n_folds": 3, "seed": 0, "key": "k", "settings": {"lr": 0.05},
        "splits": {"train": ["a"], "val": ["b"], "test": ["c"]},
        "rows": [{"case_id": "c", "patient_id": "c", "split": "test", "output": "edd",
                  "dice": math.nan}],
        "curves": {"loss/train": [[1, 0.5]]}, "timings_s": {}, "facts": {"n": 1},
        "notes": [], "created": "2026-01-01", "commit": "abc", "code": "c", "versions": {},
        "device": "2-core x86-64", "wall_s": 1.0, "peak_memory_mb": 10.0,
    }  # fmt: skip
    return RunRecord(**{**content, **changes})


def test_a_record_survives_the_round_trip_with_nan(tmp_path: Path) -> None:
    """NaN is null in the file, so that any JSON reader takes it, and NaN again when read."""
    path = records.save_record(make_record(), tmp_path)
    assert json.loads(path.read_text())["rows"][0]["dice"] is None
    back = records.load_record(path)
    assert math.isnan(back.rows[0]["dice"])
    assert back.model_dump(exclude={"rows"}) == make_record().model_dump(exclude={"rows"})


def test_a_record_names_its_run_in_its_file_name(tmp_path: Path) -> None:
    """Experiment, profile, data, fold and seed stand in the name."""
    path = records.save_record(make_record(name="unpool_nearest", fold=2, seed=5), tmp_path)
    assert path == tmp_path / "edd_muscle" / "unpool_nearest-smoke-phantom_dwi-f2-s5.json"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "fault"),
        ("{", "fault"),
        ("[]", "fault"),
        ('{"slug": "edd_muscle"}', "fault in name"),
    ],
)
def test_a_broken_record_gives_one_line(tmp_path: Path, text: str, message: str) -> None:
    """A truncated or foreign file names the first fault and what to do."""
    path = tmp_path / "r.json"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        records.load_record(path)
    assert "\n" not in str(caught.value)


def test_a_record_with_an_unknown_field_is_refused(tmp_path: Path) -> None:
    """A field of a later schema is not dropped in silence."""
    path = records.save_record(make_record(), tmp_path)
    content = json.loads(path.read_text()) | {"surprise": 1}
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match="surprise"):
        records.load_record(path)


def test_arrays_beside_a_record_are_limited_in_size(tmp_path: Path) -> None:
    """Pictures that would swell the checkout are refused and leave no file."""
    noise = np.random.default_rng(0).integers(0, 255, (1000, 1000), dtype=np.uint8)
    with pytest.raises(InputError, match="bytes"):
        records.save_record(make_record(), tmp_path, {"image": noise})
    assert list((tmp_path / "edd_muscle").iterdir()) == []


def test_arrays_survive_the_round_trip(tmp_path: Path) -> None:
    """Small pictures come back as they were."""
    path = records.save_record(make_record(), tmp_path, {"best/image": np.eye(3, dtype=np.uint8)})
    assert (records.load_arrays(path.with_suffix(".npz"))["best/image"] == np.eye(3)).all()


def test_arrays_with_pickled_objects_are_refused(tmp_path: Path) -> None:
    """Nothing in an npz is executed."""
    np.savez(tmp_path / "x.npz", a=np.array([{"a": 1}], dtype=object))
    with pytest.raises(InputError, match="cannot be read"):
        records.load_arrays(tmp_path / "x.npz")


def test_the_users_record_hides_the_committed_one(tmp_path: Path) -> None:
    """Of two records of one name the first folder's is taken."""
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    records.save_record(make_record(commit="theirs"), theirs)
    records.save_record(make_record(fold=1, commit="theirs"), theirs)
    records.save_record(make_record(commit="mine"), mine)
    found = records.list_records("edd_muscle", [mine, theirs])
    assert [record.commit for record in found] == ["mine", "theirs"]


def test_hardware_is_stored_as_a_class_only() -> None:
    """Neither host nor user nor path is in the circumstances of a record."""
    text = json.dumps(records.circumstances(torch.device("cpu")))
    import getpass
    import socket

    for secret in (socket.gethostname(), getpass.getuser(), str(Path.cwd())):
        assert secret not in text or secret == "root"
    assert records.device_class(torch.device("cpu")).endswith(("x86-64", "aarch64", "arm64"))


def test_the_code_hash_ignores_docstrings_and_comments(tmp_path: Path) -> None:
    """Rewording an explanation does not make a record look outdated."""
    first, second, third = (tmp_path / f"{name}.py" for name in "abc")
    first.write_text('"""A."""\ndef f():\n    """B."""\n    return 1  # why\n')
    second.write_text('"""C."""\ndef f():\n    """D, longer."""\n    return 1\n')
    third.write_text('"""A."""\ndef f():\n    """B."""\n    return 2\n')
    hashes = [records._code_without_docstrings(path) for path in (first, second, third)]
    assert hashes[0] == hashes[1] != hashes[2]
