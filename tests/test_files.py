"""Files are whole or absent, hashes follow the content, and archives are not trusted."""

from __future__ import annotations

import errno
import os
import stat
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strokerepro import files
from strokerepro.errors import InputError
from strokerepro.files import atomic_path, bundled, cache_root, extract_zip, hash_file, hash_json

# ------------------------------------------------------------------ atomic writes


def test_a_written_file_replaces_the_old_one_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    """Folders on the way are made; others may read the file."""
    path = tmp_path / "a" / "b" / "x.json"
    for text in ("old", "new"):
        files.write_text(path, text)
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OSError(errno.ENOSPC, "full")])
def test_after_an_error_the_old_file_is_untouched(
    tmp_path: Path, error: type[BaseException] | BaseException
) -> None:
    """An error, Ctrl-C or a full disk in the middle leaves neither half a file nor a temporary."""
    path = tmp_path / "x.json"
    path.write_text("old")

    def write() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            assert path.read_text() == "old"
            raise error

    with pytest.raises(error if isinstance(error, type) else type(error)):
        write()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_disk_that_is_full_only_when_flushed_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some file systems report a full disk at the end; the move must not have happened by then."""

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "x.json"
    path.write_text("old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        files.write_text(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["mask.nii.gz", "run-f0.json", "a.b.npz", "plain"])
def test_the_temporary_file_stands_beside_the_final_one_and_keeps_its_suffixes(
    tmp_path: Path, name: str
) -> None:
    """Libraries choose a format by the suffix, and only a move within one folder is atomic."""
    with atomic_path(tmp_path / name) as temporary:
        assert temporary.suffixes == Path(name).suffixes
        assert temporary.parent == tmp_path
        assert temporary.name.startswith(".")  # hidden from the patterns that look for records
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_two_writers_of_one_file_do_not_share_a_temporary(tmp_path: Path) -> None:
    """The later one wins as a whole."""
    path = tmp_path / "x.txt"
    with atomic_path(path) as first, atomic_path(path) as second:
        assert first != second
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first"


# ------------------------------------------------------------------ hashes


def test_the_hash_of_a_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    """Known digests of "abc", and one over several pieces."""
    path = tmp_path / "x"
    path.write_bytes(b"abc")
    assert hash_file(path, "md5") == "900150983cd24fb0d6963f7d28e17f72"
    assert hash_file(path).startswith("ba7816bf8f01cfea414140de5dae2223b00361a3")
    path.write_bytes(b"a" * 1_000_000)
    assert hash_file(path).startswith("cdc76e5c9914fb9281a1c7e284d73e67f1809a48")
    path.write_bytes(b"a" * (2 * files._CHUNK_BYTES + 1))
    whole = hash_file(path)
    path.write_bytes(b"a" * (2 * files._CHUNK_BYTES))
    assert hash_file(path) != whole


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.lists(st.floats(0, 1))))
def test_the_hash_of_a_value_ignores_the_order_of_its_keys(value: dict[str, Any]) -> None:
    """A dictionary filled in reverse has the same hash, nested or not."""
    reverse = dict(reversed(value.items()))
    assert hash_json(value) == hash_json(reverse)
    assert hash_json([{"a": value}]) == hash_json([{"a": reverse}])


@pytest.mark.parametrize(
    "other", [{"a": 1, "b": [2, 1]}, {"a": 1, "b": ["1", 2]}, {"a": 1}, {"a": 1, "c": [1, 2]}]
)
def test_another_value_has_another_hash(other: dict[str, Any]) -> None:
    """Order within a list, types, and names count."""
    assert hash_json({"a": 1, "b": [1, 2]}) != hash_json(other)


# ------------------------------------------------------------------ bundled data


def test_the_bundled_folders_of_the_checkout_hold_what_their_names_say() -> None:
    """Manifests, tables and results are found without a wheel."""
    assert list(bundled("data_manifests").glob("*.yaml"))
    assert list(bundled("tables").glob("*_table*.csv"))
    assert bundled("results").is_dir()


def test_an_installed_wheel_uses_its_own_copies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy under ``_data`` is taken, not a folder that happens to lie beside the package."""
    for folder in files._CHECKOUT_FOLDERS:
        (tmp_path / "strokerepro" / "_data" / folder).mkdir(parents=True)
    monkeypatch.setattr(files, "files", lambda package: tmp_path / package)
    for folder in files._CHECKOUT_FOLDERS:
        assert bundled(folder) == tmp_path / "strokerepro" / "_data" / folder


def test_the_wheel_carries_every_bundled_folder(request: pytest.FixtureRequest) -> None:
    """The build configuration copies exactly the folders that the code looks for."""
    import tomllib

    text = (request.config.rootpath / "pyproject.toml").read_text()
    wheel = tomllib.loads(text)["tool"]["hatch"]["build"]["targets"]["wheel"]
    expected = {
        source: f"strokerepro/_data/{name}" for name, source in files._CHECKOUT_FOLDERS.items()
    }
    assert wheel["force-include"] == expected


def test_the_cache_folder_can_be_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment variable wins; empty counts as not set; nothing is created."""
    chosen = tmp_path / "cache"
    monkeypatch.setenv("STROKEREPRO_CACHE", str(chosen))
    assert cache_root() == chosen
    assert not chosen.exists()
    monkeypatch.setenv("STROKEREPRO_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_root().name == "strokerepro"


# ------------------------------------------------------------------ untrusted archives


def write_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_an_archive_is_unpacked_into_the_target(tmp_path: Path) -> None:
    """Files in folders arrive with their bytes; folders themselves are no files."""
    archive = write_zip(tmp_path / "a.zip", {"d/": b"", "d/e/x": b"1" * 5000, "y": b""})
    written = extract_zip(archive, tmp_path / "out", max_bytes=5000)
    assert written == [tmp_path / "out/d/e/x", tmp_path / "out/y"]
    assert written[0].read_bytes() == b"1" * 5000
    assert written[1].read_bytes() == b""


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "a/../../x",
        "/etc/x",
        "..\\x",
        "\\x",
        "C:/x",
        "C:\\x",
        "c:x",
        "a/..",
        ".",
    ],
)
def test_a_member_outside_the_target_stops_before_anything_is_written(
    tmp_path: Path, name: str
) -> None:
    """Climbing, absolute and drive names, with either slash; the good member before is not kept."""
    archive = write_zip(tmp_path / "a.zip", {"good": b"1", name: b"2"})
    with pytest.raises(InputError, match="unsafe member"):
        extract_zip(archive, tmp_path / "deep" / "out", max_bytes=100)
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_a_link_is_refused(tmp_path: Path) -> None:
    """A link could lead a later member out of the target."""
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc")
        archive.writestr("link/x", "1")
    with pytest.raises(InputError, match="unsafe member 'link'"):
        extract_zip(tmp_path / "a.zip", tmp_path / "out", max_bytes=100)
    assert not (tmp_path / "out").exists()


def test_an_archive_that_announces_too_much_is_not_unpacked(tmp_path: Path) -> None:
    """The limit is on the sum of all members: 600 and 401 bytes are above 1000."""
    archive = write_zip(tmp_path / "a.zip", {"x": bytes(600), "y": bytes(401)})
    with pytest.raises(InputError, match="unpacks to 1001 bytes; expected at most 1000"):
        extract_zip(archive, tmp_path / "out", max_bytes=1000)
    assert not (tmp_path / "out").exists()
    assert len(extract_zip(archive, tmp_path / "out", max_bytes=1001)) == 2


def test_an_archive_that_announces_too_little_is_cut_off(tmp_path: Path) -> None:
    """A megabyte that pretends to be ten bytes is refused, and no file stays."""
    archive = write_zip(tmp_path / "a.zip", {"x": bytes(1_000_000)})
    content = archive.read_bytes()
    true, small = struct.pack("<L", 1_000_000), struct.pack("<L", 10)
    assert content.count(true) == 2  # the local header and the directory
    archive.write_bytes(content.replace(true, small))
    with pytest.raises(InputError, match="complete zip archive"):
        extract_zip(archive, tmp_path / "out", max_bytes=1000)
    assert not list((tmp_path / "out").iterdir())


def damage_nothing_but_text(content: bytes) -> bytes:
    return b"<html>not found</html>"


def damage_end(content: bytes) -> bytes:
    return content[:-30]


def damage_stream(content: bytes) -> bytes:
    # After the local header of 30 bytes and the name "x": the reserved deflate block type.
    return content[:31] + b"\xff" * 20 + content[51:]


def damage_checksum(content: bytes) -> bytes:
    with zipfile.ZipFile(Path("a.zip")) as archive:
        true = struct.pack("<L", archive.getinfo("x").CRC)
    return content.replace(true, b"\0\0\0\0")


def damage_flag(content: bytes) -> bytes:
    directory = content.index(b"PK\x01\x02")
    encrypted = bytearray(content)
    encrypted[6] |= 1
    encrypted[directory + 8] |= 1
    return bytes(encrypted)


@pytest.mark.parametrize(
    "damage",
    [damage_nothing_but_text, damage_end, damage_stream, damage_checksum, damage_flag],
)
def test_a_broken_archive_is_named_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: Any
) -> None:
    """A page in place of a file, a cut end, a bad stream, a bad sum, or an encrypted member."""
    monkeypatch.chdir(tmp_path)
    archive = write_zip(Path("a.zip"), {"x": bytes(range(256)) * 40})
    archive.write_bytes(damage(archive.read_bytes()))
    with pytest.raises(InputError, match=r"a\.zip: .*; expected a complete zip archive"):
        extract_zip(archive, tmp_path / "out", max_bytes=100_000)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "a.zip"]
