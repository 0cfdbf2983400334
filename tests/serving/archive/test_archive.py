"""Labels that go to an archive, a real one, and come back from it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid

from salt_monailabel.imaging.run import RunView
from salt_monailabel.imaging.segmentation import write_segmentation
from salt_monailabel.serving.archive.client import Archive, ArchiveError
from salt_monailabel.serving.datastore import FINAL

from .orthanc import Orthanc
from .proxy import Proxy
from .steps import Open, label_of, put, random_mask, soon, state_of, submit

# A place in space, which angiograms have not.
PLACE = {
    "FrameOfReferenceUID": generate_uid(),
    "ImagePositionPatient": [1.5, -20, 3],
    "ImageOrientationPatient": [1, 0, 0, 0, 0, -1],
    "PixelSpacing": [0.3, 0.2],
    "SliceThickness": 1,
}


@pytest.mark.parametrize(("frames", "tags"), [(3, {}), (1, PLACE)], ids=["a run", "a slice with a place"])
def test_a_label_comes_back_on_another_computer_by_the_names_of_its_segments(
    orthanc: Orthanc, opened: Open, tmp_path: Path, frames: int, tags: dict[str, Any]
) -> None:
    (image,) = put(orthanc, tmp_path, frames=frames, **tags)
    here = opened("here", "artery", "vein")
    here.get_unlabeled_images()
    mask = random_mask(1, frames, values=2)
    submit(here, image, mask, tmp_path)
    soon(lambda: state_of(here, image)["state"] == "stored")
    assert here.get_label_info(image, FINAL)["user"] == "somebody"
    assert orthanc.drawings() == [state_of(here, image)["segmentation"]]
    there = opened("there", "vein", "artery")
    assert there.get_unlabeled_images() == []
    soon(lambda: there.get_labeled_images() == [image])
    assert np.array_equal(label_of(there, image), np.array([0, 2, 1], np.uint8)[mask])
    assert there.datalist()[0]["image"] == there.get_image_uri(image)


@pytest.mark.parametrize("view", [{"subtract": True, "mask_frame": 0}, {"projection": "minimum", "frames": [1, 2]}])
def test_how_the_run_was_looked_at_is_known_on_another_computer(
    orthanc: Orthanc, opened: Open, tmp_path: Path, view: dict[str, Any]
) -> None:
    (image,) = put(orthanc, tmp_path, frames=3)
    here = opened("here")
    here.get_unlabeled_images()
    submit(here, image, random_mask(1, 3), tmp_path, view=view)
    soon(lambda: state_of(here, image)["state"] == "stored")
    there = opened("there")
    there.get_unlabeled_images()
    soon(lambda: there.get_labeled_images() == [image])
    assert RunView.of(there.datalist()[0]["view"]) == RunView.of(view)


def test_the_newest_label_counts_everywhere(orthanc: Orthanc, opened: Open, tmp_path: Path) -> None:
    (image,) = put(orthanc, tmp_path)
    here, there = opened("here"), opened("there")
    here.get_unlabeled_images()
    for seed in (1, 2):
        submit(here, image, random_mask(seed), tmp_path)
        soon(lambda: state_of(here, image)["state"] == "stored")
    assert len(orthanc.drawings()) == 2
    there.refresh()
    soon(lambda: there.get_labeled_images() == [image])
    assert np.array_equal(label_of(there, image), random_mask(2))
    submit(there, image, random_mask(3), tmp_path)
    soon(lambda: len(orthanc.drawings()) == 3)
    here.refresh()
    soon(lambda: np.array_equal(label_of(here, image), random_mask(3)))
    here.remove_label(image, FINAL)
    here.refresh()
    assert here.catalogue.newer() == {}
    assert here.get_unlabeled_images() == [image]


def test_a_label_submitted_while_an_older_one_is_taken_over_stays_whatever_the_clocks_say(
    orthanc: Orthanc, opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (image,) = put(orthanc, tmp_path)
    here = opened("here")
    source = here.get_image_uri(here.get_unlabeled_images()[0])
    write_segmentation(random_mask(1), ["vessel"], source, tmp_path / "drawn.dcm")
    drawn = dcmread(tmp_path / "drawn.dcm")
    drawn.ContentDate = "20990101"
    drawn.save_as(tmp_path / "drawn.dcm")
    orthanc.put(tmp_path / "drawn.dcm")
    fetch = here.archive.fetch

    def fetch_while_a_label_is_submitted(*arguments: Any) -> None:
        fetch(*arguments)
        submit(here, image, random_mask(2), tmp_path)
        soon(lambda: len(orthanc.drawings()) == 2)

    monkeypatch.setattr(here.archive, "fetch", fetch_while_a_label_is_submitted)
    here.refresh()
    soon(lambda: len(orthanc.drawings()) == 2)
    here.refresh()
    time.sleep(0.5)
    assert np.array_equal(label_of(here, image), random_mask(2))


def test_a_segment_of_an_unknown_name_is_left_out_with_a_warning(
    orthanc: Orthanc, opened: Open, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    images = put(orthanc, tmp_path, 2)
    here = opened("here", "vessel", "catheter")
    here.get_unlabeled_images()
    submit(here, images[0], random_mask(1, values=2), tmp_path)
    submit(here, images[1], 2 * random_mask(1), tmp_path)
    soon(lambda: len(orthanc.drawings()) == 2)
    there = opened("there", "vessel")
    soon(lambda: there.get_labeled_images() == [images[0]])
    assert np.array_equal(label_of(there, images[0]), random_mask(1, values=2) == 1)
    soon(lambda: there.get_unlabeled_images() == [images[1]])
    submit(here, images[0], 2 * random_mask(2), tmp_path)
    soon(lambda: len(orthanc.drawings()) == 3)
    elsewhere = opened("elsewhere", "vessel")
    elsewhere.get_unlabeled_images()
    elsewhere.refresh()
    soon(lambda: elsewhere.get_labeled_images() == [images[0]])
    assert np.array_equal(label_of(elsewhere, images[0]), random_mask(1, values=2) == 1)
    assert "catheter, which are no labels here" in caplog.text


def test_a_label_submitted_while_the_archive_is_down_is_sent_by_the_next_process(
    orthanc: Orthanc, opened: Open, tmp_path: Path
) -> None:
    images = put(orthanc, tmp_path, 2)
    store = opened("here")
    store.get_unlabeled_images()
    store.get_image_uri(images[0])
    orthanc.kill()
    submit(store, images[0], random_mask(1), tmp_path)
    soon(lambda: "does not answer" in state_of(store, images[0]).get("warning", ""))
    assert store.status()["archive"]["waiting"] == 1
    soon(lambda: orthanc.address in store.status()["archive"]["warning"])
    submit(store, images[0], random_mask(2), tmp_path)
    soon(lambda: "segmentation" in state_of(store, images[0]))
    drawn = state_of(store, images[0])["segmentation"]
    store.close()
    orthanc.start()
    store = opened("here")
    soon(lambda: state_of(store, images[0])["state"] == "stored")
    assert orthanc.drawings() == [drawn]
    assert store.status()["archive"] == {"address": orthanc.address, "waiting": 0, "warning": ""}
    assert np.array_equal(label_of(store, images[0]), random_mask(2))


def test_of_two_processes_with_one_folder_the_second_sends_once_the_first_has_ended(
    orthanc: Orthanc, opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("images", "datastore"):
        monkeypatch.setattr(f"salt_monailabel.serving.archive.{module}.INTERVAL", 0.2)
    (image,) = put(orthanc, tmp_path)
    first = opened("here")
    first.get_unlabeled_images()
    second = opened("here")
    submit(second, image, random_mask(1), tmp_path)
    time.sleep(0.5)
    assert orthanc.drawings() == []
    first.close()
    soon(lambda: len(orthanc.drawings()) == 1)


def test_an_archive_killed_in_the_middle_of_storing_has_all_labels_once_in_the_end(
    orthanc: Orthanc, opened: Open, tmp_path: Path
) -> None:
    images = put(orthanc, tmp_path, 10, frames=2)
    store = opened("here")
    for image in store.get_unlabeled_images():
        store.get_image_uri(image)
    for number, image in enumerate(images):
        submit(store, image, random_mask(number, 2), tmp_path)
        if number == 4:
            orthanc.kill()
    assert 0 < store.status()["archive"]["waiting"] <= 10
    orthanc.start()
    soon(lambda: store.status()["archive"]["waiting"] == 0)
    assert len(orthanc.drawings()) == 10
    there = opened("there")
    soon(lambda: sorted(there.get_labeled_images()) == sorted(images))
    for number, image in enumerate(images):
        assert np.array_equal(label_of(there, image), random_mask(number, 2))


def test_a_connection_that_is_cut_leaves_neither_half_an_image_nor_two_segmentations(
    orthanc: Orthanc, opened: Open, tmp_path: Path
) -> None:
    (image,) = put(orthanc, tmp_path, frames=8)
    proxy = Proxy(orthanc.port)
    store = opened("here", archive=Archive(f"http://127.0.0.1:{proxy.port}/dicom-web"))
    store.get_unlabeled_images()
    for proxy.cut in (0, 600, 5000):
        with pytest.raises(ArchiveError, match="stopped in the middle") as error:
            store.get_image_uri(image)
        assert error.value.status_code == 503
        assert not list(store.folder.rglob("*.dcm"))
    proxy.cut = None
    store.get_image_uri(image)
    # The archive has it, but its answer is lost.
    proxy.cut = 20
    submit(store, image, random_mask(1, 8), tmp_path)
    soon(lambda: len(orthanc.drawings()) == 1 and "warning" in state_of(store, image))
    proxy.cut = None
    soon(lambda: state_of(store, image)["state"] == "stored")
    assert len(orthanc.drawings()) == 1
    proxy.close()
