"""The score board: works only when woken, on what is stale, and nothing that goes wrong stops it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from salt_monailabel.inference.uncertainty import Uncertainty
from salt_monailabel.serving.sampling.scores import ScoreBoard

PATIENCE = 10.0


class Model:
    """Images, a version, and which were scored with it."""

    def __init__(self) -> None:
        self.images = ["a", "b", "c"]
        self.version = "0001"
        self.broken: set[str] = set()
        self.calls: list[tuple[str, str]] = []
        self.asked = 0
        self.idle = threading.Event()
        # What a test lets happen while an image is scored.
        self.meanwhile: Callable[[str], object] = lambda image: None

    def wanted(self) -> tuple[list[str], str]:
        self.asked += 1
        if {(image, self.version) for image in self.images} <= set(self.calls):
            self.idle.set()
        return self.images, self.version

    def score(self, image: str) -> tuple[Uncertainty, np.ndarray, str]:
        self.calls.append((image, self.version))
        self.meanwhile(image)
        if image in self.broken:
            raise RuntimeError(f"{image} is broken")
        return Uncertainty(0.5, 0, 0, 0.1), np.ones(4, np.float32), self.version


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def board(model: Model) -> Iterator[ScoreBoard]:
    board = ScoreBoard(model.score, model.wanted, pause=0)
    yield board
    board.stop()


def settle(board: ScoreBoard, model: Model) -> None:
    """Wake the board and wait until nothing is left to do."""
    model.idle.clear()
    board.wake()
    assert model.idle.wait(PATIENCE)


def test_nothing_happens_before_it_is_woken(board: ScoreBoard, model: Model) -> None:
    time.sleep(0.05)
    assert (model.asked, model.calls, board.snapshot()) == (0, [], {})
    settle(board, model)
    assert len(model.calls) == 3


def test_every_wanted_image_is_scored_once(board: ScoreBoard, model: Model) -> None:
    settle(board, model)
    settle(board, model)
    assert model.calls == [("a", "0001"), ("b", "0001"), ("c", "0001")]
    entries = board.snapshot()
    assert {image: entry.version for image, entry in entries.items()} == dict.fromkeys("abc", "0001")
    assert entries["a"].uncertainty == Uncertainty(0.5, 0, 0, 0.1)
    assert np.array_equal(entries["a"].descriptor, np.ones(4))


def test_it_sleeps_when_nothing_is_left(board: ScoreBoard, model: Model) -> None:
    settle(board, model)
    asked = model.asked
    model.images.append("d")
    time.sleep(0.05)
    assert (model.asked, len(model.calls)) == (asked, 3)
    settle(board, model)
    assert model.calls[3:] == [("d", "0001")]


def test_a_new_version_makes_all_stale_and_new_images_come_first(board: ScoreBoard, model: Model) -> None:
    settle(board, model)
    model.version, model.images = "0002", ["c", "b", "a", "new"]
    settle(board, model)
    assert model.calls[3:] == [("new", "0002"), ("a", "0002"), ("b", "0002"), ("c", "0002")]
    assert {entry.version for entry in board.snapshot().values()} == {"0002"}


def test_a_version_that_comes_into_use_counts_from_the_next_image_on(board: ScoreBoard, model: Model) -> None:
    def promote(image: str) -> None:
        if image == "b":
            model.version = "0002"

    model.meanwhile = promote
    settle(board, model)
    # b was begun with 0001 and is tried again, last.
    assert [image for image, _ in model.calls] == ["a", "b", "c", "a", "b"]
    assert {entry.version for entry in board.snapshot().values()} == {"0002"}


def test_labelled_images_keep_their_entries_and_are_not_scored_again(board: ScoreBoard, model: Model) -> None:
    settle(board, model)
    model.version, model.images = "0002", ["b"]
    settle(board, model)
    assert {image: entry.version for image, entry in board.snapshot().items()} == {
        "a": "0001", "b": "0002", "c": "0001",
    }  # fmt: skip


def test_an_image_that_fails_is_left_until_there_is_another_version(
    board: ScoreBoard, model: Model, caplog: pytest.LogCaptureFixture
) -> None:
    model.broken = {"a"}
    settle(board, model)
    settle(board, model)
    assert board.snapshot().keys() == {"b", "c"}
    assert [record.message for record in caplog.records] == ["the image 'a' is not scored with version 0001"]
    model.version, model.broken = "0002", set()
    settle(board, model)
    assert board.snapshot().keys() == {"a", "b", "c"}


def test_not_knowing_what_to_score_is_survived(model: Model, caplog: pytest.LogCaptureFixture) -> None:
    failed = threading.Event()

    def wanted() -> tuple[list[str], str]:
        if not failed.is_set():
            failed.set()
            raise OSError("the datastore is away")
        return model.wanted()

    board = ScoreBoard(model.score, wanted, pause=0)
    board.wake()
    assert failed.wait(PATIENCE)
    settle(board, model)
    board.stop()
    assert len(board.snapshot()) == 3
    assert "could not be found out" in caplog.text


def test_what_is_known_by_now_can_be_asked_while_it_works(board: ScoreBoard, model: Model) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def wait(image: str) -> None:
        if image == "b":
            begun.set()
            go_on.wait(PATIENCE)

    model.meanwhile = wait
    board.wake()
    assert begun.wait(PATIENCE)
    board.wake()
    assert board.snapshot().keys() == {"a"}
    go_on.set()
    settle(board, model)


def test_it_stops_between_images_and_for_good(model: Model) -> None:
    begun = threading.Event()
    model.meanwhile = lambda image: begun.set()
    board = ScoreBoard(model.score, model.wanted, pause=PATIENCE)
    board.wake()
    assert begun.wait(PATIENCE)
    started = time.perf_counter()
    board.stop()
    assert time.perf_counter() - started < 1
    board.wake()
    board.stop()
    assert model.calls == [("a", "0001")]


def test_it_does_not_wait_for_an_image_that_takes_long(model: Model) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def wait(image: str) -> None:
        begun.set()
        go_on.wait(PATIENCE)

    model.meanwhile = wait
    board = ScoreBoard(model.score, model.wanted, pause=0)
    board.wake()
    assert begun.wait(PATIENCE)
    started = time.perf_counter()
    board.stop()
    took = time.perf_counter() - started
    go_on.set()
    board.stop()
    assert took < 1
    assert len(model.calls) == 1


def test_a_board_that_was_never_woken_can_be_stopped(model: Model) -> None:
    board = ScoreBoard(model.score, model.wanted)
    board.stop()
    board.wake()
    board.stop()
    assert model.asked == 0
