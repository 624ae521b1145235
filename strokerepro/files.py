"""Files that are whole or absent: atomic writes, hashes, bundled data, safe extraction."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Any

from platformdirs import user_cache_path

from strokerepro.errors import InputError

_CHUNK_BYTES = 1 << 20

# Where the data folders stand in a checkout; a wheel carries copies under `strokerepro/_data`.
_CHECKOUT_FOLDERS = {
    "data_manifests": "data_manifests",
    "tables": "book/tables",
    "results": "book/results",
}


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` and move it there when the block succeeds.

    The temporary file keeps the suffixes of `path`, since libraries choose a format by them.
    After an error, a full disk or Ctrl-C nothing is left and an older `path` is untouched.

    Parameters
    ----------
    path
        The final file; its folder is made if it is missing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(
        prefix=f".{path.name.split('.')[0]}-", suffix="".join(path.suffixes), dir=path.parent
    )
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o644)  # mkstemp makes files that only the owner may read
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text to `path`, wholly or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def hash_file(path: Path, algorithm: str = "sha256") -> str:
    """Hexadecimal digest of a file's bytes, read in pieces."""
    digest = hashlib.new(algorithm)
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def hash_json(value: Any) -> str:
    """SHA-256 of a JSON-serialisable value, independent of the order of its keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def bundled(folder: str) -> Path:
    """Folder of data that travels with the package.

    Parameters
    ----------
    folder
        ``"data_manifests"``, ``"tables"`` or ``"results"``.

    Returns
    -------
    Path
        The copy inside an installed wheel, else the folder of the checkout.
    """
    installed = Path(str(files("strokerepro"))) / "_data" / folder
    if installed.is_dir():
        return installed
    return Path(__file__).resolve().parents[1] / _CHECKOUT_FOLDERS[folder]


def cache_root() -> Path:
    """Folder for regenerable data of the user (phantom cohorts); not created here.

    ``STROKEREPRO_CACHE`` overrides the platform's cache folder.
    """
    override = os.environ.get("STROKEREPRO_CACHE")
    return Path(override) if override else user_cache_path("strokerepro", appauthor=False)


def extract_zip(archive: Path, target: Path, *, max_bytes: int) -> list[Path]:
    """Extract a zip archive that is not trusted.

    Nothing is written unless every member stays inside `target`, none is a link, and the
    announced size is within `max_bytes`; no member is read beyond its announced size. Each file
    is whole or absent, but those before a broken member stay.

    Parameters
    ----------
    archive
        The zip file.
    target
        Folder that receives the members.
    max_bytes
        Upper limit of the unpacked size.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    InputError
        A broken archive, a member outside `target`, a link, or too large a content.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [member for member in opened.infolist() if not member.is_dir()]
            _refuse_unsafe(archive, members, max_bytes)
            return [_extract_member(opened, member, target) for member in members]
    # A damaged stream is a zlib or end-of-file error, an encrypted member a RuntimeError.
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise InputError(
            f"{archive.name}: {error}", "a complete zip archive", "delete it and fetch it again"
        ) from error


def _refuse_unsafe(archive: Path, members: list[zipfile.ZipInfo], max_bytes: int) -> None:
    announced = sum(member.file_size for member in members)
    if announced > max_bytes:
        raise InputError(
            f"{archive.name} that unpacks to {announced} bytes",
            f"at most {max_bytes}",
            "check that the archive is the published one",
        )
    for member in members:
        place = PurePosixPath(member.filename.replace("\\", "/"))
        is_link = stat.S_ISLNK(member.external_attr >> 16)
        nowhere = not place.parts or place.is_absolute() or ".." in place.parts
        if nowhere or ":" in place.parts[0] or is_link:
            raise InputError(
                f"{archive.name} with the unsafe member {member.filename!r}",
                "plain files inside the target folder",
                "check that the archive is the published one",
            )


def _extract_member(opened: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> Path:
    # zipfile stops reading at the announced size, so the limit checked above holds here too.
    path = target / PurePosixPath(member.filename.replace("\\", "/"))
    with (
        opened.open(member) as source,
        atomic_path(path) as temporary,
        temporary.open("wb") as sink,
    ):
        shutil.copyfileobj(source, sink, _CHUNK_BYTES)
    return path
