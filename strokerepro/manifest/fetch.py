"""Download what is open: resumable, checked by hash, unpacked with distrust."""

from __future__ import annotations

import http.client
import shutil
import urllib.error
import urllib.request
from pathlib import Path

from strokerepro.errors import InputError
from strokerepro.files import extract_zip, hash_file
from strokerepro.manifest.layout import data_root
from strokerepro.manifest.model import Archive, Manifest
from strokerepro.manifest.verify import verify
from strokerepro.progress import Advance, silent

_CHUNK_BYTES = 1 << 18
_TIMEOUT_S = 60.0
_AGAIN = "run the same command again, it continues where it stopped"


def fetch(manifest: Manifest, root: Path, progress: Advance = silent) -> Path:
    """Download and unpack a data set into `root`.

    A download that was interrupted is continued from its ``.part`` file. An archive is unpacked
    only when its hash is the published one, and is removed afterwards.

    Parameters
    ----------
    manifest
        The data set.
    root
        Folder that receives the data root; made if it is missing.
    progress
        Called with (bytes done, bytes in all, the file) of the archive at hand.

    Returns
    -------
    Path
        The data root with the cases.

    Raises
    ------
    InputError
        The set cannot be downloaded freely, the disk is too full, the connection failed, or the
        archive is not the published one.
    """
    if not manifest.archives:
        raise InputError(
            f"{manifest.name}, which cannot be downloaded freely",
            "a data set with an open archive",
            f"to obtain it: {manifest.access}",
        )
    root.mkdir(parents=True, exist_ok=True)
    if verify(manifest, root, read_files=False).ok:
        return data_root(manifest, root)
    for archive in manifest.archives:
        target = root / archive.filename
        _check_space(archive, root)
        if not target.is_file() or _digest_problem(archive, target):
            download(archive, target, progress)
        extract_zip(target, root, max_bytes=archive.unpacked_bytes_max)
        target.unlink()
    return data_root(manifest, root)


def _check_space(archive: Archive, root: Path) -> None:
    present = sum(
        path.stat().st_size
        for path in (root / archive.filename, _part_of(root / archive.filename))
        if path.is_file()
    )
    needed = max(0, archive.size_bytes - present) + archive.unpacked_bytes_max
    free = shutil.disk_usage(root).free
    if free < needed:
        raise InputError(
            f"{free / 1e9:.1f} GB free in {root}",
            f"{needed / 1e9:.1f} GB for {archive.filename} and what it unpacks to",
            "free some space or give another --root",
        )


def _part_of(target: Path) -> Path:
    return target.with_name(f"{target.name}.part")


def download(archive: Archive, target: Path, progress: Advance = silent) -> None:
    """Download one archive to `target`, continuing from ``<target>.part`` if there is one.

    Raises
    ------
    InputError
        The connection failed (the partial file stays), or the bytes are not the published ones
        (the partial file is removed, since no continuation could mend it).
    """
    part = _part_of(target)
    if part.is_file() and part.stat().st_size > archive.size_bytes:
        part.unlink()
    try:
        _append(archive, part, progress)
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        raise InputError(f"{archive.url}: {error}", "a complete download", _AGAIN) from error
    done = part.stat().st_size
    if done < archive.size_bytes:
        raise InputError(
            f"a connection that ended after {done} bytes of {archive.filename}",
            f"{archive.size_bytes} bytes",
            _AGAIN,
        )
    problem = _digest_problem(archive, part)
    if problem:
        part.unlink()
        raise problem
    part.replace(target)


def _append(archive: Archive, part: Path, progress: Advance) -> None:
    start = part.stat().st_size if part.is_file() else 0
    if start == archive.size_bytes:
        return
    with _open(archive.url, start) as response:
        if response.status != http.client.PARTIAL_CONTENT:
            start = 0  # the server ignored the range and sends everything
        with part.open("ab" if start else "wb") as sink:
            done = start
            # One byte beyond the published size is enough to know that it is another file.
            while chunk := response.read(min(_CHUNK_BYTES, archive.size_bytes + 1 - done)):
                sink.write(chunk)
                done += len(chunk)
                progress(min(done, archive.size_bytes), archive.size_bytes, archive.filename)


def _open(url: str, start: int) -> http.client.HTTPResponse:
    headers = {"User-Agent": "strokerepro", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    request = urllib.request.Request(url, headers=headers)
    response: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=_TIMEOUT_S)
    return response


def _digest_problem(archive: Archive, path: Path) -> InputError | None:
    algorithm, published = archive.digest
    found = hash_file(path, algorithm)
    if found == published:
        return None
    return InputError(
        f"{archive.filename} with {algorithm} {found} ({path.stat().st_size} bytes)",
        f"{algorithm} {published} ({archive.size_bytes} bytes)",
        f"run the same command again; if it persists, {archive.url} has changed",
    )
