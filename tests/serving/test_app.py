"""Automatic segmentation and editing, as a viewer asks for them."""

from __future__ import annotations

import errno
import json
import tempfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom import dcmread
from pydicom_seg import MultiClassReader

from salt_monailabel.imaging.run import RunView
from salt_monailabel.serving.app import SaltApp
from salt_monailabel.serving.datastore import VesselDatastore
from salt_monailabel.serving.options import Options

from ..dicom import written
from .viewer import Answer, Upload, Viewer, contents, drawing, geometry, nrrd, one_slice, our_server, png, read, serving

IMAGE, VESSELS = drawing()
OTHER = drawing(seed=8)[0]
ROWS, COLUMNS = VESSELS.shape
OBLIQUE = (0.0, 1.0, 0.0, -1.0, 0.0, 0.0, 0.0, 0.0, 1.0)


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("app") / "studies"


@pytest.fixture(scope="module")
def viewer(studies: Path) -> Iterator[Viewer]:
    with serving(studies) as connected:
        assert connected.put_image("one", png(IMAGE)).status_code == 200
        yield connected


@pytest.fixture(scope="module")
def automatic(viewer: Viewer) -> Answer:
    return viewer.segment("salt", "one")


@pytest.fixture(scope="module")
def place(automatic: Answer) -> tuple[int, int]:
    """Return i, j of a vessel pixel that is found, well inside the image."""
    inner = np.zeros_like(VESSELS)
    inner[20:-20, 20:-20] = True
    row, column = np.argwhere(inner & VESSELS & (automatic.labels > 0))[0]
    return int(column), int(row)


def around(mask: np.ndarray, place: tuple[int, int]) -> int:
    """Count the mask's pixels in a small square around i, j."""
    i, j = place
    return int((mask[j - 6 : j + 7, i - 6 : i + 7] > 0).sum())


def test_info_offers_the_tasks_trainer_strategies_and_labels(viewer: Viewer) -> None:
    info = viewer.info()
    assert info["labels"] == ["vessel"]
    assert {name: model["type"] for name, model in info["models"].items()} == {
        "salt": "segmentation",
        "salt_edit": "deepgrow",
        "salt_measure": "others",
    }
    assert all(model["labels"] == {"vessel": 1} and model["dimension"] == 2 for model in info["models"].values())
    assert set(info["trainers"]) == {"salt"}
    assert {"seconds", "learning_rate"} <= info["trainers"]["salt"]["config"].keys()
    assert {"random", "first"} <= info["strategies"].keys()
    assert info["adapter"] == "base"


def test_a_viewer_is_offered_what_can_be_set_and_may_send_all_choices_with_its_own_first(viewer: Viewer) -> None:
    models = viewer.info()["models"]
    offered = {"projection": ["none", "minimum", "peak"], "subtract": False, "register": False}
    assert [models[name]["config"] for name in ("salt", "salt_edit", "salt_measure")] == [offered, offered, {}]
    for name in ("salt", "salt_edit"):
        assert viewer.infer(name, "one", **offered, foreground=[[9, 9, 0]]).status_code == 200
    run = nrrd(np.stack([GRAY, GRAY // 2, GRAY]))
    for projection in ("minimum", ["minimum", "none", "peak"]):
        assert viewer.segment("salt", run, projection=projection).params["view"]["projection"] == "minimum"


def test_whoever_starts_a_server_that_lets_everybody_in_is_warned(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for start, warnings in ((our_server, 0), (serving, 1)):
        caplog.clear()
        with start(tmp_path / "studies"):
            assert caplog.text.count("without a token; start it with `--host 127.0.0.1`") == warnings


def test_an_archive_that_begins_anew_beside_versions_of_former_days_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(SaltApp, "init_datastore", lambda app: VesselDatastore(str(tmp_path / "cache"), ("vessel",)))
    shared, archive = tmp_path / "model" / "adapters", "https://pacs.hospital.org/dicom-web"
    own = Options().store(archive, str(tmp_path))
    for made, conf, warned in (
        (None, {}, False),
        (shared, {}, True),
        (None, {"adapters": str(shared)}, False),
        (own, {}, False),
    ):
        if made:
            (made / "0001").mkdir(parents=True)
            (made / "0001" / "card.json").write_text("{}")
        caplog.clear()
        SaltApp(str(tmp_path), archive, conf).on_init_complete()
        assert (f"--conf adapters={shared}" in caplog.text) == warned


def test_an_upload_and_the_same_image_in_the_datastore_get_the_same_mask(viewer: Viewer, automatic: Answer) -> None:
    uploaded = viewer.segment("salt", png(IMAGE))
    assert np.array_equal(uploaded.labels, automatic.labels)
    assert 0 < automatic.labels.mean() < 1
    assert set(np.unique(automatic.labels)) == {0, 1}


def test_an_image_of_a_session_gets_the_same_mask(viewer: Viewer, automatic: Answer) -> None:
    session = viewer.send("PUT", "/session/", files={"files": png(IMAGE)}).json()["session_id"]
    reply = viewer.send("POST", "/infer/salt", params={"session_id": session, "output": "image"})
    assert reply.status_code == 200, reply.text
    assert np.array_equal(np.squeeze(sitk.GetArrayFromImage(read(("mask.nrrd", reply.content)))), automatic.labels)


def test_the_answer_says_which_version_drew_which_labels(automatic: Answer) -> None:
    assert automatic.params["label_names"] == {"vessel": 1}
    assert automatic.params["version"] == "base"
    assert automatic.params["latencies"]["total"] > 0


def test_the_output_asked_for_is_what_comes(viewer: Viewer, automatic: Answer) -> None:
    file, facts = viewer.infer("salt", "one", output="image"), viewer.infer("salt", "one", output="json")
    assert np.array_equal(np.squeeze(sitk.GetArrayFromImage(read(("mask.nrrd", file.content)))), automatic.labels)
    assert facts.json()["label_names"] == {"vessel": 1}


@pytest.mark.parametrize("extension", [".nrrd", ".nii.gz", ".png"])
def test_the_format_asked_for_holds_the_same_mask(viewer: Viewer, automatic: Answer, extension: str) -> None:
    reply = viewer.infer("salt", "one", output="image", result_extension=extension)
    assert f'{extension}"' in reply.headers["content-disposition"]
    mask = read((f"mask{extension}", reply.content))
    assert np.array_equal(np.squeeze(sitk.GetArrayFromImage(mask)), automatic.labels)


@pytest.mark.parametrize("extension", [".jpg", ".xyz", "/../../mask.nrrd"])
def test_a_format_that_would_harm_a_mask_is_refused(viewer: Viewer, extension: str) -> None:
    reply = viewer.infer("salt", "one", output="image", result_extension=extension)
    assert reply.status_code == 400
    assert extension in reply.json()["detail"]
    assert ".nrrd" in reply.json()["detail"]


GRAY = IMAGE[..., 1]
AS_SLICER_SENDS = {"spacing": (0.3, 0.3, 1.0), "origin": (10.0, -20.0, 5.0), "direction": OBLIQUE}


@pytest.mark.parametrize(
    "upload",
    [
        pytest.param(png(IMAGE), id="2D PNG"),
        pytest.param(png(GRAY), id="2D gray PNG"),
        pytest.param(nrrd(GRAY[None].astype(np.int16), **AS_SLICER_SENDS), id="one slice"),
        pytest.param(nrrd(np.stack([GRAY, OTHER[..., 1]]), **AS_SLICER_SENDS), id="two frames"),
    ],
)
def test_the_mask_has_the_geometry_of_its_image(viewer: Viewer, upload: Upload) -> None:
    mask = viewer.segment("salt", upload).image
    assert geometry(mask) == pytest.approx(geometry(read(upload)))
    assert mask.GetPixelID() == sitk.sitkUInt8


@pytest.fixture(scope="module")
def cine(viewer: Viewer, tmp_path_factory: pytest.TempPathFactory) -> Upload:
    """Return a run in DICOM: a bright ground, and from the third frame on vessels."""
    ground = np.full((ROWS, COLUMNS), 200.0)
    frames = np.stack([ground - 2 + number % 2 - (number > 1) * 120 * VESSELS for number in range(4)])
    path = written(tmp_path_factory.mktemp("cine") / "cine.dcm", (16 * frames).astype(np.uint16))
    return path.name, path.read_bytes()


def test_of_a_run_single_frames_are_segmented(viewer: Viewer, cine: Upload) -> None:
    whole = viewer.segment("salt", cine).labels
    one, some = viewer.segment("salt", cine, frame=3).labels, viewer.segment("salt", cine, frames=[2, 3]).labels
    assert [frame.any() for frame in one] == [False, False, False, True]
    assert np.array_equal(one[3], whole[3])
    assert np.array_equal(some[2:], whole[2:])
    assert not some[:2].any()


@pytest.mark.parametrize("register", [False, True])
def test_a_run_is_segmented_subtracted_and_projected(viewer: Viewer, cine: Upload, register: bool) -> None:
    projected = viewer.segment("salt", cine, subtract=True, register=register, projection="minimum").labels
    assert all(np.array_equal(frame, projected[0]) for frame in projected)
    assert (projected[0] > 0)[VESSELS].mean() > 0.5
    peak = viewer.segment("salt", cine, projection="peak").labels
    assert sum(frame.any() for frame in peak) == 1


def test_what_is_corrected_is_looked_at_as_it_was_outlined(viewer: Viewer, cine: Upload) -> None:
    # The frame before the vessels shows them if one with them is subtracted.
    asked = {"subtract": True, "mask_frame": 3}
    drawn = np.broadcast_to(VESSELS, (4, ROWS, COLUMNS)).astype(np.uint8)
    whole = {"roi": [0, COLUMNS, 0, ROWS, 1, 1]}
    kept = viewer.segment("salt_edit", cine, nrrd(drawn), label_name="vessel", **asked, **whole).labels
    other = viewer.segment("salt_edit", cine, nrrd(drawn), label_name="vessel", **whole).labels
    assert not np.array_equal(kept[1], other[1])
    alone = one_slice(drawn[1])
    single = {"roi": [0, COLUMNS, 0, ROWS, 0, 0], "only_frame": 1}
    frame = viewer.segment("salt_edit", cine, alone, label_name="vessel", **asked, **single).labels
    assert np.array_equal(frame, kept[1])


def test_nothing_is_outlined_outside_of_the_field_of_view(viewer: Viewer) -> None:
    inside = np.zeros((ROWS, COLUMNS), bool)
    inside[:, 40:150] = True
    dark = np.where(inside[..., None], IMAGE // 2 + 100, 2).astype(np.uint8)
    # Vessels beside it, darker than the border around them, would be seen.
    dark[:, :36][VESSELS[:, :36]] = 0
    found = viewer.segment("salt", png(dark)).labels > 0
    assert found[:, 44:146].any()
    assert not found[:, :36].any()
    whole = {"roi": [0, COLUMNS, 0, ROWS, 0, 0]}
    kept = viewer.segment("salt_edit", png(dark), one_slice(VESSELS), label_name="vessel", **whole).labels > 0
    assert np.array_equal(kept[:, :36], VESSELS[:, :36])


def test_a_look_at_what_is_no_run_is_refused_with_a_label_too(viewer: Viewer, cine: Upload) -> None:
    viewer.put_image("flat", png(IMAGE))
    viewer.put_image("run", cine)
    for image, mask, view, said in (
        ("flat", one_slice(VESSELS), {"projection": "peak"}, "no run"),
        (
            "run",
            nrrd(np.stack([VESSELS.astype(np.uint8)] * 4)),
            {"subtract": True, "mask_frame": 9},
            "got 9 to subtract",
        ),
    ):
        refused = viewer.put_label(image, mask, view=view)
        assert refused.status_code == 400
        assert said in refused.json()["detail"]
    assert viewer.infer("salt", "flat", projection="peak").status_code == 400


@pytest.mark.parametrize("said", [None, {}, {"subtract": True, "mask_frame": 1}, {"projection": "none"}])
def test_a_label_remembers_how_the_run_was_looked_at(
    viewer: Viewer, cine: Upload, said: dict[str, object] | None
) -> None:
    viewer.put_image("run", cine)
    # As MONAI Label's panel sends a choice.
    mask = viewer.segment("salt", "run", projection=["minimum", "none", "peak"]).labels
    params = {} if said is None else {"view": said}
    assert viewer.put_label("run", nrrd(mask), **params).status_code == 200
    info = viewer.send("GET", "/datastore/label/info", params={"label": "run", "tag": "final"}).json()
    seen = RunView.of(info.get("view", {}))
    assert seen == RunView.of({"projection": "minimum"} if said is None else said)
    nonsense = {"info": json.dumps({"view": "from above"})}
    query = {"label": "run", "tag": "original"}
    assert viewer.send("PUT", "/datastore/label/info", params=query, data=nonsense).status_code == 200
    assert viewer.put_label("run", nrrd(mask)).status_code == 200
    refused = viewer.put_label("run", nrrd(mask), view={"projection": "maximum"})
    assert refused.status_code == 400
    assert "minimum" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"frame": 4}, "frames 0 to 3"),
        ({"frames": [3]}, "'frames' is [first, last]"),
        ({"frame": "last"}, "numbers from 0"),
        ({"projection": "maximum"}, "minimum"),
        ({"subtract": True, "mask_frame": 9}, "got 9 to subtract"),
    ],
)
def test_of_a_run_nothing_is_segmented_that_is_not_there(
    viewer: Viewer, cine: Upload, asked: dict[str, object], said: str
) -> None:
    reply = viewer.infer("salt", cine, **asked)
    assert reply.status_code == 400
    assert said in reply.json()["detail"]


def proposed(studies: Path, image: str) -> np.ndarray:
    kept = studies / "labels" / "original" / f"{image}.nrrd"
    return np.squeeze(sitk.GetArrayFromImage(sitk.ReadImage(str(kept))))


def test_frames_that_are_not_looked_at_keep_what_was_proposed_for_them(
    viewer: Viewer, studies: Path, cine: Upload
) -> None:
    viewer.put_image("by frames", cine)
    third = viewer.segment("salt", "by frames", frame=2).labels
    assert np.array_equal(proposed(studies, "by frames"), third)
    whole = viewer.segment("salt", "by frames").labels
    # Subtracted, a frame is outlined in another way, and that without vessels is empty.
    for asked in ({"frame": 3}, {"frames": [0, 1]}):
        some = viewer.segment("salt", "by frames", subtract=True, mask_frame=0, **asked).labels
        chosen = range(4)[asked["frame"] :] if "frame" in asked else range(2)
        before = whole
        whole = np.stack([some[number] if number in chosen else before[number] for number in range(4)])
        assert np.array_equal(proposed(studies, "by frames"), whole)
    peak = viewer.segment("salt", "by frames", projection="peak").labels
    whole = np.where(peak.any(axis=(1, 2), keepdims=True), peak, whole)
    assert np.array_equal(proposed(studies, "by frames"), whole)
    assert viewer.put_label("by frames", nrrd(whole)).status_code == 200
    query = {"label": "by frames", "tag": "final"}
    info = viewer.send("GET", "/datastore/label/info", params=query).json()
    assert info["effort"]["changed"] == 0


def test_what_was_proposed_for_frames_that_do_not_come_back_is_no_effort(viewer: Viewer, cine: Upload) -> None:
    viewer.put_image("in part", cine)
    label = viewer.segment("salt", "in part").labels
    assert label[2:].any(axis=(1, 2)).all()
    label[2] = 0
    label[3, :10, :10] = 1 - label[3, :10, :10]
    assert viewer.put_label("in part", nrrd(label)).status_code == 200
    query = {"label": "in part", "tag": "final"}
    info = viewer.send("GET", "/datastore/label/info", params=query).json()
    assert (info["effort"]["changed"], info["effort"]["vessel"]) == (100, int(label.sum()))


def test_the_answer_for_dicom_can_be_a_dicom_segmentation(viewer: Viewer, cine: Upload) -> None:
    mask = viewer.segment("salt", cine).labels
    reply = viewer.infer("salt", cine, output="image", result_extension=".dcm")
    assert reply.status_code == 200
    stored = dcmread(BytesIO(reply.content))
    assert stored.Modality == "SEG"
    found = MultiClassReader().read(stored).data
    assert found.sum() == (mask > 0).sum()
    refused = viewer.infer("salt", "one", output="image", result_extension=".dcm")
    assert refused.status_code == 400
    assert "no DICOM image" in refused.json()["detail"]


def test_the_vessels_of_an_answer_are_measured_on_request(viewer: Viewer, cine: Upload) -> None:
    assert "measurements" not in viewer.segment("salt", "one").params
    (row,) = viewer.segment("salt", "one", measure=True).params["measurements"]
    assert (row["frame"], row["label"], row["unit"]) == (0, "vessel", "px")
    assert 0 < row["density"] < 0.5
    assert row["total_length"] > row["segments"] > 0
    frames = [row["frame"] for row in viewer.segment("salt", cine, measure=True, frames=[2, 3]).params["measurements"]]
    assert frames == [2, 3]


def test_each_frame_of_a_stack_is_segmented_as_if_it_were_asked_for_alone(viewer: Viewer) -> None:
    stack = nrrd(np.stack([GRAY, OTHER[..., 1]]))
    together = viewer.segment("salt", stack).labels
    alone = [viewer.segment("salt", stack, frame=number).labels[number] for number in range(2)]
    assert np.array_equal(together, np.stack(alone))
    assert not np.array_equal(*alone)


def test_clicks_in_either_form_of_the_panel_mean_the_same(viewer: Viewer, place: tuple[int, int]) -> None:
    click = [[*place, 0]]
    deepgrow = viewer.segment("salt_edit", "one", foreground=click, background=[])
    deepedit = viewer.segment("salt_edit", "one", vessel=click, background=[])
    named = viewer.segment("salt_edit", "one", foreground=click, background=[], label="vessel")
    assert np.array_equal(deepgrow.labels, deepedit.labels)
    assert np.array_equal(deepgrow.labels, named.labels)


def test_a_foreground_click_leaves_more_vessel_there_than_a_background_click(
    viewer: Viewer, place: tuple[int, int], automatic: Answer
) -> None:
    added = viewer.segment("salt_edit", "one", foreground=[[*place, 0]], background=[])
    removed = viewer.segment("salt_edit", "one", foreground=[], background=[[*place, 0]])
    assert around(added.labels, place) > around(removed.labels, place)
    assert around(removed.labels, place) < around(automatic.labels, place)
    assert geometry(added.image) == geometry(automatic.image)


def test_without_a_correction_editing_answers_as_automatic_segmentation_does(viewer: Viewer, automatic: Answer) -> None:
    assert np.array_equal(viewer.segment("salt_edit", "one", foreground=[], background=[]).labels, automatic.labels)


def test_nothing_changes_outside_the_region_of_interest(
    viewer: Viewer, place: tuple[int, int], automatic: Answer
) -> None:
    i, j = place
    roi = [i - 15, i + 15, j - 15, j + 15, 0, 0]
    mask = viewer.segment("salt_edit", "one", foreground=[], background=[], roi=roi).labels
    changed = np.argwhere(mask != automatic.labels)
    assert len(changed)
    assert np.abs(changed - (j, i)).max() <= 15


def test_an_uploaded_mask_is_the_one_that_is_corrected(viewer: Viewer, place: tuple[int, int]) -> None:
    drawn = np.zeros((ROWS, COLUMNS), bool)
    drawn[40:60, 30:150] = True
    kept = viewer.segment("salt_edit", "one", one_slice(drawn), label_name="vessel", foreground=[], background=[])
    assert np.array_equal(kept.labels > 0, drawn)
    corrected = viewer.segment("salt_edit", "one", one_slice(drawn), label_name="vessel", foreground=[[*place, 0]])
    fresh = viewer.segment("salt_edit", "one", foreground=[[*place, 0]])
    assert not np.array_equal(corrected.labels, fresh.labels)


def test_frames_without_a_click_keep_the_uploaded_mask(viewer: Viewer, place: tuple[int, int]) -> None:
    drawn = np.zeros((2, ROWS, COLUMNS), np.uint8)
    drawn[:, 40:60, 30:150] = 1
    stack = nrrd(np.stack([OTHER[..., 1], GRAY]))
    mask = viewer.segment("salt_edit", stack, nrrd(drawn), label_name="vessel", foreground=[[*place, 1]]).labels
    assert np.array_equal(mask[0], drawn[0])
    assert not np.array_equal(mask[1], drawn[1])


def test_what_was_removed_on_a_key_frame_stays_removed_on_the_frames_around(viewer: Viewer) -> None:
    run = nrrd(np.stack([np.roll(GRAY, number, axis=1) for number in range(4)]))
    automatic = viewer.segment("salt", run).labels
    key = automatic.copy()
    key[1, :, COLUMNS // 2 :] = 0
    carried = viewer.segment("salt_edit", run, nrrd(key), label_name="vessel", key_frames=[1], carry=[1, 2]).labels
    assert np.array_equal(carried[[0, 1, 3]], key[[0, 1, 3]])
    left, right = np.s_[2, :, : COLUMNS // 2 - 8], np.s_[2, :, COLUMNS // 2 + 8 :]
    assert automatic[right].sum() > 100
    assert carried[right].sum() < 0.1 * automatic[right].sum()
    assert (carried[left] & automatic[left]).sum() > 0.8 * automatic[left].sum()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"carry": [0, 9], "key_frames": [1]}, "frames 0 to 3"),
        ({"carry": [0, 3], "key_frames": [4]}, "frames 0 to 3"),
        ({"carry": "all", "key_frames": [1]}, "[first, last]"),
        ({"carry": [0, 3]}, "no mask to carry"),
    ],
)
def test_nothing_is_carried_that_is_not_there(
    viewer: Viewer, cine: Upload, asked: dict[str, object], said: str
) -> None:
    reply = viewer.infer("salt_edit", cine, foreground=[], background=[], **asked)
    assert reply.status_code == 400
    assert said in reply.json()["detail"]


def test_asking_keeps_what_was_proposed_and_changes_nothing_else(viewer: Viewer, studies: Path) -> None:
    def rest() -> dict[str, str]:
        own = ("labels/original/one.nrrd", "datastore_v2.json", "adapters/audit.jsonl")
        return {name: content for name, content in contents(studies).items() if name not in own}

    before, completed = rest(), viewer.status()["completed"]
    proposed = viewer.segment("salt", "one").labels
    viewer.segment("salt_edit", "one", foreground=[[5, 5, 0]])
    assert rest() == before
    assert viewer.status()["completed"] == completed
    kept = studies / "labels" / "original" / "one.nrrd"
    assert np.array_equal(np.squeeze(sitk.GetArrayFromImage(sitk.ReadImage(str(kept)))), proposed)


def test_a_mask_that_finds_no_room_is_answered_507_and_leaves_no_file(
    viewer: Viewer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def no_room(*arguments: object, **settings: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("salt_monailabel.imaging.result.write_mask", no_room)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    reply = viewer.infer("salt", "one")
    assert reply.status_code == 507
    assert "disk is full" in reply.json()["detail"]
    assert list(tmp_path.iterdir()) == []
