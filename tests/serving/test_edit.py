"""Strokes and bridges: what was drawn by hand stays, and a gap is closed and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from salt_monailabel.inference.bridge import bridge

from .viewer import Upload, Viewer, drawing, nrrd, one_slice, png, serving

IMAGE, VESSELS = drawing()
GRAY = IMAGE[..., 1]
ROWS, COLUMNS = VESSELS.shape
VESSEL, PAINTED, ERASED = 1, 2, 3
EIGHT = np.ones((3, 3))


@pytest.fixture(scope="module")
def viewer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Viewer]:
    with serving(tmp_path_factory.mktemp("edit") / "studies") as connected:
        assert connected.put_image("one", png(IMAGE)).status_code == 200
        yield connected


@pytest.fixture(scope="module")
def automatic(viewer: Viewer) -> np.ndarray:
    return viewer.segment("salt", "one").labels


@pytest.fixture(scope="module")
def run() -> Upload:
    """Return four frames on which the vessels move to the right."""
    return nrrd(np.stack([np.roll(GRAY, number, axis=1) for number in range(4)]))


def with_strokes(automatic: np.ndarray) -> np.ndarray:
    """Return a mask of the model in which a square was painted and another erased."""
    strokes = automatic.copy()
    strokes[10:30, 20:60] = PAINTED
    strokes[60:100, 100:160] = ERASED
    return strokes


def vessel_with_a_gap() -> tuple[np.ndarray, np.ndarray]:
    """Return a drawn vessel 7 pixels wide, and the same with a gap 16 pixels long from column 80."""
    whole = np.zeros((ROWS, COLUMNS), np.uint8)
    whole[60:67, 20:170] = 1
    cut = whole.copy()
    cut[:, 80:96] = 0
    return whole, cut


def test_what_was_painted_stays_and_what_was_erased_stays_away_whatever_the_model_says(
    viewer: Viewer, automatic: np.ndarray
) -> None:
    strokes = with_strokes(automatic)
    assert automatic[60:100, 100:160].any()
    column, row = np.argwhere((automatic > 0) & (strokes == ERASED))[0][::-1]
    for pointed in ({}, {"roi": [0, COLUMNS, 0, ROWS, 0, 0]}, {"foreground": [[int(column), int(row), 0]]}):
        mask = viewer.segment("salt_edit", "one", one_slice(strokes), label_name="vessel", strokes=True, **pointed)
        assert mask.labels[strokes == PAINTED].all(), pointed
        assert not mask.labels[strokes == ERASED].any(), pointed
    kept = viewer.segment("salt_edit", "one", one_slice(strokes), label_name="vessel", strokes=True)
    assert np.array_equal(kept.labels > 0, (strokes == VESSEL) | (strokes == PAINTED))


def test_the_model_is_told_the_mask_with_what_was_painted_and_without_what_was_erased(
    viewer: Viewer, automatic: np.ndarray
) -> None:
    strokes = with_strokes(automatic)
    told = ((strokes == VESSEL) | (strokes == PAINTED)).astype(np.uint8)
    asked: dict[str, Any] = {"label_name": "vessel", "roi": [0, COLUMNS // 2, 0, ROWS, 0, 0]}
    plain = viewer.segment("salt_edit", "one", one_slice(told), **asked).labels
    by_hand = viewer.segment("salt_edit", "one", one_slice(strokes), strokes=True, **asked).labels
    assert not np.array_equal(plain, told)
    assert np.array_equal(by_hand[strokes < PAINTED], plain[strokes < PAINTED])


def test_strokes_hold_on_frames_that_are_carried_to(viewer: Viewer, run: Upload) -> None:
    strokes = viewer.segment("salt", run).labels
    # What is carried there from the key frame is erased, and what is not there is painted.
    strokes[2, :, : COLUMNS // 2] = ERASED
    strokes[2, 100:110, COLUMNS // 2 :] = PAINTED
    asked: dict[str, Any] = {"label_name": "vessel", "key_frames": [1], "carry": [1, 3]}
    carried = viewer.segment("salt_edit", run, nrrd(strokes), strokes=True, **asked).labels
    assert not carried[2][strokes[2] == ERASED].any()
    assert carried[2][strokes[2] == PAINTED].all()
    assert carried[3, :, : COLUMNS // 2].any()
    assert np.array_equal(carried[0], strokes[0] == VESSEL)


def test_a_mask_with_strokes_has_no_other_values(viewer: Viewer) -> None:
    reply = viewer.infer("salt_edit", "one", one_slice(4 * VESSELS.astype(np.uint8)), strokes=True, label_name="vessel")
    assert reply.status_code == 400
    assert "0 to 3" in reply.json()["detail"]


def test_a_bridge_closes_a_gap_in_an_uploaded_mask_and_changes_nothing_else(viewer: Viewer) -> None:
    whole, cut = vessel_with_a_gap()
    closed = viewer.segment("salt_edit", "one", one_slice(cut), label_name="vessel", bridge=[[76, 63, 0], [99, 62, 0]])
    added = closed.labels > cut
    assert (closed.labels >= cut).all()
    assert ndimage.label(closed.labels, EIGHT)[1] == 1
    columns = np.nonzero(added)[1]
    assert 76 <= columns.min() <= columns.max() <= 99
    assert not (added & ~ndimage.binary_dilation(whole, EIGHT, 2)).any()
    assert added.sum() == pytest.approx(7 * 16, rel=0.2)


def test_on_a_run_a_bridge_is_built_on_its_frame_alone(viewer: Viewer, run: Upload) -> None:
    masks = np.stack([vessel_with_a_gap()[1]] * 4)
    asked: dict[str, Any] = {"label_name": "vessel", "bridge": [[76, 63, 2], [99, 63, 2]]}
    closed = viewer.segment("salt_edit", run, nrrd(masks), **asked).labels
    assert np.array_equal(closed[[0, 1, 3]], masks[[0, 1, 3]])
    assert (closed[2] > masks[2]).sum() > 80
    carried = viewer.segment("salt_edit", run, nrrd(masks), carry=[2, 3], **asked).labels
    assert np.array_equal(carried[:3], closed[:3])
    assert not np.array_equal(carried[3], masks[3])


def test_a_frame_alone_is_corrected_as_in_the_run(viewer: Viewer, run: Upload) -> None:
    masks = np.stack([with_strokes(VESSELS.astype(np.uint8))] * 4)
    asked: dict[str, Any] = {"label_name": "vessel", "strokes": True}
    whole = viewer.segment("salt_edit", run, nrrd(masks), foreground=[[120, 20, 2]], **asked)
    alone = viewer.segment("salt_edit", run, one_slice(masks[2]), foreground=[[120, 20, 0]], only_frame=2, **asked)
    assert np.array_equal(alone.labels, whole.labels[2])
    assert alone.image.GetSize() == (COLUMNS, ROWS, 1)
    assert alone.image.GetOrigin() == whole.image.TransformIndexToPhysicalPoint((0, 0, 2))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"only_frame": 4}, "frames 0 to 3"),
        ({"only_frame": "all"}, "number from 0"),
        ({"only_frame": 1, "result_extension": ".dcm"}, "leave 'only_frame' out"),
        ({"only_frame": 1, "foreground": [[5, 5, 1]]}, "outside"),
    ],
)
def test_a_frame_alone_that_cannot_be_is_refused(viewer: Viewer, run: Upload, asked: dict[str, Any], said: str) -> None:
    reply = viewer.infer("salt_edit", run, **asked)
    assert (reply.status_code, said in reply.json()["detail"]) == (400, True), reply.text


def test_without_a_mask_a_bridge_is_built_in_what_the_model_draws(viewer: Viewer, automatic: np.ndarray) -> None:
    i, j = 5, 5
    closed = viewer.segment("salt_edit", "one", bridge=[[i, j, 0], [COLUMNS - 6, ROWS - 6, 0]]).labels
    assert (closed >= automatic).all()
    assert closed[j, i] == closed[ROWS - 6, COLUMNS - 6] == 1
    assert (closed > automatic).any()


def test_what_was_erased_draws_no_bridge_and_is_no_part_of_one(viewer: Viewer, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[np.ndarray] = []

    def listening(mask: np.ndarray, probability: np.ndarray, *places: tuple[float, float]) -> np.ndarray:
        told.append(probability)
        return bridge(mask, probability, *places)

    monkeypatch.setattr("salt_monailabel.serving.infer.edit.bridge", listening)
    _, strokes = vessel_with_a_gap()
    strokes[50:80, 84:90] = ERASED
    asked: dict[str, Any] = {"label_name": "vessel", "strokes": True, "bridge": [[76, 63, 0], [99, 63, 0]]}
    mask = viewer.segment("salt_edit", "one", one_slice(strokes), **asked).labels
    assert not mask[strokes == ERASED].any()
    assert (mask[strokes == 0] > 0).any()
    assert not told[0][strokes == ERASED].any()
    assert (told[0][strokes != ERASED] > 0).all()


@pytest.mark.parametrize(
    ("places", "said"),
    [
        ([[5, 5, 0], [9, 9, 1]], "one of the two places is on frame 0, the other on frame 1; choose both on one"),
        ([[5, 5, 0], [5, 5, 0]], "both places are the same"),
        ([[5, 5, 0], [5.2, 4.9, 0]], "both places are the same"),
        ([[5, 5, 0], [COLUMNS, 5, 0]], "outside"),
        ([[5, 5, 9], [9, 9, 9]], "outside"),
        ([[5, 5, 0]], "two clicks"),
        ([], "two clicks"),
        ([[5, 5, 0]] * 3, "two clicks"),
        ([[5, 5, 0], "here"], "list of clicks"),
        ("here", "list of clicks"),
        (7, "list of clicks"),
        ([[5, 5, 0], [5, 10**400, 0]], "list of clicks"),
    ],
)
def test_a_bridge_between_places_that_cannot_be_is_refused(
    viewer: Viewer, run: Upload, places: object, said: str
) -> None:
    reply = viewer.infer("salt_edit", run, bridge=places)
    assert reply.status_code == 400
    assert said in reply.json()["detail"]
