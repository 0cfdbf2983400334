"""Who added, removed and downloaded which image or label is in the audit log; what was in it is not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from salt_monailabel.serving.access.tokens import Role, TokenFile

from ..audited import entries
from ..viewer import Viewer, drawing, one_slice, our_server, png

IMAGE, VESSELS = drawing(rows=96, columns=128)


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("transfers") / "studies"


@pytest.fixture(scope="module")
def viewer(studies: Path) -> Iterator[Viewer]:
    """Connect as a trainer to a server of others."""
    token = TokenFile(studies.parent / "tokens.json").add("tom", Role.TRAINER, 1)
    with our_server(studies) as connected:
        send = connected.send

        def as_trainer(method: str, path: str, **arguments: Any) -> Any:
            return send(method, path, headers={"Authorization": f"Bearer {token}"}, **arguments)

        viewer = Viewer(as_trainer)
        viewer.put_image("one", png(IMAGE))
        viewer.put_label("one", one_slice(VESSELS))
        yield viewer


def recorded(studies: Path) -> list[dict[str, Any]]:
    return entries(studies / "adapters" / "audit.jsonl")


@pytest.mark.parametrize(
    ("path", "query", "expected"),
    [
        ("image", {"image": "one"}, {"action": "download image", "image": "one"}),
        ("label", {"label": "one", "tag": "final"}, {"action": "download label", "image": "one", "tag": "final"}),
        ("dataset", {}, {"action": "download dataset", "image": None}),
    ],
)
def test_who_downloads_what_is_on_record(
    viewer: Viewer, studies: Path, path: str, query: dict[str, str], expected: dict[str, object]
) -> None:
    before = len(recorded(studies))
    assert viewer.send("GET", f"/datastore/{path}", params=query).status_code == 200
    (entry,) = recorded(studies)[before:]
    del entry["time"]
    assert entry == {"who": "tom", "version": None, **expected}


@pytest.mark.parametrize("path", ["/datastore/image", "/datastore/"])
@pytest.mark.parametrize("name", ["two", ""])
def test_who_adds_and_removes_what_is_on_record(viewer: Viewer, studies: Path, path: str, name: str) -> None:
    before = len(recorded(studies))
    reply = viewer.send("PUT", path, params={"image": name}, files={"file": ("two.png", png(IMAGE)[1])})
    assert reply.json() == {"image": "two"}
    viewer.put_label("two", one_slice(VESSELS))
    for what in ("/datastore/label", path):
        assert viewer.send("DELETE", what, params={"id": "two", "tag": "final"}).status_code == 200
    lines = [(entry["who"], entry["action"], entry["image"]) for entry in recorded(studies)[before:]]
    assert lines == [("tom", action, "two") for action in ("add image", "label", "remove label", "remove image")]


@pytest.mark.parametrize(
    ("method", "path", "query"),
    [
        ("GET", "image", {"image": "nobody"}),
        ("GET", "label", {"label": "one", "tag": "nothing"}),
        ("DELETE", "image", {"id": "nobody"}),
        ("DELETE", "label", {"id": "one", "tag": "nothing"}),
        ("PUT", "image", {"image": "one"}),
        ("HEAD", "image", {"image": "one"}),
        ("GET", "image/info", {"image": "one"}),
    ],
)
def test_what_moves_no_file_is_no_transfer(
    viewer: Viewer, studies: Path, method: str, path: str, query: dict[str, str]
) -> None:
    before = len(recorded(studies))
    viewer.send(method, f"/datastore/{path}", params=query)
    assert recorded(studies)[before:] == []
