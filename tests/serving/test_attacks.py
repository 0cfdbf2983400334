"""Attacks on our server: each is refused, quickly, and nothing is written or read outside of the studies."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from monailabel.config import settings
from safetensors.numpy import save

from salt_monailabel.adapters import AdapterConfig, read_card
from salt_monailabel.adapters import save as save_adapter
from salt_monailabel.inference import card_of, fresh_adapter
from salt_monailabel.models import VesselSam
from salt_monailabel.serving.access.tokens import Role, TokenFile
from salt_monailabel.serving.infer.asked import MOST_CLICKS
from salt_monailabel.serving.learning.wish import Wish

from .. import hostile
from .viewer import Upload, Viewer, contents, drawing, one_slice, our_server, png

IMAGE, VESSELS = drawing(rows=96, columns=128)
ELSEWHERE, EVIL = "http://192.168.1.7", "http://evil.example"
OUTSIDE = ["../../x", "..", "/etc/passwd", "a/b", "a\\b", ".hidden", "a\0b", "a\nb", "x" * 5000]
UPLOAD_MB = 5


@dataclass(frozen=True)
class Target:
    """A server to attack, the folder all of it lies in, and the tokens of its users."""

    viewer: Viewer
    folder: Path
    tokens: dict[str, str]

    def send(self, method: str, path: str, **arguments: Any) -> Any:
        return self.viewer.send(method, path, **arguments)

    def from_elsewhere(self, method: str, path: str, who: str = "", **arguments: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.tokens[who]}"} if who else {}
        return self.send(method, ELSEWHERE + path, headers=headers, **arguments)

    def state(self) -> dict[str, str]:
        """Return all files with their hashes.

        The audit log may grow by what was refused, and the first archive makes the key of its pseudonyms.
        """
        own = ("audit.jsonl", "pseudonyms.key", "pseudonyms.key.lock")
        return {name: sha for name, sha in contents(self.folder).items() if not name.endswith(own)}


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """Run a server with two images, one of them labelled, a secret beside them, and holders of tokens."""
    folder = tmp_path_factory.mktemp("attacks")
    (folder / "secret.txt").write_bytes(bytes(range(1, 129)) * 96)
    (folder / "temporary").mkdir()
    file = TokenFile(folder / "tokens.json")
    tokens = {role.value: file.add(role.value, role, 1) for role in Role}
    tokens |= {"expired": file.add("expired", Role.TRAINER, 1e-9), "revoked": file.add("revoked", Role.TRAINER, 1)}
    file.revoke("revoked")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(folder / "temporary"))
        with our_server(folder / "studies", upload_mb=str(UPLOAD_MB)) as viewer:
            viewer.put_image("one", png(IMAGE))
            viewer.put_label("one", one_slice(VESSELS))
            viewer.put_image("two", png(IMAGE[::-1].copy()))
            # MONAI Label notes its own user with the first info.
            viewer.send("PUT", "/datastore/label/info", params={"label": "one", "tag": "final"})
            yield Target(viewer, folder, tokens)


@pytest.fixture(autouse=True)
def _unchanged(target: Target) -> Iterator[None]:
    """Check after every attack that no file was written, changed or left behind, in the studies or beside them."""
    before = target.state()
    yield
    assert target.state() == before


def assert_refused(reply: Any, *statuses: int) -> None:
    assert reply.status_code in (statuses or range(400, 500)), (reply.status_code, reply.text)
    assert "secret" not in reply.text


# Names and paths


def named(name: str) -> list[tuple[str, str, dict[str, str], dict[str, Upload]]]:
    """Return every request in which a client names an image or a label."""
    picture, label = {"file": png(IMAGE)}, {"label": one_slice(VESSELS)}
    return [
        ("PUT", "/datastore/image", {"image": name}, picture),
        ("PUT", "/datastore/", {"image": name}, picture),
        ("PUT", "/datastore/label", {"image": name}, label),
        ("PUT", "/datastore/label", {"image": "one", "tag": name}, label),
        ("POST", "/infer/salt", {"image": name}, {}),
        ("POST", "/infer/salt_edit", {"image": name}, {}),
        ("POST", "/infer/salt_measure", {"image": name}, label),
        ("POST", "/infer/salt", {"session_id": name}, {}),
        *[(method, "/datastore/image", {"image": name}, {}) for method in ("GET", "HEAD")],
        *[(method, "/datastore/image/info", {"image": name}, {}) for method in ("GET", "PUT")],
        *[("DELETE", f"/datastore/{what}", {"id": name}, {}) for what in ("", "image")],
        ("DELETE", "/datastore/label", {"id": name, "tag": "final"}, {}),
        ("DELETE", "/datastore/label", {"id": "one", "tag": name}, {}),
        ("GET", "/datastore/label", {"label": name, "tag": "final"}, {}),
        ("GET", "/datastore/label", {"label": "one", "tag": name}, {}),
        ("GET", "/datastore/label/info", {"label": "one", "tag": name}, {}),
        ("PUT", "/datastore/label/info", {"label": name, "tag": "final"}, {}),
    ]


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_name_that_leads_elsewhere_is_refused_wherever_one_is_given(target: Target, name: str) -> None:
    for method, path, query, files in named(name):
        assert_refused(target.send(method, path, params=query, files=files or None), 400)


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_name_in_a_path_leads_nowhere_else(target: Target, name: str) -> None:
    part = quote(name, safe="").replace(".", "%2E")
    for method in ("GET", "DELETE"):
        assert_refused(target.send(method, f"/session/{part}"))
    for path in ("/infer/{}?image=one", "/batch/infer/{}", "/scoring/{}", "/activelearning/{}", "/train/{}"):
        assert_refused(target.send("POST", path.format(part), json={}))
    assert_refused(target.send("GET", f"/salt/images/{part}"))
    for method, path in (("GET", "{}"), ("GET", "{}/file"), ("POST", "{}/promote")):
        assert_refused(target.send(method, f"/salt/adapters/{path.format(part)}"))


@pytest.mark.parametrize("key", ["image", "model", "session_id", "file"])
def test_params_do_not_take_the_place_of_the_query(target: Target, key: str) -> None:
    secret = str(target.folder / "secret.txt")
    assert_refused(target.viewer.infer("salt", "one", **{key: secret}), 400)
    assert_refused(target.send("POST", "/train/salt", json={key: secret}), 400)
    assert_refused(target.send("POST", "/activelearning/first", json={key: secret}), 400)
    assert_refused(target.send("POST", "/batch/infer/salt", json={key: secret}), 400)
    if key != "model":
        label = {"label": one_slice(VESSELS)}
        form = {"params": json.dumps({key: secret})}
        assert_refused(target.send("PUT", "/datastore/label", params={"image": "two"}, data=form, files=label), 400)


@pytest.mark.parametrize("path", ["/etc/passwd", "../../x"])
def test_a_path_in_what_is_asked_of_a_training_has_no_effect(target: Target, path: str) -> None:
    others = dict.fromkeys(("weights", "adapters", "studies", "pairs", "label", "out", "bundle_path", "network"), path)
    assert Wish.of(others, "cpu") == Wish.of({}, "cpu")
    stats = target.viewer.train(**others).json()
    assert [Path(pair["image"]).name for pair in stats["pairs"]] == ["one.png"]
    assert_refused(target.send("POST", "/train/salt", json={"mode": path}), 400)


@pytest.mark.parametrize("device", ["/dev/sda", "cuda:99", "../../x"])
def test_a_device_there_is_not_is_named(target: Target, device: str) -> None:
    reply = target.send("POST", "/train/salt", json={"device": device})
    assert (reply.status_code, "there is no device" in reply.json()["detail"]) == (400, True)


@pytest.mark.parametrize("name", ["..", "../..", ".png", "../.png", "a/", "x" * 300, "x" * 5000])
def test_a_file_whose_name_cannot_be_kept_is_refused(target: Target, name: str) -> None:
    file = (name, png(IMAGE)[1])
    assert_refused(target.send("PUT", "/datastore/image", params={"image": "new"}, files={"file": file}), 400)
    assert_refused(target.send("PUT", "/datastore/image", files={"file": file}), 400)
    assert_refused(target.send("PUT", "/datastore/label", params={"image": "two"}, files={"label": file}), 400)
    assert_refused(target.send("POST", "/infer/salt", files={"file": file}), 400)
    assert_refused(target.send("POST", "/infer/salt_edit", params={"image": "one"}, files={"label": file}), 400)
    assert_refused(target.send("PUT", "/session/", files={"files": file}), 400)
    assert_refused(target.send("POST", "/salt/adapters/import", files={"file": file}), 400)


def test_a_null_in_the_name_of_a_file_is_refused(target: Target) -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a\0.png"\r\n\r\n' + png(IMAGE)[1]
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    for path in ("/datastore/image?image=new", "/infer/salt", "/session/"):
        method = "POST" if "infer" in path else "PUT"
        body = part.replace(b'"file"', b'"files"') if "session" in path else part
        assert_refused(target.send(method, path, content=body + b"\r\n--x--\r\n", headers=headers), 400)


def test_an_image_cannot_take_the_place_of_the_index(target: Target) -> None:
    for name in ("datastore_v2", "datastore_v2.json"):
        for file in ("x.json", "x"):
            query, upload = {"image": name}, {"file": (file, png(IMAGE)[1])}
            assert_refused(target.send("PUT", "/datastore/image", params=query, files=upload), 400)


# Files


@pytest.mark.parametrize("name", hostile.BOMBS)
def test_a_bomb_is_refused_before_it_takes_time_or_memory(target: Target, name: str) -> None:
    resource = pytest.importorskip("resource", reason="only Unix measures memory")
    bomb = (name, hostile.BOMBS[name]())
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    assert_refused(target.viewer.put_image("new", bomb), 400)
    assert_refused(target.viewer.put_label("two", bomb), 400)
    assert_refused(target.viewer.infer("salt", bomb), 400)
    assert time.perf_counter() - started < 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000


@pytest.mark.parametrize("tag", ["final", "mine"])
@pytest.mark.parametrize("name", ["x.nrrd", "x.mha", "x.png"])
def test_a_label_cannot_name_a_file_of_the_server_as_its_pixels(target: Target, tag: str, name: str) -> None:
    secret = target.folder / "secret.txt"
    nrrd, meta = hostile.nrrd("128 96", f"data file: {secret}", encoding="raw"), hostile.meta_image(secret)
    for content in (nrrd, meta.replace(b"26 40", b"128 96")):
        assert_refused(target.viewer.put_label("two", (name, content), [], tag), 400)
        assert_refused(target.viewer.put_image("new", (name, content)), 400)


def test_archives_and_pixels_without_a_header_are_not_taken_in(target: Target) -> None:
    archive = {"files": ("x.zip", b"PK\3\4")}
    assert_refused(target.send("PUT", "/session/", params={"uncompress": True}, files=archive), 400)
    raw = {"label": ("x.bin", bytes(1000))}
    assert_refused(target.send("POST", "/infer/salt_edit", params={"image": "one"}, files=raw), 400)


def test_a_body_that_is_too_large_is_refused(target: Target) -> None:
    declared = {"Content-Length": "5000000000"}
    assert_refused(target.send("PUT", "/datastore/image", content=b"x", headers=declared), 413)
    start = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
    form = {"Content-Type": "multipart/form-data; boundary=x"}
    for method, path, headers in (
        ("PUT", "/datastore/image", form),
        ("POST", "/infer/salt", form),
        ("POST", "/train/salt", {}),
    ):
        chunks = iter([start, *[bytes(1_000_000)] * (UPLOAD_MB + 1)])
        assert_refused(target.send(method, path, content=chunks, headers=headers), 413)


def adapter(folder: Path, **card: Any) -> bytes:
    """Return an adapter of the shipped base, with other entries in its card."""
    fresh = fresh_adapter("vessel_t", ["vessel"], AdapterConfig(method="bias"))
    assert isinstance(fresh.model, VesselSam)
    save_adapter(fresh, folder / "adapter.safetensors", {**card_of("vessel_t", fresh.model), **card})
    return (folder / "adapter.safetensors").read_bytes()


def of_another_base(folder: Path) -> bytes:
    """Return an adapter that was made for other weights than those it names."""
    adapter(folder)
    card = read_card(folder / "adapter.safetensors")
    return save({"x": np.zeros(3)}, {"card": json.dumps({**card, "base_fingerprint": "0" * 64})})


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(lambda folder: b"\x80\x04cposix\nsystem\n(X\x04\0\0\0truetR.", id="pickle"),
        pytest.param(lambda folder: b"PK\3\4" + bytes(1000), id="TorchScript"),
        pytest.param(lambda folder: adapter(folder)[:-1000], id="truncated"),
        pytest.param(lambda folder: b"\xff" * 8 + b"{}", id="header of 18 exabytes"),
        pytest.param(lambda folder: save({"x": np.zeros(3)}), id="no card"),
        pytest.param(lambda folder: save({"x": np.zeros(3)}, {"card": "[" * 100_000}), id="card of 100 000 levels"),
        pytest.param(lambda folder: adapter(folder, base="vit_h"), id="a base that would be downloaded"),
        pytest.param(lambda folder: adapter(folder, base="../../x"), id="a base that is a path"),
        pytest.param(lambda folder: adapter(folder, labels=["artery", "vein"]), id="other labels"),
        pytest.param(lambda folder: adapter(folder, input_size=10**9), id="an input of a billion pixels"),
        pytest.param(lambda folder: adapter(folder, text_dim=10**12), id="a text of a trillion numbers"),
        pytest.param(of_another_base, id="weights of another base"),
    ],
)
def test_a_file_that_is_no_adapter_of_this_base_is_not_taken_in(
    target: Target, content: Callable[[Path], bytes], tmp_path: Path
) -> None:
    upload = {"file": ("mine.safetensors", content(tmp_path))}
    reply = target.send("POST", "/salt/adapters/import", files=upload)
    assert_refused(reply, 400)
    assert str(target.folder) not in reply.text


# Pages of others


@pytest.mark.parametrize("origin", [EVIL, "null", "http://localhost.evil.example", "http://localhost:3000"])
def test_a_foreign_page_may_do_nothing(target: Target, origin: str) -> None:
    asked = {"Origin": origin, "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "x"}
    for method, path in (
        ("GET", "/info/"),
        ("POST", "/infer/salt"),
        ("POST", "/train/salt"),
        ("DELETE", "/datastore/"),
    ):
        replies = [target.send(method, path, headers={"Origin": origin}), target.send("OPTIONS", path, headers=asked)]
        for reply in replies:
            assert_refused(reply, 403)
            assert not [name for name in reply.headers if name.startswith("access-control-")]


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "192.168.1.7", ""])
def test_a_name_bound_to_this_computer_opens_nothing(target: Target, host: str) -> None:
    for method, path in (("GET", "/datastore/"), ("PUT", "/datastore/image"), ("POST", "/train/salt")):
        assert_refused(target.send(method, path, headers={"Host": host}), 403)


def test_what_is_not_offered_is_not_there(target: Target) -> None:
    script = {"file": ("model.ts", b"PK\3\4")}
    for method in ("PUT", "POST", "GET", "DELETE"):
        for path in (
            "/model/salt",
            "/model/",
            "/proxy/dicom/studies",
            "/ohif/",
            "/wsi/infer/salt",
            "/docs",
            "/static/x",
        ):
            assert_refused(target.send(method, path, files=script if method == "PUT" else None), 404, 405)


def test_names_do_not_become_code_of_the_report(target: Target) -> None:
    name = "<img src=x onerror=alert(1)>"
    try:
        assert target.viewer.put_image(name, png(IMAGE)).status_code == 200
        target.viewer.segment("salt", name)
        assert target.viewer.put_label(name, one_slice(VESSELS)).status_code == 200
        report = target.send("GET", "/salt/report").text
    finally:
        target.send("DELETE", "/datastore/image", params={"id": name})
    assert "&lt;img src=x onerror" in report
    assert "<img src=x" not in report


# Tokens and roles


@pytest.mark.parametrize("token", ["", "wrong", "expired", "revoked", "../../tokens.json", "x" * 5000])
def test_from_elsewhere_nothing_is_answered_without_a_token_that_is_valid(target: Target, token: str) -> None:
    headers = {"Authorization": f"Bearer {target.tokens.get(token, token)}"} if token else {}
    for method, path in (("GET", "/info/"), ("GET", "/openapi.json"), ("GET", "/"), ("PUT", "/datastore/image")):
        assert_refused(target.send(method, ELSEWHERE + path, headers=headers), 401)


FORBIDDEN = {
    "reader": """
        PUT /datastore/image, DELETE /datastore/image, PUT /datastore/label, DELETE /datastore/label, PUT /datastore/,
        PUT /datastore/image/info, PUT /datastore/label/info, PUT /datastore/updatelabelinfo, DELETE /datastore/,
        GET /datastore/dataset, PUT /session/, DELETE /session/x, POST /activelearning/first,
    """,
    "annotator": """
        POST /train/salt, DELETE /train/, POST /batch/infer/salt, DELETE /batch/infer, POST /scoring/x, POST /scoring/,
        DELETE /scoring/, GET /logs/, GET /logs/gpu, POST /salt/adapters/rollback, POST /salt/adapters/import,
        POST /salt/adapters/base/promote, PATCH /datastore/image, PUT /infer/salt, GET //logs/, POST //train/salt,
        DELETE /datastore/image?id=two, DELETE /datastore/?id=two
    """,
}


@pytest.mark.parametrize("who", list(FORBIDDEN))
def test_no_role_does_what_is_for_those_above_it(target: Target, who: str) -> None:
    requests = "".join(FORBIDDEN.values()) if who == "reader" else FORBIDDEN[who]
    for method, path in (request.split() for request in requests.split(",")):
        assert_refused(target.from_elsewhere(method, path, who), 403)


def test_who_may_only_look_cannot_save_an_answer_as_a_label(target: Target) -> None:
    for tag in ("final", "../../x"):
        form = {"params": json.dumps({"save_label": True, "label_tag": tag})}
        assert_refused(target.from_elsewhere("POST", "/infer/salt", "reader", params={"image": "two"}, data=form), 400)


# Requests that break what does not expect them

BAD_PARAMS = [
    *("{", "[]", "null", "3", "\0", "{'a': 1}", '{"a": NaN}', '{"a": 1e999}', '{"a": ' + "9" * 5000 + "}"),
    *('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", '{"a": "\\ud800"}', '{"\\udfff": 1}'),
]


@pytest.mark.parametrize("params", BAD_PARAMS)
def test_params_that_are_no_params_are_refused_wherever_there_are_some(target: Target, params: str) -> None:
    one, label = {"image": "one"}, {"label": "one", "tag": "final"}
    assert_refused(target.send("POST", "/infer/salt", params=one, data={"params": params}), 400)
    new = {"file": png(IMAGE)}
    assert_refused(
        target.send("PUT", "/datastore/image", params={"image": "new"}, data={"params": params}, files=new), 400
    )
    final = {"label": one_slice(VESSELS)}
    assert_refused(target.send("PUT", "/datastore/label", params=one, data={"params": params}, files=final), 400)
    assert_refused(target.send("PUT", "/datastore/image/info", params=one, data={"info": params}), 400)
    assert_refused(target.send("PUT", "/datastore/label/info", params=label, data={"info": params}), 400)
    if params != "null":
        body = {"content": params, "headers": {"Content-Type": "application/json"}}
        for path in ("/train/salt", "/activelearning/first", "/batch/infer/salt"):
            assert_refused(target.send("POST", path, **body), 400, 422)


HUGE = int("9" * 400)


@pytest.mark.parametrize(
    "correction",
    [
        pytest.param({"foreground": [[HUGE, 0, 0]]}, id="a click beyond all numbers"),
        pytest.param({"roi": [0, HUGE, 0, HUGE, 0, HUGE]}, id="a region beyond all numbers"),
        pytest.param({"foreground": [[1, 1, 0]] * (MOST_CLICKS + 1)}, id="more clicks than anybody makes"),
        pytest.param({"bridge": [[1, 1, 0], [HUGE, 1, 0]]}, id="a bridge beyond all numbers"),
        pytest.param({"bridge": [[1, 1, 0]] * (MOST_CLICKS + 1)}, id="a bridge of more places than are read"),
        pytest.param({"label": "/etc/passwd"}, id="a path as a label"),
        pytest.param({"result_extension": "/../../x.nrrd"}, id="a path as an extension"),
        pytest.param({"result_extension": {"a": 1}}, id="an object as an extension"),
        pytest.param({"label_name": ["vessel"], "vessel": {"a": 1}}, id="an object as clicks"),
    ],
)
def test_a_correction_that_would_break_the_server_is_refused(target: Target, correction: dict[str, Any]) -> None:
    assert_refused(target.viewer.infer("salt_edit", "one", **correction), 400)


@pytest.mark.parametrize("nonsense", [{"images": 5}, {"images": [5]}, {"max_workers": "all"}, {"max_batch_size": []}])
def test_many_images_that_are_none_are_refused(target: Target, nonsense: dict[str, Any]) -> None:
    assert_refused(target.send("POST", "/batch/infer/salt", params={"run_sync": True}, json=nonsense), 400)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", "/datastore/image/info?image=nobody", 404),
        ("PUT", "/datastore/label/info?label=nobody&tag=final", 404),
        ("PUT", "/datastore/label/info?label=one&tag=nothing", 404),
        ("DELETE", "/datastore/image?id=nobody", 404),
        ("DELETE", "/datastore/label?id=nobody&tag=final", 404),
        ("DELETE", "/datastore/label?id=one&tag=nothing", 404),
        ("GET", "/datastore/image?image=nobody", 404),
        ("GET", "/datastore/label?label=one&tag=nothing", 404),
        ("HEAD", "/datastore/image?image=one&check_sum=rot13:0", 400),
        ("POST", "/infer/salt", 400),
        ("POST", "/infer/salt?image=one&output=dicom_seg", 400),
        ("POST", "/infer/salt_measure?image=one", 400),
        ("POST", "/infer/salt_measure?image=one&output=image", 400),
        ("GET", "/salt/images/nobody", 404),
        ("POST", "/infer/nobody?image=one", 404),
        ("POST", "/batch/infer/nobody", 404),
        ("POST", "/batch/infer/nobody?run_sync=true", 404),
        ("POST", "/scoring/nobody", 404),
        ("POST", "/scoring/nobody?run_sync=true", 404),
        ("POST", "/activelearning/nobody", 404),
        ("GET", "/session/nobody", 404),
    ],
)
def test_what_is_not_there_or_cannot_be_is_no_error_of_the_server(
    target: Target, method: str, path: str, status: int
) -> None:
    assert_refused(target.send(method, path), status)


def test_more_lines_of_the_log_than_can_be_counted_are_refused(
    target: Target, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "app.log").write_text("started\n")
    monkeypatch.setattr(settings, "MONAI_LABEL_APP_DIR", str(tmp_path))
    assert_refused(target.send("GET", f"/logs/?lines={10**30}"), 400)


def test_a_computer_without_a_gpu_says_so(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(target.folder))
    assert_refused(target.send("GET", "/logs/gpu"), 404)


@pytest.mark.parametrize("info", [{"strategy": 5}, {"strategy": ["first"]}])
def test_an_info_that_would_break_strategies_is_refused(target: Target, info: dict[str, Any]) -> None:
    form = {"info": json.dumps(info)}
    assert_refused(target.send("PUT", "/datastore/image/info", params={"image": "one"}, data=form), 400)
    form = {"params": json.dumps(info)}
    assert_refused(target.viewer.send("PUT", "/datastore/image", data=form, files={"file": png(IMAGE)}), 400)


@pytest.mark.parametrize("own", [{"ts": "never"}, {"effort": 5}, {"effort": {"changed": "<b>"}}, {"version": {"a": 1}}])
def test_what_the_store_notes_itself_is_not_for_clients_to_say(target: Target, own: dict[str, Any]) -> None:
    query, form = {"label": "one", "tag": "final"}, {"info": json.dumps(own)}
    assert target.send("PUT", "/datastore/label/info", params=query, data=form).status_code == 200
    info = target.send("GET", "/datastore/label/info", params=query).json()
    assert own.items() & info.items() == set() if isinstance(next(iter(own.values())), str) else not own.keys() & info
    assert target.send("GET", "/salt/report").status_code == 200


@pytest.mark.parametrize("segments", [5, "vessel", {"name": "vessel"}, [{"name": ["vessel"], "idx": 1}], [[]], [None]])
def test_segments_that_are_none_are_refused(target: Target, segments: object) -> None:
    assert_refused(target.viewer.put_label("two", one_slice(VESSELS), segments), 400)


def test_the_archive_of_the_labelled_images_is_sent_and_not_left_behind(target: Target) -> None:
    reply = target.send("GET", "/datastore/dataset")
    assert reply.status_code == 200
    assert reply.content[:2] == b"PK"


def test_with_tokens_always_this_computer_needs_one_too(tmp_path: Path) -> None:
    tokens = TokenFile(tmp_path / "tokens.json")
    held = {"wrong": "wrong", "expired": tokens.add("expired", Role.TRAINER, 1e-9)}
    valid = {"Authorization": f"Bearer {tokens.add('ann', Role.READER, 1)}"}
    with our_server(tmp_path / "studies", tokens="always") as viewer:
        before = contents(tmp_path / "studies" / "labels")
        for headers in ({}, *({"Authorization": f"Bearer {token}"} for token in held.values())):
            assert_refused(viewer.send("GET", "/info/", headers=headers), 401)
            assert_refused(viewer.send("PUT", "/datastore/image", headers=headers), 401)
        assert viewer.send("GET", "/info/", headers=valid).status_code == 200
        tokens.revoke("ann")
        assert_refused(viewer.send("GET", "/info/", headers=valid), 401)
        assert contents(tmp_path / "studies" / "labels") == before
        tokens.path.write_text("{")
        reply = viewer.send("POST", "/auth/token", data={"password": "x"})
        assert (reply.status_code, str(tmp_path) in reply.text) == (503, False)
