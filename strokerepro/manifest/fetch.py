"""Download what is open: resumable, checked by hash, unpacked with distrust."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import requests

from strokerepro.errors import InputError
from strokerepro.files import extract_zip, hash_file
from strokerepro.manifest.layout import data_root
from strokerepro.manifest.model import Archive, Manifest
from strokerepro.manifest.verify import verify
from strokerepro.progress import Advance, silent

_CHUNK_BYTES = 1 << 14  # what a broken connection can lose
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
        if not target.is_file() or not _is_published(archive, target):
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
    # Imported here because it loads tqdm's notebook widgets, which warn in every chapter.
    import pooch

    pooch.get_logger().setLevel(logging.CRITICAL)  # errors are reported in one line of ours
    algorithm, published = archive.digest
    try:
        pooch.retrieve(
            archive.url,
            known_hash=f"{algorithm}:{published}",
            fname=target.name,
            path=target.parent,
            downloader=_ResumingDownloader(archive, _part_of(target), progress),
        )
    except requests.RequestException as error:
        raise InputError(f"{archive.url}: {error}", "a complete download", _AGAIN) from error
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{archive.filename}: {error}",
            f"{algorithm} {published} ({archive.size_bytes} bytes)",
            f"run the same command again; if it persists, {archive.url} has changed",
        ) from error


class _ResumingDownloader:
    """Downloader for pooch, whose own cannot continue a partial file.

    Parameters
    ----------
    archive
        What is downloaded; its size tells when it is complete.
    part
        File that holds what has arrived; it outlives a broken connection.
    progress
        Called with (bytes done, bytes in all, the file).
    """

    def __init__(self, archive: Archive, part: Path, progress: Advance) -> None:
        self._archive, self._part, self._progress = archive, part, progress

    def __call__(self, url: str, output_file: str, _pooch: object) -> None:
        """Bring the partial file to its full size, then hand it to pooch for the hash check."""
        archive, part = self._archive, self._part
        if part.is_file() and part.stat().st_size > archive.size_bytes:
            part.unlink()
        self._append(url)
        done = part.stat().st_size
        if done < archive.size_bytes:
            raise InputError(
                f"a connection that ended after {done} bytes of {archive.filename}",
                f"{archive.size_bytes} bytes",
                _AGAIN,
            )
        part.replace(output_file)

    def _append(self, url: str) -> None:
        archive, part = self._archive, self._part
        done = part.stat().st_size if part.is_file() else 0
        if done == archive.size_bytes:
            return
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={done}-"} if done else {})
        with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT_S) as response:
            response.raise_for_status()
            if response.status_code != requests.codes.partial_content:
                done = 0  # the server ignored the range and sends everything
            with part.open("ab" if done else "wb") as sink:
                for chunk in response.iter_content(_CHUNK_BYTES):
                    sink.write(chunk)
                    done += len(chunk)
                    self._progress(min(done, archive.size_bytes), archive.size_bytes, part.stem)
                    if done > archive.size_bytes:  # enough to know that it is another file
                        return


def _is_published(archive: Archive, path: Path) -> bool:
    algorithm, published = archive.digest
    return hash_file(path, algorithm) == published
