"""Our server: MONAI Label's routes without waiting, the trainer's and the versions' own."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from salt_monailabel.adapters import AdapterConfig
from salt_monailabel.inference import card_of, fresh_adapter
from salt_monailabel.models import VesselSam
from salt_monailabel.serving.access.tokens import Role, TokenFile
from salt_monailabel.serving.studies import Studies
from salt_monailabel.versions import VersionStore

from .audited import entries
from .viewer import SILENT, Viewer, drawing, one_slice, our_server, png

IMAGE, VESSELS = drawing(rows=128, columns=128)


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return studies with two versions, the second in use."""
    folder = tmp_path_factory.mktemp("routes") / "studies"
    store = VersionStore(folder / "adapters")
    adapter = fresh_adapter("vessel_t", ["vessel"], AdapterConfig(method="bias"))
    model = adapter.model
    assert isinstance(model, VesselSam)
    card = card_of("vessel_t", model)
    store.add(adapter, card, None)
    store.add(adapter, card, "0001")
    for name in ("0001", "0002"):
        store.promote(name)
    return folder


@pytest.fixture(scope="module")
def viewer(studies: Path) -> Iterator[Viewer]:
    with our_server(studies) as viewer:
        viewer.put_image("one", png(IMAGE))
        yield viewer


def finished(viewer: Viewer) -> dict[str, Any]:
    end = time.monotonic() + 60
    while (task := viewer.send("GET", "/train/").json())["status"] in ("SUBMITTED", "RUNNING"):
        assert time.monotonic() < end
        time.sleep(0.05)
    return dict(task)


def test_training_has_the_replies_of_monai_label_and_is_followed_live(viewer: Viewer) -> None:
    assert viewer.send("GET", "/train/").status_code == viewer.send("GET", "/salt/train/events").status_code == 404
    viewer.put_label("one", one_slice(VESSELS))
    task = viewer.send("POST", "/train/salt", json={"mode": ["update", "refit"]}).json()
    assert task["status"] in ("SUBMITTED", "RUNNING", "DONE")
    assert finished(viewer)["id"] == task["id"]
    assert [t["id"] for t in viewer.send("GET", "/train/", params={"all": True}).json()] == [task["id"]]
    assert viewer.send("GET", "/train/", params={"check_if_running": True}).status_code == 404
    stream = viewer.send("GET", "/salt/train/events")
    assert stream.headers["content-type"].startswith("text/event-stream")
    events = [json.loads(line[6:]) for line in stream.text.splitlines() if line.startswith("data: ")]
    assert [event["event"] for event in events] == ["step", "done"]
    stats = events[-1]["stats"]
    assert (stats["asked"]["model"], stats["asked"]["asked_by"]) == ("salt", "local")
    assert [Path(pair["image"]).name for pair in stats["pairs"]] == ["one.png"]


def test_training_inside_the_request_returns_its_stats(viewer: Viewer) -> None:
    assert viewer.train(seconds=1).json()["asked"]["seconds"] == 1


def test_a_trainer_there_is_not_is_named(viewer: Viewer) -> None:
    reply = viewer.send("POST", "/train/other", json={})
    assert (reply.status_code, "salt" in reply.json()["detail"]) == (404, True)


@pytest.mark.parametrize(
    "asked",
    [
        {"mode": "forget"},
        {"seconds": -1},
        {"seconds": 10**400},
        {"learning_rate": "fast"},
        {"device": "cuda:7"},
        {"device": 5},
        {"image": "a"},
    ],
)
def test_a_training_that_cannot_be_meant_is_refused_at_once(viewer: Viewer, asked: dict[str, object]) -> None:
    reply = viewer.send("POST", "/train/salt", json=asked)
    assert (reply.status_code, next(iter(asked)) in reply.json()["detail"]) == (400, True)


def test_stopping_where_nothing_is_learned_does_nothing(viewer: Viewer) -> None:
    assert viewer.send("DELETE", "/train/").json() is None


def test_versions_are_listed_shown_put_in_use_and_rolled_back(viewer: Viewer, studies: Path) -> None:
    store = VersionStore(studies / "adapters")
    listed = viewer.send("GET", "/salt/adapters").json()
    assert (listed["current"], [version["version"] for version in listed["versions"]]) == ("0002", ["0001", "0002"])
    assert viewer.send("GET", "/salt/adapters/0001").json() == store.card("0001")
    assert viewer.send("POST", "/salt/adapters/rollback").json() == {"current": "0001"}
    assert viewer.send("POST", "/salt/adapters/base/promote").json() == {"current": "base"}
    assert viewer.segment("salt", "one").params["version"] == "base"
    assert viewer.send("POST", "/salt/adapters/0002/promote").json() == {"current": "0002"}
    assert viewer.segment("salt", "one").params["version"] == "0002"


def test_a_version_is_downloaded_and_taken_in_again(viewer: Viewer, studies: Path) -> None:
    file = viewer.send("GET", "/salt/adapters/0001/file")
    upload = {"file": ("mine.safetensors", file.content)}
    assert viewer.send("POST", "/salt/adapters/import", files=upload).json() == {"version": "0003"}
    store = VersionStore(studies / "adapters")
    assert (store.current(), store.card("0003")["taken_in_from"]) == ("0002", "0001")
    damaged = {"file": ("mine.safetensors", file.content[:1000])}
    reply = viewer.send("POST", "/salt/adapters/import", files=damaged)
    assert (reply.status_code, "mine.safetensors" in reply.json()["detail"]) == (400, True)
    assert store.versions() == ["0001", "0002", "0003"]


@pytest.mark.parametrize("path", ["/salt/adapters/0009", "/salt/adapters/0009/file", "/salt/adapters/..%2F0001"])
def test_a_version_there_is_not_is_404(viewer: Viewer, path: str) -> None:
    assert viewer.send("GET", path).status_code == 404


def test_the_report_is_a_page(viewer: Viewer) -> None:
    reply = viewer.send("GET", "/salt/report")
    assert reply.status_code == 200, reply.text
    assert "0002" in reply.text


def test_everything_is_answered_while_the_model_works(viewer: Viewer, monkeypatch: pytest.MonkeyPatch) -> None:
    computing, done = threading.Event(), threading.Event()
    read = Studies.read

    def slow(self: Studies, *asked: Any) -> Any:
        computing.set()
        done.wait(60)
        return read(self, *asked)

    monkeypatch.setattr(Studies, "read", slow)
    replies: list[Any] = []
    request = threading.Thread(target=lambda: replies.append(viewer.infer("salt", "one")))
    request.start()
    assert computing.wait(60)
    assert viewer.info()["adapter"] == "0002"
    assert viewer.next_sample("first").status_code == 200
    assert not replies
    done.set()
    request.join()
    assert replies[0].status_code == 200


@pytest.mark.parametrize("params", ["{", "[]", '{"image": "other"}', '{"model": "other"}', '{"seconds": NaN}'])
def test_params_that_are_no_params_are_refused(viewer: Viewer, params: str) -> None:
    reply = viewer.send("POST", "/infer/salt", params={"image": "one"}, data={"params": params})
    assert reply.status_code == 400, reply.text


def test_what_was_proposed_is_kept_and_what_was_changed_is_counted(viewer: Viewer) -> None:
    viewer.put_image("two", png(IMAGE))
    proposed = viewer.segment("salt", "two").labels
    corrected = proposed.copy()
    corrected[:20, :30] = 1 - corrected[:20, :30]
    viewer.put_label("two", one_slice(corrected))
    info = viewer.send("GET", "/datastore/label/info", params={"label": "two", "tag": "final"}).json()
    assert info["effort"] == {"changed": 600, "vessel": int(corrected.sum()), "version": "0002"}
    assert "two" in viewer.send("GET", "/salt/report").text


def test_who_did_what_is_on_record(viewer: Viewer, studies: Path) -> None:
    viewer.segment("salt_edit", "one", foreground=[[5, 5, 0]])
    lines = entries(studies / "adapters" / "audit.jsonl")
    assert {"label", "train", "infer salt", "infer salt_edit", "promote"} <= {line["action"] for line in lines}
    last = lines[-1]
    assert (last["who"], last["image"], last["version"]) == ("local", "one", "0002")


def test_all_images_are_segmented_at_once_without_a_gpu_too(viewer: Viewer) -> None:
    reply = viewer.send("POST", "/batch/infer/salt", params={"run_sync": True})
    assert reply.status_code == 200, reply.text
    total = viewer.status()["total"]
    assert len(reply.json()) == viewer.status()["label_tags"]["original"] == total


def test_a_viewer_logs_in_with_its_token_as_the_password(tmp_path: Path) -> None:
    token = TokenFile(tmp_path / "tokens.json").add("ann", Role.READER, 1)
    with our_server(tmp_path / "studies", tokens="always") as viewer:
        assert viewer.send("GET", "/auth/").json()["enabled"] is True
        assert viewer.send("GET", "/info/").status_code == 401
        form = {"username": "ann", "password": "wrong"}
        assert viewer.send("POST", "/auth/token", data=form).status_code == 401
        given = viewer.send("POST", "/auth/token", data={**form, "password": token}).json()["access_token"]
        bearer = {"Authorization": f"Bearer {given}"}
        assert viewer.send("GET", "/info/", headers=bearer).status_code == 200
        assert viewer.send("POST", "/train/salt", json={}, headers=bearer).status_code == 403


def test_only_who_may_submit_changes_what_counts_as_proposed(tmp_path: Path) -> None:
    file = TokenFile(tmp_path / "tokens.json")
    tokens = {role: file.add(role.value, role, 1) for role in (Role.READER, Role.ANNOTATOR)}
    proposal = tmp_path / "studies" / "labels" / "original" / "one.nrrd"
    with our_server(tmp_path / "studies", tokens="always") as viewer:
        bearers = {role: {"Authorization": f"Bearer {token}"} for role, token in tokens.items()}
        files = {"file": png(IMAGE)}
        viewer.send("PUT", "/datastore/image", params={"image": "one"}, files=files, headers=bearers[Role.ANNOTATOR])
        for role, kept in ((Role.READER, False), (Role.ANNOTATOR, True)):
            answer = viewer.send("POST", "/infer/salt", params={"image": "one"}, headers=bearers[role])
            assert (answer.status_code, proposal.exists()) == (200, kept)


def test_on_this_computer_no_login_is_asked_for(viewer: Viewer) -> None:
    assert viewer.send("GET", "/auth/").json()["enabled"] is False


@pytest.mark.parametrize("path", ["/tmp/slicer/{}", "..\\..\\{}", "../../{}"])
def test_of_a_file_that_is_named_by_its_path_only_the_last_part_counts(
    viewer: Viewer, studies: Path, path: str
) -> None:
    before = {file for file in studies.parent.parent.rglob("*") if not file.is_relative_to(studies)}
    assert viewer.put_image("", (path.format("by_path.png"), png(IMAGE)[1])).json() == {"image": "by_path"}
    label = (path.format("label.nrrd"), one_slice(VESSELS)[1])
    form = {"params": json.dumps({"label_info": [{"name": "vessel", "idx": 1}], "model": "salt"})}
    query = {"image": "by_path", "tag": "final"}
    reply = viewer.send("PUT", "/datastore/label", params=query, data=form, files={"label": label})
    assert reply.status_code == 200, reply.text
    assert (studies / "labels" / "final" / "by_path.nrrd").exists()
    assert {file for file in studies.parent.parent.rglob("*") if not file.is_relative_to(studies)} == before
    assert viewer.send("DELETE", "/datastore/", params={"id": "by_path"}).status_code == 200


def test_whoever_waits_for_a_training_that_somebody_stops_is_told_so(tmp_path: Path) -> None:
    with our_server(tmp_path / "studies", trainer=SILENT) as viewer:
        replies: list[Any] = []
        request = threading.Thread(target=lambda: replies.append(viewer.train()))
        request.start()
        end = time.monotonic() + 60
        while viewer.send("DELETE", "/train/").json() is None:
            assert time.monotonic() < end
            time.sleep(0.05)
        request.join(60)
    assert (replies[0].status_code, "stopped on request" in replies[0].json()["detail"]) == (409, True)
