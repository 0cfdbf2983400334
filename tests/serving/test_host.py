"""The model in use: one version for a whole request, an embedding computed once, memory that runs out."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from salt_monailabel.imaging import Kind
from salt_monailabel.imaging.study import BY_ITSELF
from salt_monailabel.inference import Predictor
from salt_monailabel.models import Architecture, VesselSam
from salt_monailabel.serving import host as module
from salt_monailabel.serving.host import ModelHost
from salt_monailabel.serving.infer.edit import SaltEdit
from salt_monailabel.serving.infer.segment import SaltSegment
from salt_monailabel.serving.options import Options
from salt_monailabel.versions import VersionStore


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelHost:
    small = Architecture(width=32, depth=2, heads=2, global_attention=(1,), window=4, input_size=128)
    monkeypatch.setattr(ModelHost, "_load", lambda self, version: VesselSam(small))
    return ModelHost(Options(), VersionStore(tmp_path))


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """Return the frames that are embedded from now on."""
    frames: list[np.ndarray] = []
    embed = Predictor.embed

    def counted(self: Predictor, pixels: np.ndarray, kind: Kind = BY_ITSELF) -> object:
        frames.append(pixels)
        return embed(self, pixels, kind)

    monkeypatch.setattr(Predictor, "embed", counted)
    return frames


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (40, 40, 3), np.uint8)


def test_an_image_is_embedded_once_for_each_version(host: ModelHost, embedded: list[np.ndarray]) -> None:
    predictor, version = host.predictor()
    first = host.embedded(predictor, version, noise(1))
    assert host.embedded(predictor, version, noise(1).copy()) is first
    assert host.embedded(predictor, version, noise(2)) is not first
    assert host.embedded(predictor, "0001", noise(1)) is not first
    assert len(embedded) == 3


def test_gray_and_colour_of_the_same_bytes_are_not_mixed_up(host: ModelHost) -> None:
    predictor, version = host.predictor()
    pixels = np.arange(48 * 48, dtype=np.uint8).reshape(48, 48, 1)
    assert host.embedded(predictor, version, pixels).shape == (48, 48)
    assert host.embedded(predictor, version, pixels.reshape(16, 48, 3)).shape == (16, 48)


def test_the_longest_unused_embedding_goes_first(
    host: ModelHost, embedded: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor, version = host.predictor()
    size = host.embedded(predictor, version, noise(0)).nbytes
    monkeypatch.setattr(module, "EMBEDDINGS_BYTES", 2 * size)
    for seed in (1, 0, 2):
        host.embedded(predictor, version, noise(seed))
    embedded.clear()
    host.embedded(predictor, version, noise(0))
    assert not embedded
    host.embedded(predictor, version, noise(1))
    assert len(embedded) == 1


def test_the_frames_of_a_long_run_push_nothing_out(host: ModelHost, embedded: list[np.ndarray]) -> None:
    predictor, version = host.predictor()
    host.embedded(predictor, version, noise(0))
    for frames, kept in ((module.SHORT, True), (module.SHORT + 1, False)):
        host.embedded(predictor, version, noise(frames), frames=frames)
        embedded.clear()
        host.embedded(predictor, version, noise(frames))
        assert len(embedded) == (0 if kept else 1)
    embedded.clear()
    # One that was seen before is not looked at again.
    host.embedded(predictor, version, noise(0), frames=2 * module.SHORT)
    assert not embedded


@pytest.mark.parametrize(("frames", "kept"), [(module.SHORT, True), (module.SHORT + 1, False)])
def test_a_long_run_is_segmented_without_being_kept(
    host: ModelHost, embedded: list[np.ndarray], tmp_path: Path, frames: int, kept: bool
) -> None:
    run = np.random.default_rng(0).integers(0, 256, (frames, 40, 40), np.uint8)
    sitk.WriteImage(sitk.GetImageFromArray(run), str(tmp_path / "run.nrrd"))
    SaltSegment(host)({"image": str(tmp_path / "run.nrrd")})
    assert len(embedded) == frames
    predictor, version = host.predictor()
    host.embedded(predictor, version, run[-1, ..., None], Kind(False, "other"))
    assert len(embedded) == frames + (0 if kept else 1)


def test_single_images_are_seen_in_mirrors_and_frames_of_a_run_are_not(host: ModelHost, tmp_path: Path) -> None:
    frames = np.stack([noise(0), noise(1)])
    sitk.WriteImage(sitk.GetImageFromArray(frames, isVector=True), str(tmp_path / "run.nrrd"))
    SaltSegment(host)({"image": str(tmp_path / "run.nrrd")})
    SaltSegment(host)({"image": str(tmp_path / "run.nrrd"), "frame": 0})
    SaltEdit(host)({"image": str(tmp_path / "run.nrrd"), "only_frame": 1, "foreground": [[5, 5, 0]]})
    host.look_ahead(str(tmp_path / "run.nrrd"))
    wait_ahead()
    looked = {len(embedded.mirrored) for embedded in host._embedded.values()}
    assert looked == {0}
    SaltSegment(host)({"image": kept_ahead(tmp_path / "single.nrrd", 2)})
    predictor, version = host.predictor()
    assert len(host.embedded(predictor, version, noise(2), Kind(modality="fundus")).mirrored) == 3


@pytest.mark.parametrize(
    "shortage", [MemoryError(), torch.OutOfMemoryError("CUDA"), RuntimeError("can't allocate memory")]
)
def test_where_memory_runs_out_it_is_tried_again_with_one_tile_at_a_time(host: ModelHost, shortage: Exception) -> None:
    predictor, _ = host.predictor()
    usual, tried = predictor.batch, []

    def work() -> str:
        tried.append(predictor.batch)
        if len(tried) == 1:
            raise shortage
        return "mask"

    assert host.sparing(predictor, work) == "mask"
    assert tried == [usual, 1]
    assert predictor.batch == usual


def test_where_it_runs_out_again_the_user_is_told_and_the_next_gets_a_turn(host: ModelHost) -> None:
    predictor, _ = host.predictor()

    def work() -> None:
        raise MemoryError

    with pytest.raises(MemoryError, match="not enough memory for this image"):
        host.sparing(predictor, work)
    assert host.sparing(predictor, lambda: 1) == 1


def test_other_errors_are_not_tried_again(host: ModelHost) -> None:
    predictor, _ = host.predictor()
    tried = []

    def work() -> None:
        tried.append(1)
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        host.sparing(predictor, work)
    assert tried == [1]


def test_a_version_put_in_use_is_followed_and_requests_keep_theirs(
    host: ModelHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = host.predictor()
    monkeypatch.setattr(host.store, "current", lambda: "0001")
    after = host.predictor()
    assert (before[1], after[1]) == ("base", "0001")
    assert after[0] is not before[0]
    # What began before ends with what it began with.
    assert host.embedded(*before, noise(1)).shape == (40, 40)


def kept_ahead(path: Path, seed: int) -> str:
    sitk.WriteImage(sitk.GetImageFromArray(noise(seed), isVector=True), str(path))
    return str(path)


def wait_ahead() -> None:
    for thread in threading.enumerate():
        if thread.name == "look-ahead":
            thread.join()


def test_the_next_image_is_looked_at_ahead(host: ModelHost, embedded: list[np.ndarray], tmp_path: Path) -> None:
    host.look_ahead(kept_ahead(tmp_path / "next.nrrd", 3))
    wait_ahead()
    assert len(embedded) == 1
    predictor, version = host.predictor()
    kept = host.embedded(predictor, version, noise(3), Kind(modality="fundus"))
    assert "vessel" in kept.automatic
    assert len(embedded) == 1


def test_of_many_images_handed_out_at_once_the_last_is_looked_at(
    host: ModelHost, embedded: list[np.ndarray], tmp_path: Path
) -> None:
    paths = [kept_ahead(tmp_path / f"{seed}.nrrd", seed) for seed in range(6)]

    def ask() -> None:
        for path in paths:
            host.look_ahead(path)

    host.turns.run(ask)
    wait_ahead()
    # The first had begun to wait for its turn.
    assert len(embedded) <= 2
    np.testing.assert_array_equal(embedded[-1], noise(5))


def test_whole_images_leave_learning_half_of_the_time_and_clicks_do_not_wait(
    host: ModelHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, times = 0.4, []

    def segment(self: Predictor, embedded: object) -> np.ndarray:
        times.append(time.monotonic())
        time.sleep(work)
        return np.zeros((40, 40), np.uint8)

    monkeypatch.setattr(Predictor, "outline", segment)
    predictor, version = host.predictor()

    def two() -> float:
        """Return how long after the first image the second is begun."""
        times.clear()
        for seed in range(2):
            host.outline(predictor, version, noise(seed))
        return times[1] - times[0]

    assert work <= two() < 1.9 * work
    host.learning = lambda: True
    thread = threading.Thread(target=two)
    thread.start()
    while not times and thread.is_alive():
        time.sleep(0.001)
    clicked = time.monotonic()
    # The one that is under way is not interrupted.
    assert host.sparing(predictor, lambda: time.monotonic()) - clicked < 1.5 * work
    thread.join()
    assert times[1] - times[0] >= 2 * work
