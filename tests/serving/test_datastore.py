"""Images and labels in the datastore, as a viewer puts them there."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from fastapi import HTTPException

from salt_monailabel.imaging import read_mask, read_study
from salt_monailabel.serving.datastore import VesselDatastore
from salt_monailabel.serving.earlier import KEPT
from salt_monailabel.serving.sampling import leases
from salt_monailabel.whole_files import PARTIAL

from ..imaging.stored import stored as written
from .audited import entries
from .viewer import Viewer, contents, drawing, geometry, nrrd, one_slice, png, read, serving

IMAGE, VESSELS = drawing(rows=96, columns=128)
GRAY = IMAGE[..., 1]


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    return tmp_path / "studies"


@pytest.fixture
def viewer(studies: Path) -> Iterator[Viewer]:
    """Connect to a server with two labels and one image."""
    with serving(studies, labels="artery, vein") as connected:
        assert connected.put_image("one", png(IMAGE)).json() == {"image": "one"}
        yield connected


def test_the_labels_of_the_configuration_are_offered_in_their_order(viewer: Viewer) -> None:
    info = viewer.info()
    assert info["labels"] == ["artery", "vein"]
    assert info["models"]["salt"]["labels"] == {"artery": 1, "vein": 2}


def test_several_labels_are_drawn_into_one_map_and_edited_one_by_one(viewer: Viewer) -> None:
    drawn = viewer.segment("salt", "one")
    assert drawn.params["label_names"] == {"artery": 1, "vein": 2}
    assert set(np.unique(drawn.labels)) <= {0, 1, 2}
    both = np.zeros((1, *VESSELS.shape), np.uint8)
    both[:, 10:20], both[:, 40:60] = 1, 2
    kept = viewer.segment("salt_edit", "one", nrrd(both), label_name="vein")
    assert np.array_equal(kept.labels, (both[0] == 2).astype(np.uint8))
    again = viewer.segment("salt_edit", "one", nrrd(kept.labels[None]), label_name="vein")
    assert np.array_equal(again.labels, kept.labels), "an answer that is sent back is of the same label"


@pytest.mark.parametrize(
    "name",
    [
        "photo.png", "photo.jpg", "photo.tif", "photo.bmp", "photo.gif", "photo.webp", "photo.jp2", "photo.pgm",
        "photo.nii.gz", "photo.nrrd",
    ],
)  # fmt: skip
def test_an_image_is_stored_under_its_name_and_comes_back(
    viewer: Viewer, studies: Path, name: str, tmp_path: Path
) -> None:
    content = written(tmp_path / name, IMAGE[..., 1]).read_bytes()
    assert viewer.put_image("two", (name, content)).json() == {"image": "two"}
    stored = studies / name.replace("photo", "two")
    assert stored.read_bytes() == content
    assert viewer.send("GET", "/datastore/image", params={"image": "two"}).content == content
    assert viewer.status()["total"] == 2


def test_a_label_of_one_slice_is_stored_with_the_geometry_of_its_flat_image(viewer: Viewer, studies: Path) -> None:
    reply = viewer.put_label("one", one_slice(VESSELS), [{"name": "artery", "idx": 1}])
    assert reply.json() == {"image": "one", "label": "one"}
    stored = sitk.ReadImage(str(studies / "labels" / "final" / "one.nrrd"))
    assert geometry(stored) == geometry(read(png(IMAGE)))
    assert np.array_equal(sitk.GetArrayFromImage(stored) > 0, VESSELS)
    assert viewer.status()["completed"] == 1


def test_segments_get_the_values_of_the_labels_of_their_names(viewer: Viewer, studies: Path) -> None:
    segments = np.zeros((1, *VESSELS.shape), np.uint8)
    segments[:, 10:20], segments[:, 30:50], segments[:, 60:70] = 1, 5, 9
    # The panel numbers segments by their order on the screen; a value it does not list is no segment.
    viewer.put_label("one", nrrd(segments), [{"name": "vein", "idx": 1}, {"name": "artery", "idx": 5}])
    study = read_study(studies / "one.png")
    stored = read_mask(studies / "labels" / "final" / "one.nrrd", study)
    assert np.array_equal(stored == 2, segments == 1)
    assert np.array_equal(stored == 1, segments == 5)


def test_a_label_without_names_keeps_its_values(viewer: Viewer, studies: Path) -> None:
    values = np.zeros((1, *VESSELS.shape), np.uint8)
    values[:, 10:20], values[:, 30:50] = 1, 2
    assert viewer.put_label("one", nrrd(values), []).status_code == 200
    stored = read_mask(studies / "labels" / "final" / "one.nrrd", read_study(studies / "one.png"))
    assert np.array_equal(stored, values)


def test_a_mask_of_0_and_255_is_the_segment_its_name_says(viewer: Viewer, studies: Path) -> None:
    reply = viewer.put_label("one", nrrd(255 * VESSELS[None].astype(np.uint8)), [{"name": "vein", "idx": 255}])
    assert reply.status_code == 200, reply.text
    stored = read_mask(studies / "labels" / "final" / "one.nrrd", read_study(studies / "one.png"))
    assert np.array_equal(stored[0] == 2, VESSELS)


def test_high_values_beside_low_ones_are_segments_of_their_own(viewer: Viewer, studies: Path) -> None:
    segments = np.zeros((1, *VESSELS.shape), np.uint8)
    segments[:, 10:20], segments[:, 30:50] = 1, 200
    viewer.put_label("one", nrrd(segments), [{"name": "artery", "idx": 1}, {"name": "vein", "idx": 200}])
    stored = read_mask(studies / "labels" / "final" / "one.nrrd", read_study(studies / "one.png"))
    assert np.array_equal(stored == 1, segments == 1)
    assert np.array_equal(stored == 2, segments == 200)


def test_whoever_may_read_an_image_may_read_its_label(viewer: Viewer, studies: Path) -> None:
    viewer.put_label("one", one_slice(VESSELS), [{"name": "artery", "idx": 1}])
    image, label = studies / "one.png", studies / "labels" / "final" / "one.nrrd"
    assert image.stat().st_mode & ~label.stat().st_mode == 0


def test_a_corrected_label_replaces_the_one_before(viewer: Viewer, studies: Path) -> None:
    for mask in (VESSELS, np.roll(VESSELS, 5)):
        viewer.put_label("one", one_slice(mask), [{"name": "artery", "idx": 1}])
    stored = read_mask(studies / "labels" / "final" / "one.nrrd", read_study(studies / "one.png"))
    assert np.array_equal(stored[0] > 0, np.roll(VESSELS, 5))
    assert viewer.status()["completed"] == 1


def kept(studies: Path, image: str = "one") -> list[Path]:
    return sorted((studies / "labels" / "final" / ".earlier" / image).glob("*"))


def test_a_final_label_that_another_replaces_is_kept_and_named_in_the_audit_log(viewer: Viewer, studies: Path) -> None:
    label = studies / "labels" / "final" / "one.nrrd"
    masks = [np.roll(VESSELS, shift) for shift in range(KEPT + 2)]
    replaced = []
    for mask in masks:
        # The second time it is the same, and nothing is lost.
        for _ in range(2):
            assert viewer.put_label("one", one_slice(mask), [{"name": "artery", "idx": 1}]).status_code == 200
        replaced.append(label.read_bytes())
    assert [path.read_bytes() for path in kept(studies)] == replaced[:-1][-KEPT:]
    found = entries(studies / "adapters" / "audit.jsonl")
    named = [entry["earlier"] for entry in found if "earlier" in entry]
    assert named[-KEPT:] == [path.name for path in kept(studies)]
    assert len(named) == len(masks) - 1
    again = VesselDatastore(str(studies), ("artery", "vein"), auto_reload=False)
    assert again.status() == viewer.status() == {"total": 1, "completed": 1, "label_tags": {"final": 1}}
    assert [pair["label"] for pair in again.datalist()] == [str(label)]
    # What was replaced is got back by submitting it.
    first = kept(studies)[0]
    assert viewer.put_label("one", (first.name, first.read_bytes()), []).status_code == 200
    assert np.array_equal(read_mask(label, read_study(studies / "one.png"))[0] > 0, masks[1])
    assert kept(studies)[-1].read_bytes() == replaced[-1]
    viewer.send("DELETE", "/datastore/image", params={"id": "one"})
    assert kept(studies) == []


def test_a_label_of_another_format_or_that_cannot_be_read_is_kept_too(viewer: Viewer, studies: Path) -> None:
    labels = studies / "labels" / "final"
    sitk.WriteImage(sitk.GetImageFromArray(VESSELS[None].astype(np.uint8)), str(labels / "one.nii.gz"))
    store = VesselDatastore(str(studies), ("artery", "vein"), auto_reload=False)
    before = (labels / "one.nii.gz").read_bytes(), b"half of a label"
    sent = studies.parent / "sent.nrrd"
    for number, content in enumerate(before):
        sent.write_bytes(one_slice(np.roll(VESSELS, 1 + number))[1])
        saved = store.save_label("one", str(sent), "final", {})
        assert kept(studies)[-1].name == saved.earlier
        assert kept(studies)[-1].read_bytes() == content
        (labels / "one.nrrd").write_bytes(b"half of a label")
    assert [path.name for path in labels.glob("one*")] == ["one.nrrd"]


def test_a_label_is_not_replaced_if_it_cannot_be_kept(
    viewer: Viewer, studies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer.put_label("one", one_slice(VESSELS), [{"name": "artery", "idx": 1}])
    before = contents(studies)

    def no_room(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("salt_monailabel.serving.earlier.shutil.copyfile", no_room)
    reply = viewer.put_label("one", one_slice(np.roll(VESSELS, 5)), [{"name": "artery", "idx": 1}])
    assert reply.status_code == 507
    assert contents(studies) == before


def test_a_label_that_cannot_be_replaced_is_kept_once_however_often_it_is_tried(
    viewer: Viewer, studies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer.put_label("one", one_slice(VESSELS), [{"name": "artery", "idx": 1}])
    viewer.put_label("one", one_slice(np.roll(VESSELS, 1)), [{"name": "artery", "idx": 1}])

    def no_room(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("salt_monailabel.serving.datastore.write_mask", no_room)
        for _ in range(KEPT + 1):
            reply = viewer.put_label("one", one_slice(np.roll(VESSELS, 5)), [{"name": "artery", "idx": 1}])
            assert reply.status_code == 507
    assert len(kept(studies)) == 2


def test_an_image_is_its_holders_while_they_work_on_it_until_the_final_label(
    viewer: Viewer, studies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "OFTEN", 0)

    def until() -> float:
        return json.loads((studies / "adapters" / "leases.json").read_text())["one"]["until"]

    assert viewer.next_sample().json()["id"] == "one"
    begun = until()
    viewer.segment("salt_edit", "one", foreground=[[5, 5, 0]])
    clicked = until()
    assert clicked > begun
    draft = viewer.put_label("one", one_slice(VESSELS), [{"name": "artery", "idx": 1}], "draft")
    assert draft.status_code == 200
    assert until() == clicked
    viewer.put_label("one", one_slice(VESSELS), [{"name": "artery", "idx": 1}])
    assert json.loads((studies / "adapters" / "leases.json").read_text()) == {}


def test_sending_an_image_again_keeps_its_label(viewer: Viewer, studies: Path) -> None:
    viewer.put_image("two", png(GRAY))
    viewer.put_label("two", one_slice(VESSELS), [{"name": "artery", "idx": 1}])
    for upload in (png(GRAY), nrrd(GRAY)):
        assert viewer.put_image("two", upload).status_code == 200
        assert viewer.status() == {"total": 2, "completed": 1, "label_tags": {"final": 1}}
    # Two files of one name would be one image to the datastore, and no one knows which.
    assert [path.name for path in studies.glob("two.*")] == ["two.nrrd"]


@pytest.mark.parametrize("tag", ["final", "original"])
@pytest.mark.parametrize("other", [np.flipud(IMAGE), IMAGE[:-1], GRAY, GRAY[None].repeat(2, 0)])
def test_another_image_under_a_name_that_has_a_label_is_refused(
    viewer: Viewer, studies: Path, other: np.ndarray, tag: str
) -> None:
    viewer.put_label("one", one_slice(VESSELS), [{"name": "artery", "idx": 1}], tag)
    before = contents(studies)
    reply = viewer.put_image("one", png(other) if other.ndim == 2 or other.shape[-1] == 3 else nrrd(other))
    assert (reply.status_code, "another name" in reply.json()["detail"]) == (409, True)
    assert contents(studies) == before
    assert viewer.put_image("one", png(IMAGE)).status_code == 200


def test_a_label_whose_image_is_gone_goes_to_no_newcomer_of_that_name(viewer: Viewer, studies: Path) -> None:
    viewer.put_label("one", one_slice(VESSELS), [{"name": "artery", "idx": 1}])
    store = VesselDatastore(str(studies), ("artery", "vein"), auto_reload=False)
    (studies / "one.png").rename(studies.parent / "one.png")
    sent = studies.parent / "sent.png"
    sent.write_bytes(png(np.flipud(IMAGE))[1])
    for noticed in (False, True):
        if noticed:
            store.refresh()
        with pytest.raises(HTTPException, match="another name, or put the file of 'one' back") as refused:
            store.add_image("one", str(sent), {})
        assert refused.value.status_code == 409
    (studies.parent / "one.png").rename(studies / "one.png")
    store.refresh()
    assert store.get_labeled_images() == ["one"]
    assert (studies / "one.png").read_bytes() == png(IMAGE)[1]


def test_another_image_takes_the_place_of_one_without_a_label(viewer: Viewer, studies: Path) -> None:
    assert viewer.put_image("one", png(np.flipud(IMAGE))).status_code == 200
    assert (studies / "one.png").read_bytes() == png(np.flipud(IMAGE))[1]


def test_what_a_killed_process_left_is_neither_an_image_nor_a_label(viewer: Viewer, studies: Path) -> None:
    left, labels = f"{PARTIAL}0-one", studies / "labels" / "final"
    (studies / f"{left}.png").write_bytes((studies / "one.png").read_bytes())
    for name in (f"{left}.nrrd", "one.nrrd"):
        (labels / name).write_bytes(one_slice(VESSELS)[1])
    store = VesselDatastore(str(studies), ("artery", "vein"), auto_reload=False)
    assert store.list_images() == ["one"]
    assert store.status() == {"total": 1, "completed": 1, "label_tags": {"final": 1}}


@pytest.mark.parametrize("strategy", ["random", "first"])
def test_the_next_sample_has_no_label_yet_until_none_is_left(viewer: Viewer, strategy: str) -> None:
    viewer.put_image("two", png(np.roll(IMAGE, 9, axis=0)))
    for given in range(2):
        sample = viewer.next_sample(strategy).json()
        assert Path(sample["path"]).is_file()
        assert viewer.put_label(sample["id"], one_slice(VESSELS), [{"name": "vein", "idx": 1}]).status_code == 200
        assert viewer.status()["completed"] == given + 1
    assert viewer.next_sample(strategy).json() == {}


@pytest.mark.parametrize("strategy", ["random", "first"])
def test_the_only_image_left_can_be_asked_for_again_at_once(viewer: Viewer, strategy: str) -> None:
    replies = [viewer.next_sample(strategy) for _ in range(3)]
    assert [reply.status_code for reply in replies] == [200] * 3
    assert {reply.json()["id"] for reply in replies} == {"one"}


def test_a_proposal_can_be_kept_as_an_original_label(viewer: Viewer, studies: Path) -> None:
    reply = viewer.infer("salt", "one", output="json", save_label=True)
    assert reply.status_code == 200, reply.text
    assert viewer.status()["label_tags"] == {"original": 1}
    proposal = read_mask(studies / "labels" / "original" / "one.nrrd", read_study(studies / "one.png"))
    assert np.array_equal(proposal[0], viewer.segment("salt", "one").labels)


def test_a_removed_image_takes_its_label_along(viewer: Viewer, studies: Path) -> None:
    viewer.put_label("one", one_slice(VESSELS), [{"name": "vein", "idx": 1}])
    assert viewer.send("DELETE", "/datastore/image", params={"id": "one"}).status_code == 200
    assert viewer.status() == {"total": 0, "completed": 0, "label_tags": {}}
    assert not (studies / "one.png").exists()
    assert not (studies / "labels" / "final" / "one.nrrd").exists()


def test_files_laid_into_the_folder_are_found_at_the_start(studies: Path) -> None:
    (studies / "labels" / "final").mkdir(parents=True)
    (studies / "laid.png").write_bytes(png(IMAGE)[1])
    (studies / "labels" / "final" / "laid.nrrd").write_bytes(one_slice(VESSELS)[1])
    (studies / "waiting.BMP").write_bytes(b"to be looked at when it is asked for")
    with serving(studies) as viewer:
        assert viewer.status() == {"total": 2, "completed": 1, "label_tags": {"final": 1}}
        assert viewer.next_sample("first").json()["id"] == "waiting"


def test_an_image_with_a_namesake_where_the_server_runs_is_the_one_in_the_datastore(
    viewer: Viewer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere" / "one").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert viewer.segment("salt", "one").labels.shape == VESSELS.shape
