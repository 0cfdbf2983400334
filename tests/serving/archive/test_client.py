"""What an archive may answer, were it none or a hostile one."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest
from pydicom import dcmread

from salt_monailabel.serving.archive.client import Archive, ArchiveError, Instance, checked_address

from ...dicom import run, written
from .orthanc import free_port

PLACE = Instance("1.2", "1.3", "1.4")
ASKING = {
    "search": lambda archive, folder: list(archive.search({"Modality": "XA"})),
    "describe": lambda archive, folder: archive.describe(PLACE),
    "fetch": lambda archive, folder: archive.fetch(PLACE, folder / "image.dcm", 10**6),
    "store": lambda archive, folder: archive.store(b"a segmentation", "1.5"),
}


class Reply(NamedTuple):
    status: int
    kind: str = "text/html"
    content: bytes = b"<html>Please log in</html>"
    location: str = ""


Serve = Callable[[Callable[[str], Reply]], Archive]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Answer as a function of the path says; only so can one have an archive that misbehaves."""
    servers: list[ThreadingHTTPServer] = []

    def start(answer: Callable[[str], Reply]) -> Archive:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                reply = answer(self.path)
                self.send_response(reply.status)
                for name, value in (("Content-Type", reply.kind), ("Location", reply.location)):
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(reply.content)))
                self.end_headers()
                self.wfile.write(reply.content)

            do_POST = do_GET

            def log_message(self, *arguments: object) -> None:
                pass

        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, args=(0.01,), daemon=True).start()
        return Archive(f"http://127.0.0.1:{servers[-1].server_port}/dicom-web/", "reader", "secret")

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def as_json(*items: object) -> Reply:
    return Reply(200, "application/dicom+json", json.dumps(items).encode())


def listed(uid: str) -> dict[str, object]:
    return {
        tag: {"vr": "UI", "Value": [value]}
        for tag, value in (("0020000D", "1.2"), ("0020000E", "1.3"), ("00080018", uid))
    }


@pytest.mark.parametrize("asked", ASKING)
@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (Reply(200), "does not answer as DICOMweb"),
        (Reply(401), "refuses the user and password"),
        (Reply(302, location="http://elsewhere.org/login"), "elsewhere.org"),
        (Reply(500), "its log says why"),
        (Reply(200, "application/json", b"[{]"), "DICOMweb"),
    ],
    ids=["a page", "no password", "a redirect", "a failure", "half of JSON"],
)
def test_answers_that_cannot_be_used_are_errors_that_name_the_archive(
    serve: Serve, tmp_path: Path, asked: str, reply: Reply, message: str
) -> None:
    paths: list[str] = []
    archive = serve(lambda path: paths.append(path) or reply)
    with pytest.raises(ArchiveError, match=message) as error:
        ASKING[asked](archive, tmp_path)
    assert error.value.status_code == 502
    assert archive.address in error.value.detail
    assert "secret" not in error.value.detail
    assert len(paths) == 1
    assert not any(tmp_path.iterdir())


def test_nobody_at_the_address_is_said_with_the_address(tmp_path: Path) -> None:
    archive = Archive(f"http://127.0.0.1:{free_port()}/dicom-web")
    for ask in ASKING.values():
        with pytest.raises(ArchiveError, match=f"{archive.address} does not answer") as error:
            ask(archive, tmp_path)
        assert error.value.status_code == 503


def test_an_archive_that_knows_of_no_pages_is_listed_once(serve: Serve) -> None:
    archive = serve(lambda path: as_json(listed("1.4"), listed("1.5")))
    assert [place.uid for place, _ in archive.search({})] == ["1.4", "1.5"]


def test_what_is_no_uid_is_left_out(serve: Serve) -> None:
    hostile = ("../../etc/passwd", "1.4/../..", "", "1" * 65, None)
    archive = serve(lambda path: as_json(*map(listed, hostile), {}, {"00080018": []}, listed("1.4")))
    assert [place.uid for place, _ in archive.search({})] == ["1.4"]


def test_another_image_than_was_asked_for_is_not_kept(serve: Serve, tmp_path: Path) -> None:
    content = written(tmp_path / "other.dcm", run(1)).read_bytes()
    archive = serve(lambda path: Reply(200, "application/dicom", content))
    with pytest.raises(ArchiveError, match=r"where 1\.4 was asked for"):
        archive.fetch(PLACE, tmp_path / "image.dcm", 10**6)
    assert not (tmp_path / "image.dcm").exists()


@pytest.mark.parametrize("boundary", [None, "x", '"a b"'])
def test_an_image_is_taken_out_of_its_answer_to_the_byte(serve: Serve, tmp_path: Path, boundary: str | None) -> None:
    path = written(tmp_path / "sent.dcm", run(2))
    place, content = PLACE._replace(uid=str(dcmread(path).SOPInstanceUID)), path.read_bytes()
    mark = (boundary or "").strip('"').encode()
    parts = b"--%b\r\nContent-Type: application/dicom\r\n\r\n%b\r\n--%b--\r\n" % (mark, content, mark)
    several = Reply(200, f"multipart/related; type=application/dicom; boundary={boundary}", parts)
    archive = serve(lambda path: several if boundary else Reply(200, "application/dicom", content))
    archive.fetch(place, tmp_path / "image.dcm", 10**6)
    assert (tmp_path / "image.dcm").read_bytes() == content


@pytest.mark.parametrize(
    ("reason", "stored"), [(0x0111, True), (0x0110, False), (None, False)], ids=["had it", "failed", "no reason"]
)
def test_an_instance_is_stored_only_if_the_archive_says_so(serve: Serve, reason: int | None, stored: bool) -> None:
    failed = {"00081155": {"Value": ["1.5"]}, "00081197": {"Value": [reason] if reason else []}}
    answer = json.dumps({"00081198": {"vr": "SQ", "Value": [failed]}}).encode()
    archive = serve(lambda path: Reply(409, "application/dicom+json", answer))
    if stored:
        archive.store(b"a segmentation", "1.5")
    else:
        with pytest.raises(ArchiveError, match=r"does not store 1\.5"):
            archive.store(b"a segmentation", "1.5")


@pytest.mark.parametrize(
    "address",
    [
        "ftp://pacs/dicom-web", "pacs:8042", "http://", "http:///dicom-web", "http://reader:secret@pacs/dicom-web",
        "https://secret@pacs", "http://pacs/dicom-web?a=b", "http://pacs:port/x", "http://[::1/x",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused_and_no_password_shown(address: str) -> None:
    with pytest.raises(ValueError, match="address of an archive") as error:
        checked_address(address)
    assert "secret" not in str(error.value)


def test_an_address_is_used_without_the_slash_at_its_end() -> None:
    assert checked_address(" https://pacs.hospital.org:8042/dicom-web/ ") == "https://pacs.hospital.org:8042/dicom-web"
