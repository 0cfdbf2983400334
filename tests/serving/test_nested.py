"""Images in folders of folders."""

from __future__ import annotations

import io
import json
import os
import shutil
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from fastapi import HTTPException
from hypothesis import given, settings
from hypothesis import strategies as st

from salt_monailabel.imaging import read_study
from salt_monailabel.serving.access.arguments import checked_name
from salt_monailabel.serving.datastore import VesselDatastore
from salt_monailabel.serving.folders import images_in
from salt_monailabel.serving.names import new_ids

from ..dicom import COLUMNS, ROWS, run, written
from .laid import DICM, files_of, lay, opened
from .test_names import FILES, NAMES
from .viewer import contents, one_slice, serving

MASK = np.zeros((ROWS, COLUMNS), bool)
MASK[5:15] = True


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    folder = tmp_path / "studies"
    folder.mkdir()
    return folder


def label(store: VesselDatastore, *images: str) -> None:
    for image in images:
        with tempfile.TemporaryDirectory() as folder:
            sent = Path(folder) / "label.nrrd"
            sent.write_bytes(one_slice(MASK)[1])
            store.save_label(image, str(sent), "final", {"label_info": [{"name": "vessel", "idx": 1}]})


def test_images_of_all_folders_are_listed_with_their_own_pixels(studies: Path) -> None:
    for seed, patient in enumerate(("ann", "bob")):
        (studies / patient / "study").mkdir(parents=True)
        written(studies / patient / "study" / "IM0001", run(1, seed=seed))
    lay(studies, "eye.png", "ann/study/2/eye.PNG")
    store = opened(studies)
    assert files_of(store, studies) == {
        "eye": "eye.png",
        "ann_study_2_eye": "ann/study/2/eye.PNG",
        "ann_study_IM0001": "ann/study/IM0001",
        "bob_study_IM0001": "bob/study/IM0001",
    }
    pixels = [read_study(store.get_image_info(f"{who}_study_IM0001")["path"]).pixels[0] for who in ("ann", "bob")]
    assert not np.array_equal(*pixels)
    # A viewer on another computer keeps what it downloads under this name.
    assert store.get_image_info("bob_study_IM0001")["name"] == "bob_study_IM0001.dcm"


def test_a_known_id_keeps_its_file_when_a_namesake_arrives(studies: Path) -> None:
    lay(studies, "a.png")
    before = opened(studies)
    lay(studies, "a.dcm", content=DICM)
    lay(studies, "p/eye.png")
    before.refresh()
    lay(studies, "p_eye.png")
    expected = {"a": "a.png", "a.dcm": "a.dcm", "p_eye": "p/eye.png", "p_eye.png": "p_eye.png"}
    before.refresh()
    for store in (before, opened(studies)):
        assert files_of(store, studies) == expected


def test_labels_of_namesakes_do_not_mix(studies: Path) -> None:
    lay(studies, "a.nrrd", content=one_slice(MASK)[1])
    lay(studies, "a.png", "p/a.png")
    store = opened(studies)
    label(store, "a.nrrd")
    (studies / "datastore_v2.json").unlink()
    again = opened(studies)
    assert again.get_labeled_images() == ["a.nrrd"]
    assert (studies / "labels" / "final" / "a.nrrd.nrrd").is_file()
    assert sorted(again.get_unlabeled_images()) == ["a.png", "p_a"]


def test_a_store_written_by_monai_label_keeps_its_ids_and_what_is_known_of_its_labels(studies: Path) -> None:
    lay(studies, "one.png", "two.BMP", "labels/final/one.nrrd")
    entry = {"image": {"ext": ".png", "info": {"ts": 1, "name": "one.png", "user": "ann"}}}
    entry["labels"] = {"final": {"ext": ".nrrd", "info": {"ts": 2, "name": "one.nrrd", "effort": {"changed": 3}}}}
    other = {"image": {"ext": ".BMP", "info": {"ts": 1, "name": "two.BMP"}}, "labels": {}}
    index = {"name": "new-dataset", "description": "New Dataset", "images_dir": ".", "labels_dir": "labels"}
    index["objects"] = {"one": entry, "two": other}
    (studies / "datastore_v2.json").write_text(json.dumps(index, indent=2))
    before = contents(studies)
    store = opened(studies)
    assert store.json() == index
    assert contents(studies) == before
    assert files_of(store, studies) == {"one": "one.png", "two": "two.BMP"}


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("moved", ["p", "p/s", "p/s/eye.png", "eye.png"])
def test_an_image_that_was_away_finds_its_label_again(studies: Path, tmp_path: Path, moved: str, restart: bool) -> None:
    lay(studies, "p/s/eye.png", "p/t/eye.png", "eye.png")
    store = opened(studies)
    label(store, "p_s_eye", "eye")
    known, labels = store.json()["objects"], contents(studies / "labels")
    away = {"p": {"p_s_eye", "p_t_eye"}, "eye.png": {"eye"}}.get(moved, {"p_s_eye"})
    shutil.move(studies / moved, tmp_path / "away")
    store.refresh()
    store = opened(studies) if restart else store
    assert set(store.list_images()) == known.keys() - away
    assert store.status()["total"] == 3 - len(away)
    assert not any(store.get_image_uri(image) or store.get_image_info(image) for image in away)
    assert {pair["id"] for pair in store.datalist()} == {"p_s_eye", "eye"} - away
    with pytest.raises(HTTPException, match="there is no image"):
        label(store, min(away))
    # Who comes meanwhile gets neither the name nor the label.
    lay(studies, "eye.bmp", "p_s_eye.bmp")
    store.refresh()
    assert not set(store.get_labeled_images()) & away
    assert contents(studies / "labels") == labels
    shutil.move(tmp_path / "away", studies / moved)
    store = opened(studies) if restart else store
    store.refresh()
    assert {i: store.json()["objects"][i] for i in known} == known


def test_a_folder_that_is_gone_for_a_moment_loses_nothing(studies: Path, tmp_path: Path) -> None:
    lay(studies, "p/eye.png", "eye.png")
    store = opened(studies)
    label(store, "p_eye")
    store.update_label_info("p_eye", "final", {"user": "ann"})
    known = store.json()
    studies.rename(tmp_path / "away")
    studies.mkdir()
    with pytest.raises(FileNotFoundError):
        store.refresh()
    studies.rmdir()
    (tmp_path / "away").rename(studies)
    store.refresh()
    assert store.json() == opened(studies).json() == known


def test_a_namesake_is_removed_alone(studies: Path) -> None:
    lay(studies, "p/IM1.png", "q/IM1.png", "IM1.png")
    store = opened(studies)
    label(store, *store.list_images())
    store.remove_image("q_IM1")
    assert images_in(studies, ()) == {"p/IM1.png", "IM1.png"}
    assert sorted(os.listdir(studies / "labels" / "final")) == ["IM1.nrrd", "p_IM1.nrrd"]
    store.remove_label("p_IM1", "final")
    for again in (store, opened(studies)):
        assert (sorted(again.list_images()), again.get_labeled_images()) == (["IM1", "p_IM1"], ["IM1"])


def test_removing_a_link_leaves_what_it_leads_to(studies: Path) -> None:
    lay(studies, "p/eye.png")
    (studies / "alias.png").symlink_to("p/eye.png")
    opened(studies).remove_image("alias")
    assert images_in(studies, ()) == {"p/eye.png"}


def test_an_upload_goes_to_the_top_and_displaces_nothing(studies: Path, tmp_path: Path) -> None:
    lay(studies, "p/eye.png", "a.bmp")
    store = opened(studies)
    lay(studies, "a.png")
    store.refresh()
    before = contents(studies)
    lay(tmp_path, "sent.png")
    sent = str(tmp_path / "sent.png")
    for taken, holder in (("p_eye", "p/eye.png"), ("a", "a.png")):
        with pytest.raises(HTTPException, match=holder) as refused:
            store.add_image(taken, sent, {})
        assert refused.value.status_code == 409
    assert contents(studies) == before
    store.add_image("new", sent, {"file": "p/eye.png"})
    store.add_image("a.png", sent, {})
    expected = {"p_eye": "p/eye.png", "a": "a.bmp", "a.png": "a.png.png", "new": "new.png"}
    for again in (store, opened(studies)):
        assert files_of(again, studies) == expected
    assert images_in(studies, ()) == set(expected.values())


def test_an_archive_and_a_download_tell_namesakes_apart(studies: Path) -> None:
    (studies / "q").mkdir()
    written(studies / "q" / "IM1", run(1))
    lay(studies, "p/IM1.png", "r/IM1.png", "eye.png")
    with serving(studies) as viewer:
        for image in ("p_IM1", "q_IM1", "r_IM1", "eye"):
            info = [{"name": "vessel", "idx": 1}]
            assert viewer.put_label(image, one_slice(MASK), info).status_code == 200
        reply = viewer.send("GET", "/datastore/image", params={"image": "q_IM1"})
        assert reply.content == (studies / "q" / "IM1").read_bytes()
        pairs = viewer.send("GET", "/datastore/", params={"output": "train"}).json()
        archive = viewer.send("GET", "/datastore/dataset")
    assert len({pair["id"] for pair in pairs}) == len({pair["image"] for pair in pairs}) == 4
    with zipfile.ZipFile(io.BytesIO(archive.content)) as held:
        kinds = Counter((Path(name).parent.name, Path(name).suffix) for name in held.namelist())
    assert kinds["image", ".dcm"] == 1
    assert kinds["image", ".png"] == 3
    assert kinds["label", ".nrrd"] == 4


def test_looking_for_changes_does_not_disturb_who_stores_meanwhile(studies: Path, tmp_path: Path) -> None:
    lay(studies, *(f"p{i}/IM1.png" for i in range(8)))
    lay(tmp_path, "sent.png")
    store = opened(studies)

    def work(i: int) -> None:
        label(store, f"p{i}_IM1")
        lay(studies, f"p{i}/later/IM1.png")
        store.refresh()
        store.add_image(f"sent{i}", str(tmp_path / "sent.png"), {})
        assert store.get_image_uri(f"p{i}_IM1")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(8)))
    for again in (store, opened(studies)):
        assert set(files_of(again, studies).values()) == images_in(studies, ())
        assert again.status() == {"total": 24, "completed": 8, "label_tags": {"final": 8}}


def test_what_another_process_knows_of_labels_outlives_what_is_stored_here(studies: Path, tmp_path: Path) -> None:
    lay(studies, "one.png", "two.png")
    server = opened(studies)
    batch = opened(studies)
    mask = tmp_path / "mask.nrrd"
    mask.write_bytes(one_slice(MASK)[1])
    label(server, "one")
    server.update_label_info("one", "final", {"archive": {"state": "stored"}})
    server.update_image_info("one", {"user": "ann"})
    known = server.json()["objects"]["one"]
    assert known["labels"]["final"]["info"]["archive"] == {"state": "stored"}
    changes: list[Callable[[], object]] = [
        lambda: batch.keep_proposal("two", str(mask), "base"),
        lambda: batch.update_label_info("two", "original", {"user": "bob"}),
        lambda: batch.update_image_info("two", {"user": "bob"}),
        lambda: batch.add_image("new", str(studies / "two.png"), {}),
        lambda: batch.remove_label("two", "original"),
        lambda: batch.remove_image("new"),
        batch.refresh,
    ]
    for number, change in enumerate(changes):
        # So that there is always something of the server's that the other has not seen yet.
        server.update_label_info("one", "final", {"seen": number})
        known["labels"]["final"]["info"]["seen"] = number
        change()
        server.refresh()
        for store in (server, batch, opened(studies)):
            assert store.json()["objects"]["one"] == known


def test_what_is_away_stays_away_when_another_process_wrote_meanwhile(studies: Path, tmp_path: Path) -> None:
    lay(studies, "one.png", "two.png")
    here = opened(studies)
    other = opened(studies)
    label(other, "one")
    here.refresh()
    (studies / "one.png").rename(tmp_path / "one.png")
    here.refresh()
    other.update_image_info("two", {"user": "ann"})
    here.update_image_info("two", {"age": 3})
    assert here.list_images() == ["two"]
    assert here.get_image_info("two")["user"] == "ann"
    (tmp_path / "one.png").rename(studies / "one.png")
    here.refresh()
    assert here.get_labeled_images() == ["one"]


def test_stores_that_write_at_the_same_time_lose_nothing(studies: Path) -> None:
    lay(studies, *(f"p{i}.png" for i in range(4)))
    stores = [opened(studies) for _ in range(4)]

    def work(i: int) -> None:
        for count in range(10):
            stores[i].update_image_info(f"p{i}", {f"count{count}": i})

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    known = opened(studies).json()["objects"]
    assert {
        image: sum(key.startswith("count") for key in entry["image"]["info"]) for image, entry in known.items()
    } == {f"p{i}": 10 for i in range(4)}


@settings(max_examples=40, deadline=None)
@given(*[st.lists(st.tuples(st.lists(NAMES, max_size=2), FILES), max_size=6)] * 2)
def test_ids_of_any_folder_are_plain_and_stay_whatever_is_laid_into_it(
    first: list[tuple[list[str], str]], second: list[tuple[list[str], str]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        studies, known, store = Path(folder), dict[str, str](), None
        for laid in (first, second):
            for inside, file in laid:
                try:
                    lay(studies, "/".join([*inside, file]), content=DICM)
                except OSError:
                    # A name of another kind of thing, or too long for the file system.
                    continue
            if store is not None:
                store.refresh()
                assert files_of(opened(studies), studies) == files_of(store, studies)
            store = opened(studies)
            files = files_of(store, studies)
            assert known.items() <= files.items()
            assert all(checked_name(image, "image") for image in files)
            assert set(files.values()) == images_in(studies, ())
            assert len(set(files.values())) == len(files)
            known = files
        assert new_ids(known.values(), ()).keys() == set(known.values())
