"""Samples: labels that can be learned from, and crops in which image and mask stay together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from scipy import ndimage
from skimage.draw import disk

from salt_monailabel.imaging import ImageError, magnify
from salt_monailabel.imaging.run import RunView
from salt_monailabel.training import Augmentation, LabelledFrame, read_labelled
from salt_monailabel.training.metrics import dice
from salt_monailabel.training.samples import CORRECTED, FRAMES, CropSampler, emphasis

from ..dicom import COLUMNS, ROWS, written

# Colours that stay, so that a crop can be compared with the image it is from.
GEOMETRY = Augmentation(magnify=1.0, brightness=0, contrast=0, gamma=0, shading=0)
SIZE = 64


def stored(path: Path, pixels: np.ndarray) -> str:
    sitk.WriteImage(sitk.GetImageFromArray(pixels), str(path))
    return str(path)


def photograph(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def frame(rows: int, columns: int, labels: int = 1) -> LabelledFrame:
    """Return blobs, a channel for each label, with nothing at the border."""
    field = ndimage.gaussian_filter(np.random.default_rng(3).normal(size=(rows, columns, labels)), (3, 3, 0))
    blobs = field > np.percentile(field, 75)
    blobs[:4], blobs[-4:], blobs[:, :4], blobs[:, -4:] = False, False, False, False
    values = np.where(blobs.any(axis=-1), blobs.argmax(axis=-1) + 1, 0).astype(np.uint8)
    rgb = np.stack([values == min(channel + 1, labels) for channel in range(3)], axis=-1).astype(np.float32)
    return LabelledFrame(rgb, values, f"{rows} x {columns}")


def sampler(frames: list[LabelledFrame], augmentation: Augmentation = GEOMETRY, seed: int = 0) -> CropSampler:
    return CropSampler(frames, SIZE, np.random.default_rng(seed), augmentation)


@pytest.mark.parametrize("shape", [(90, 140), (140, 90), (64, 64), (40, 50), (30, 200)])
@pytest.mark.parametrize("rotation", [0.0, 10.0, 45.0])
def test_image_and_mask_stay_together_under_augmentation(shape: tuple[int, int], rotation: float) -> None:
    batch = sampler([frame(*shape)], replace(GEOMETRY, rotation=rotation)).draw(40)
    assert batch.images.shape == (40, 3, SIZE, SIZE)
    assert batch.masks.shape == (40, 1, SIZE, SIZE)
    assert set(batch.masks.unique().tolist()) == {0, 1}
    seen, truth = batch.images[:, 0].numpy() > 0.5, batch.masks[:, 0].numpy() > 0
    assert min(dice(s, t) for s, t in zip(seen, truth, strict=True)) > 0.95


def test_a_crop_asks_for_one_label_and_shows_only_its_mask() -> None:
    batch = sampler([frame(120, 150, labels=3)]).draw(60)
    assert set(batch.labels.tolist()) == {0, 1, 2}
    for image, mask, row in zip(batch.images, batch.masks, batch.labels, strict=True):
        assert dice(image[row].numpy() > 0.5, mask[0].numpy() > 0) > 0.95


def test_a_label_that_an_image_lacks_is_not_asked_for() -> None:
    only_third = frame(90, 90)
    only_third = replace(only_third, labels=only_third.labels * 3)
    assert set(sampler([only_third]).draw(20).labels.tolist()) == {2}


@pytest.mark.parametrize("shape", [(100, 180), (180, 100)])
@pytest.mark.parametrize("zoom", [0.7, 1.0, 1.5])
def test_a_crop_is_turned_and_magnified_but_not_distorted(shape: tuple[int, int], zoom: float) -> None:
    rows, columns = np.indices(shape)
    disc = np.hypot(rows - shape[0] / 2, columns - shape[1] / 2) < 12
    round_frame = LabelledFrame(np.repeat(disc[..., None], 3, -1).astype(np.float32), disc.astype(np.uint8), "disc")
    augmentation = replace(GEOMETRY, scale=(zoom, zoom), rotation=45.0, on_vessel=1.0)
    whole = 0
    for (mask,) in sampler([round_frame], augmentation).draw(30).masks.numpy() > 0:
        if mask[[0, -1]].any() or mask[:, [0, -1]].any():
            continue
        whole += 1
        height, width = np.ptp(np.argwhere(mask), axis=0) + 1
        assert mask.sum() == pytest.approx(np.pi * (12 * zoom) ** 2, rel=0.1)
        assert height == pytest.approx(24 * zoom, abs=3)
        assert width == pytest.approx(24 * zoom, abs=3)
    assert whole > 3


def test_crops_of_an_image_are_mirrored_and_turned() -> None:
    corner = np.zeros((SIZE, SIZE), np.uint8)
    corner[4:12, 4:30] = 1
    still = replace(GEOMETRY, rotation=0.0, scale=(1.0, 1.0))
    masks = sampler([LabelledFrame(np.repeat(corner[..., None], 3, -1).astype(np.float32), corner, "L")], still).draw(
        64
    )
    assert len({mask.numpy().tobytes() for mask in masks.masks}) == 8


@pytest.mark.parametrize(
    ("place", "rotation"), [((77, 80), 45.0), ((0, 0), 0.0), ((199, 0), 0.0), ((77, 159), 0.0), ((199, 159), 0.0)]
)
def test_a_crop_on_a_vessel_holds_it(place: tuple[int, int], rotation: float) -> None:
    labels = np.zeros((200, 160), np.uint8)
    row, column = place
    labels[max(0, row - 3) : row + 4, max(0, column - 3) : column + 4] = 1
    spot = LabelledFrame(np.random.default_rng(0).random((200, 160, 3), np.float32), labels, "spot")
    masks = sampler([spot], replace(GEOMETRY, on_vessel=1.0, rotation=rotation)).draw(40).masks
    assert masks.flatten(1).any(dim=1).all()


def test_a_crop_for_a_rare_label_holds_that_label() -> None:
    labels = np.ones((200, 160), np.uint8)
    labels[:8, :8] = 2
    both = LabelledFrame(np.random.default_rng(0).random((200, 160, 3), np.float32), labels, "both")
    batch = sampler([both], replace(GEOMETRY, on_vessel=1.0)).draw(60)
    rare = batch.labels == 1
    assert 15 < int(rare.sum()) < 45
    assert batch.masks[rare].flatten(1).any(dim=1).all()


def test_other_crops_are_from_anywhere() -> None:
    labels = np.zeros((400, 400), np.uint8)
    labels[10:16, 10:16] = 1
    spot = LabelledFrame(np.random.default_rng(0).random((400, 400, 3), np.float32), labels, "spot")
    masks = sampler([spot], replace(GEOMETRY, on_vessel=0.0)).draw(40).masks
    assert masks.flatten(1).any(dim=1).float().mean() < 0.5


def test_colours_vary_and_stay_from_0_to_1() -> None:
    gray = LabelledFrame(np.full((80, 80, 3), 0.5, np.float32), frame(80, 80).labels, "gray")
    strong = Augmentation(brightness=0.5, contrast=0.5, gamma=1.0)
    images = sampler([gray], strong).draw(30).images
    assert images.min() >= 0
    assert images.max() <= 1
    assert images.mean(dim=(1, 2, 3)).std() > 0.05


def test_light_varies_across_a_crop() -> None:
    gray = LabelledFrame(np.full((80, 80, 3), 0.5, np.float32), frame(80, 80).labels, "gray")
    images = sampler([gray], replace(GEOMETRY, shading=0.4)).draw(30).images
    sides = torch.stack([images[..., :8].mean(dim=(1, 2, 3)), images[..., -8:].mean(dim=(1, 2, 3))])
    assert (sides[0] - sides[1]).abs().max() > 0.1
    assert sides.mean() == pytest.approx(0.5, abs=0.05)


def test_the_same_random_numbers_give_the_same_crops() -> None:
    first, again = (sampler([frame(90, 140), frame(70, 80)], Augmentation(), seed=4).draw(6) for _ in range(2))
    other = sampler([frame(90, 140), frame(70, 80)], Augmentation(), seed=5).draw(6)
    assert torch.equal(first.images, again.images)
    assert torch.equal(first.masks, again.masks)
    assert not torch.equal(first.images, other.images)


def test_every_frame_is_learned_from() -> None:
    frames = [replace(frame(80, 80), rgb=np.full((80, 80, 3), shade, np.float32)) for shade in (0.2, 0.5, 0.8)]
    shades = sampler(frames).draw(40).images.mean(dim=(1, 2, 3))
    assert {round(shade, 1) for shade in shades.tolist()} == {0.2, 0.5, 0.8}


def test_without_frames_there_is_nothing_to_learn_from() -> None:
    with pytest.raises(ImageError, match="no labelled image"):
        sampler([])


def test_a_labelled_image_is_read(tmp_path: Path) -> None:
    labels = photograph(30, 40) % 3
    image = stored(tmp_path / "a.png", photograph(30, 40))
    (read,) = read_labelled(image, stored(tmp_path / "a_label.nrrd", labels[None]), known=2)
    assert np.array_equal(read.labels, labels)
    assert (read.rgb.shape, read.rgb.dtype, read.name) == ((30, 40, 3), np.float32, "a.png")
    assert read.rgb.min() == 0
    assert read.rgb.max() == 1


def test_a_large_image_is_read_as_the_model_looks_at_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(magnify, "SIDE", 40)
    labels = np.zeros((1, 120, 80), np.uint8)
    labels[0, 20:60, 10:40] = 1
    image, label = stored(tmp_path / "a.nrrd", labels * 100), stored(tmp_path / "l.nrrd", labels)
    proposal = stored(tmp_path / "p.nrrd", np.roll(labels, 1, axis=1))
    (read,) = read_labelled(image, label, 1, proposal)
    assert read.rgb.shape == (60, 40, 3)
    assert read.labels.shape == read.weight.shape == (60, 40)
    assert np.array_equal(read.labels > 0, read.rgb[..., 0] > 0.5)
    assert np.array_equal(read.labels, labels[0, ::2, ::2])
    assert read.weight.max() == CORRECTED


def test_frames_of_a_stack_that_are_not_yet_labelled_are_left_out(tmp_path: Path) -> None:
    labels = np.zeros((5, 30, 40), np.uint8)
    labels[1, 5:9], labels[4, 7:9] = 1, 1
    image = stored(tmp_path / "a.nrrd", photograph(5, 30, 40))
    frames = read_labelled(image, stored(tmp_path / "a_label.nrrd", labels), known=1)
    assert [np.array_equal(f.labels, labels[i]) for f, i in zip(frames, (1, 4), strict=True)] == [True, True]
    assert not np.array_equal(frames[0].rgb, frames[1].rgb)


def test_of_a_long_run_some_frames_are_read_others_each_time(tmp_path: Path) -> None:
    labels = np.zeros((40, 8, 8), np.uint8)
    labels[:, 3] = 1
    image, label = stored(tmp_path / "a.nrrd", photograph(40, 8, 8)), stored(tmp_path / "a_label.nrrd", labels)
    draws = [read_labelled(image, label, 1, rng=np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert [len(frames) for frames in draws] == [FRAMES] * 3
    first, again, other = ([frame.rgb.tobytes() for frame in frames] for frames in draws)
    assert first == again
    assert len({*first}) == FRAMES
    assert first != other
    assert len(read_labelled(image, label, 1)) == FRAMES


@pytest.fixture
def cine(tmp_path: Path) -> tuple[str, np.ndarray]:
    """Write a run over uneven ground, and a vessel from its third frame on; return its file and where the vessel is."""
    vessel = np.zeros((ROWS, COLUMNS), np.uint8)
    vessel[10:13] = 1
    ground = np.linspace(3000, 1500, COLUMNS) * np.ones((5, ROWS, 1))
    ground[2:] *= 1 - 0.4 * vessel
    return str(written(tmp_path / "cine.dcm", ground.astype(np.uint16))), vessel


def test_a_label_drawn_on_subtracted_frames_teaches_what_these_look_like(
    cine: tuple[str, np.ndarray], tmp_path: Path
) -> None:
    image, vessel = cine
    labels = np.zeros((5, ROWS, COLUMNS), np.uint8)
    labels[3] = vessel
    label = stored(tmp_path / "label.nrrd", labels)
    (raw,) = read_labelled(image, label, 1)
    (subtracted,) = read_labelled(image, label, 1, view=RunView(subtracted=True, mask=0))
    assert np.ptp(raw.rgb[vessel == 0]) > 0.5
    assert np.ptp(subtracted.rgb[vessel == 0]) < 0.02
    assert subtracted.rgb[vessel > 0].max() < subtracted.rgb[vessel == 0].min()


def test_a_projection_is_learned_once_with_the_mask_that_was_corrected(
    cine: tuple[str, np.ndarray], tmp_path: Path
) -> None:
    image, vessel = cine
    proposed = np.broadcast_to(vessel, (5, ROWS, COLUMNS)).copy()
    labels = proposed.copy()
    labels[1, 20] = 1
    paths = stored(tmp_path / "label.nrrd", labels), stored(tmp_path / "proposal.nrrd", proposed)
    (learned,) = read_labelled(image, paths[0], 1, paths[1], view=RunView(projection="minimum"))
    assert np.array_equal(learned.labels, labels[1])
    assert learned.rgb[vessel > 0].mean() < learned.rgb[vessel == 0].mean()
    assert len(read_labelled(image, paths[1], 1, view=RunView(projection="minimum"))) == 1


def a_round_field(tmp_path: Path) -> tuple[str, np.ndarray]:
    """Write an image with a round field of view; return its file and where the field is."""
    field = np.zeros((200, 220), bool)
    field[disk((100, 110), 80)] = True
    return stored(tmp_path / "round.png", np.where(field, photograph(200, 220) // 2 + 100, 2).astype(np.uint8)), field


def test_what_lies_outside_of_the_field_of_view_does_not_count(tmp_path: Path) -> None:
    image, field = a_round_field(tmp_path)
    labels = np.zeros((1, *field.shape), np.uint8)
    labels[0, 60:140] = field[60:140]
    labels[0, :4, :40] = 1
    (read,) = read_labelled(image, stored(tmp_path / "label.nrrd", labels), known=1)
    assert read.weight is not None
    assert not read.labels[:4].any()
    assert read.labels[60:140].sum() == labels[0, 60:140].sum()
    assert set(np.unique(read.weight)) == {0, 1}
    assert read.weight[field].all()


def test_whoever_draws_outside_of_a_field_of_view_that_was_found_is_right(tmp_path: Path) -> None:
    image, field = a_round_field(tmp_path)
    labels = np.zeros((1, *field.shape), np.uint8)
    labels[0, :20] = 1
    (read,) = read_labelled(image, stored(tmp_path / "label.nrrd", labels), known=1)
    assert np.array_equal(read.labels, labels[0])
    assert read.weight is None


def test_where_a_field_of_view_is_not_believed_its_border_is_shown_to_the_model(tmp_path: Path) -> None:
    image, field = a_round_field(tmp_path)
    beside, within = np.zeros((2, 1, *field.shape), np.uint8)
    beside[0, :20] = 1
    within[0, 60:140] = field[60:140]
    for labels, shown in ((beside, True), (within, False)):
        label = stored(tmp_path / "label.nrrd", labels)
        (read,) = read_labelled(image, label, known=1, modality="fundus")
        assert read.rgb[:15].any() == shown


def test_a_label_under_the_shutter_alone_is_refused(tmp_path: Path) -> None:
    edges = {"LeftVertical": 0, "RightVertical": COLUMNS + 1, "UpperHorizontal": 0, "LowerHorizontal": 11}
    shutter = {f"Shutter{name}Edge": place for name, place in edges.items()}
    pixels = photograph(1, ROWS, COLUMNS).astype(np.uint16)
    image = written(tmp_path / "a.dcm", pixels, ShutterShape="RECTANGULAR", **shutter)
    labels = np.zeros((1, ROWS, COLUMNS), np.uint8)
    labels[:, 15:] = 1
    with pytest.raises(ImageError, match=r"a\.dcm lies under the shutter"):
        read_labelled(str(image), stored(tmp_path / "label.nrrd", labels), known=1)


def test_what_lies_under_the_shutter_does_not_count(tmp_path: Path) -> None:
    edges = {"LeftVertical": 0, "RightVertical": COLUMNS + 1, "UpperHorizontal": 0, "LowerHorizontal": 11}
    shutter = {f"Shutter{name}Edge": place for name, place in edges.items()}
    pixels = photograph(1, ROWS, COLUMNS).astype(np.uint16)
    image = written(tmp_path / "a.dcm", pixels, ShutterShape="RECTANGULAR", **shutter)
    labels = np.zeros((ROWS, COLUMNS), np.uint8)
    labels[:, 5:8] = 1
    (frame,) = read_labelled(str(image), stored(tmp_path / "a_label.nrrd", labels[None]), known=1)
    assert frame.weight is not None
    assert (frame.weight[:10] == 1).all()
    assert not frame.weight[10:].any()
    assert np.array_equal(frame.labels[:10], labels[:10])
    assert not frame.labels[10:].any()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        pytest.param(np.zeros((30, 40), np.uint8), r"a\.png holds no vessel", id="empty"),
        pytest.param(np.tri(30, 40, dtype=np.uint8) * 3, r"a\.png holds the value 3, but only 2", id="unknown value"),
        pytest.param(np.ones((40, 30), np.uint8), r"a_label\.nrrd has 1 x 40 x 30 .*a\.png", id="wrong size"),
    ],
)
def test_a_label_that_cannot_be_learned_from_is_refused_by_name(
    tmp_path: Path, labels: np.ndarray, message: str
) -> None:
    image = stored(tmp_path / "a.png", photograph(30, 40))
    with pytest.raises(ImageError, match=message):
        read_labelled(image, stored(tmp_path / "a_label.nrrd", labels), known=2)


@pytest.mark.parametrize("missing", ["a.png", "a_label.nrrd"])
def test_a_missing_file_is_refused_by_name(tmp_path: Path, missing: str) -> None:
    image = stored(tmp_path / "a.png", photograph(30, 40))
    label = stored(tmp_path / "a_label.nrrd", photograph(30, 40) % 2)
    (tmp_path / missing).unlink()
    with pytest.raises(ImageError, match=missing):
        read_labelled(image, label, known=1)


def test_what_was_corrected_counts_for_more_and_the_rest_alike() -> None:
    labels = np.zeros((40, 40), np.uint8)
    labels[10], labels[30] = 1, 1
    proposed = labels.copy()
    proposed[30, 20:] = 0
    weight = emphasis(labels, proposed)
    assert (weight[28:33, 20:] == CORRECTED).all()
    assert (weight[:20] == 1).all()
    assert (weight[labels != proposed] == CORRECTED).all()


def test_a_label_that_has_little_of_the_proposal_is_no_correction() -> None:
    labels = np.zeros((20, 20), np.uint8)
    labels[:5] = 1
    assert (emphasis(labels, 1 - labels) == 1).all()


def test_a_frame_for_which_nothing_was_proposed_is_no_correction() -> None:
    labels = np.zeros((20, 20), np.uint8)
    labels[:5] = 1
    assert (emphasis(labels, np.zeros_like(labels)) == 1).all()


def test_a_sampler_holds_no_image_a_second_time() -> None:
    one = frame(80, 96)
    assert np.shares_memory(CropSampler([one], SIZE, np.random.default_rng(0))._images[0].numpy(), one.rgb)
