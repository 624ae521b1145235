"""Downloads are resumed, checked by hash, and unpacked with distrust; all on the loopback."""

from __future__ import annotations

import hashlib
import io
import re
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from strokerepro.errors import InputError
from strokerepro.manifest import Archive, Manifest, fetch, load_manifest, verify

TinyCohort = Callable[..., Path]


class Server:
    """A loopback server of one file that notes requests and may break off.

    Attributes
    ----------
    content
        What is served.
    breaks_after
        Bytes after which the connection is closed, once.
    supports_range
        Whether the server honours a Range header.
    ranges
        The Range header of every request so far.
    """

    def __init__(self) -> None:
        self.content = b""
        self.breaks_after: int | None = None
        self.supports_range = True
        self.ranges: list[str | None] = []
        self.url = ""


class _Handler(BaseHTTPRequestHandler):
    state: Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.state.ranges.append(wanted)
        start = 0
        if wanted and self.state.supports_range:
            found = re.fullmatch(r"bytes=(\d+)-", wanted)
            assert found
            start = int(found[1])
        body = self.state.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.state.breaks_after is not None:
            body, self.state.breaks_after = body[: self.state.breaks_after], None
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep the output of the tests clean."""


@pytest.fixture
def server() -> Iterator[Server]:
    """Loopback server on a free port."""
    state = Server()
    handler = type("Handler", (_Handler,), {"state": state})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        state.url = f"http://127.0.0.1:{running.server_port}/tiny.zip"
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield state
        running.shutdown()
        thread.join()


def zipped(root: Path) -> bytes:
    """Pack a folder into a zip archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in sorted(root.rglob("*")):
            archive.write(path, path.relative_to(root))
    return buffer.getvalue()


def manifest_for(server: Server, *, md5: str | None = None, limit: int = 10**7) -> Manifest:
    """ISLES 2022 with two cases whose archive is what the server holds."""
    archive = Archive(
        url=server.url,
        filename="tiny.zip",
        size_bytes=len(server.content),
        md5=md5 or hashlib.md5(server.content).hexdigest(),
        unpacked_bytes_max=limit,
    )
    changes = {"archives": (archive,), "expected_cases": 2}
    return load_manifest("isles2022").model_copy(update=changes)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Folder to fetch into."""
    return tmp_path / "fetched"


@pytest.fixture
def served(server: Server, tiny_cohort: TinyCohort) -> Manifest:
    """Manifest of a complete cohort of two cases that the server holds."""
    server.content = zipped(tiny_cohort(cases=2))
    return manifest_for(server)


def test_a_fetched_cohort_is_complete_and_the_archive_is_gone(
    served: Manifest, target: Path
) -> None:
    """Fetch ends with a verified data root and nothing beside it."""
    seen: list[tuple[int, int]] = []
    root = fetch(served, target, lambda done, total, note="": seen.append((done, total)))
    assert root == target / "ISLES-2022"
    assert verify(served, target).ok
    assert [path.name for path in target.iterdir()] == ["ISLES-2022"]
    size = served.archives[0].size_bytes
    assert seen[-1] == (size, size)


def test_what_is_complete_is_not_fetched_again(
    served: Manifest, target: Path, server: Server
) -> None:
    """A second call opens no connection."""
    fetch(served, target)
    fetch(served, target)
    assert len(server.ranges) == 1


def test_an_interrupted_download_continues_where_it_stopped(
    served: Manifest, target: Path, server: Server
) -> None:
    """The second call asks only for the bytes that are missing."""
    server.breaks_after = 20_000
    with pytest.raises(InputError, match=r"20000 bytes.*it continues"):
        fetch(served, target)
    assert [path.name for path in target.iterdir()] == ["tiny.zip.part"]
    fetch(served, target)
    assert server.ranges == [None, "bytes=16384-"]  # whole blocks are kept
    assert verify(served, target).ok


def test_a_server_without_ranges_sends_everything_again(
    served: Manifest, target: Path, server: Server
) -> None:
    """An ignored Range header does not append the whole file to its beginning."""
    server.breaks_after, server.supports_range = 1000, False
    with pytest.raises(InputError):
        fetch(served, target)
    fetch(served, target)
    assert verify(served, target).ok


def test_a_download_that_only_lacked_the_check_is_not_repeated(
    served: Manifest, target: Path, server: Server
) -> None:
    """A whole .part file is checked and used without a connection."""
    target.mkdir()
    (target / "tiny.zip.part").write_bytes(server.content)
    fetch(served, target)
    assert server.ranges == []


def test_a_partial_file_longer_than_the_archive_is_begun_anew(
    served: Manifest, target: Path, server: Server
) -> None:
    """What cannot be a beginning of the archive is not continued."""
    target.mkdir()
    (target / "tiny.zip.part").write_bytes(server.content + b"x")
    fetch(served, target)
    assert server.ranges == [None]
    assert verify(served, target).ok


def test_an_archive_that_lies_there_already_is_used(
    served: Manifest, target: Path, server: Server
) -> None:
    """Whoever downloaded the archive with a browser need not do it again."""
    target.mkdir()
    (target / "tiny.zip").write_bytes(server.content)
    fetch(served, target)
    assert server.ranges == []


def test_a_wrong_hash_shows_both_and_leaves_nothing(
    served: Manifest, target: Path, server: Server
) -> None:
    """Another archive is refused before it is unpacked, with both hashes in the message."""
    wrong = "0" * 32
    with pytest.raises(InputError) as caught:
        fetch(manifest_for(server, md5=wrong), target)
    assert hashlib.md5(server.content).hexdigest() in str(caught.value)
    assert wrong in str(caught.value)
    assert list(target.iterdir()) == []


def test_a_longer_file_than_published_is_not_read_to_its_end(
    served: Manifest, target: Path, server: Server
) -> None:
    """A changed archive cannot fill the disk: one surplus byte is enough to refuse it."""
    server.content += b"x" * 10**6
    seen: list[int] = []
    with pytest.raises(InputError, match="md5"):
        fetch(served, target, lambda done, total, note="": seen.append(done))
    assert max(seen) == served.archives[0].size_bytes
    assert list(target.iterdir()) == []


def test_no_connection_is_one_line(served: Manifest, target: Path, server: Server) -> None:
    """A closed port gives the address and what to do."""
    archive = served.archives[0].model_copy(update={"url": "http://127.0.0.1:1/tiny.zip"})
    with pytest.raises(InputError, match=r"^got http://127\.0\.0\.1:1/[^\n]*same command again"):
        fetch(served.model_copy(update={"archives": (archive,)}), target)


def test_a_full_disk_is_noticed_before_the_download(
    server: Server, tiny_cohort: TinyCohort, target: Path
) -> None:
    """Archive and content must both fit; nothing is downloaded otherwise."""
    server.content = zipped(tiny_cohort(cases=2))
    with pytest.raises(InputError, match=r"GB free in .*expected 1000000"):
        fetch(manifest_for(server, limit=10**18), target)
    assert server.ranges == []


def hostile_zip(kind: str) -> bytes:
    """Make an archive that tries to harm: ``"traversal"``, ``"link"`` or ``"bomb"``."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ISLES-2022/harmless.txt", "first, so that a late refusal would show")
        if kind == "traversal":
            archive.writestr("../escaped.txt", "outside")
        elif kind == "link":
            link = zipfile.ZipInfo("ISLES-2022/link")
            link.external_attr = 0o120777 << 16
            archive.writestr(link, "/etc/passwd")
        else:
            archive.writestr("ISLES-2022/bomb", bytes(10**6))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("kind", "message"),
    [("traversal", "unsafe member"), ("link", "unsafe member"), ("bomb", "unpacks to")],
)
def test_a_hostile_archive_writes_nothing(
    server: Server, target: Path, kind: str, message: str
) -> None:
    """Members outside the target, links and bombs are refused before anything is written."""
    server.content = hostile_zip(kind)
    with pytest.raises(InputError, match=message):
        fetch(manifest_for(server, limit=10**5), target)
    assert [path.name for path in target.iterdir()] == ["tiny.zip"]
    assert not (target.parent / "escaped.txt").exists()


def test_a_gated_set_says_how_to_obtain_it(target: Path) -> None:
    """What needs an agreement is not downloaded; the access text is shown."""
    changes = {"archives": (), "access": "register at the organisers' site"}
    gated = load_manifest("isles2022").model_copy(update=changes)
    with pytest.raises(InputError, match="register at the organisers' site"):
        fetch(gated, target)
    assert not target.exists()
