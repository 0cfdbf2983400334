"""Training on the labels of the store: a version is published, and the next answer uses it."""

from __future__ import annotations

import errno
import hashlib
import itertools
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from salt_monailabel.adapters import read_card
from salt_monailabel.imaging import ImageError, Modality, Study, read_study
from salt_monailabel.imaging.pseudonyms import Pseudonyms
from salt_monailabel.serving.host import ModelHost
from salt_monailabel.serving.learning.learner import Learner, _curve
from salt_monailabel.serving.learning.wish import Wish
from salt_monailabel.serving.options import Options
from salt_monailabel.training.exam import HeldBackScore
from salt_monailabel.training.held_back import RULE, images_held_back
from salt_monailabel.training.update import parameter_values
from salt_monailabel.versions import VersionStore
from salt_monailabel.versions.shared import shared_card

from ..viewer import Answer, Viewer, contents, drawing, one_slice, png, serving

IMAGE, VESSELS = drawing(rows=128, columns=128)
# No model finds a frame of its own accord: an answer that does not change has not learned.
TAUGHT = np.pad(np.zeros((88, 88), bool), 20, constant_values=True)


@dataclass(frozen=True)
class Lesson:
    """What a server said and did before, in and after one training."""

    studies: Path
    info_before: dict[str, Any]
    before: Answer
    stats: dict[str, Any]
    info_after: dict[str, Any]
    after: Answer


@pytest.fixture(scope="module")
def lesson(tmp_path_factory: pytest.TempPathFactory) -> Lesson:
    """Train on one good label while another is damaged."""
    studies = tmp_path_factory.mktemp("learning") / "studies"
    with serving(studies) as viewer:
        for name in ("good", "spoilt"):
            viewer.put_image(name, png(IMAGE))
            viewer.put_label(name, one_slice(TAUGHT))
        damage(studies / "labels" / "final" / "spoilt.nrrd")
        info_before, before = viewer.info(), viewer.segment("salt", "good")
        reply = viewer.train(seconds=2, learning_rate=0.01)
        assert reply.status_code == 200, reply.text
        return Lesson(studies, info_before, before, reply.json(), viewer.info(), viewer.segment("salt", "good"))


@pytest.fixture
def copy(lesson: Lesson, tmp_path: Path) -> Path:
    """Return a copy of the taught studies, to be spoilt."""
    return shutil.copytree(lesson.studies, tmp_path / "studies")


def judged(monkeypatch: pytest.MonkeyPatch, *dice: float) -> None:
    """Have what is held back scored as this, in this order: before an update, with the whole of it, with half of it."""
    scores = iter([HeldBackScore(score, 0.8, (score,), 3) for score in dice])
    learner = "salt_monailabel.serving.learning.learner"
    monkeypatch.setattr(f"{learner}.score_held_back", lambda predictor, exam: next(scores))
    monkeypatch.setattr(f"{learner}._known_score", lambda known, material: None)


def pair(studies: Path, name: str) -> dict[str, str]:
    """Return the files of a labelled image, as a datastore names them."""
    label = studies / "labels" / "final" / f"{name}.nrrd"
    return {"id": name, "image": str(studies / f"{name}.png"), "label": str(label)}


def damage(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def test_a_version_is_published_with_its_card(lesson: Lesson) -> None:
    store = VersionStore(lesson.studies / "adapters")
    assert (store.versions(), store.current()) == (["0001"], "0001")
    card = read_card(store.path("0001"))
    assert (card["base"], card["labels"], card["version"], card["parent"]) == ("vessel_t", ["vessel"], "0001", None)
    assert card["training"]["images"] == 1
    assert card["training"]["steps"] >= 1
    assert json.loads((store.folder / "0001" / "card.json").read_text()) == card


def test_whoever_may_read_a_card_may_read_its_version(lesson: Lesson) -> None:
    folder = lesson.studies / "adapters" / "0001"
    card, version = folder / "card.json", folder / "adapter.safetensors"
    assert card.stat().st_mode & ~version.stat().st_mode == 0


def test_the_stats_show_epochs_losses_and_dice(lesson: Lesson) -> None:
    stats = lesson.stats
    assert stats["epoch"] == stats["total_epochs"]
    assert len(stats["losses"]) == len(stats["dices"]) >= 1
    assert all(loss > 0 for loss in stats["losses"])
    assert stats["best_metric"] == max(stats["dices"])
    assert 0 <= stats["train_dice"] <= 1
    assert (stats["version"], stats["images"]) == ("0001", 1)
    assert stats["total_time"].count(":") == 2


def test_info_shows_the_stats_and_the_version_in_use(lesson: Lesson) -> None:
    assert (lesson.info_before["adapter"], lesson.info_before["train_stats"]) == ("base", {"salt": {}})
    assert (lesson.info_after["adapter"], lesson.info_after["train_stats"]) == ("0001", {"salt": lesson.stats})


def test_the_next_answer_comes_from_the_new_version_without_a_restart(lesson: Lesson) -> None:
    assert (lesson.before.params["version"], lesson.after.params["version"]) == ("base", "0001")
    assert not np.array_equal(lesson.before.labels, lesson.after.labels)


def test_a_damaged_label_is_named_and_left_out(lesson: Lesson) -> None:
    assert len(lesson.stats["skipped"]) == 1
    assert "spoilt" in lesson.stats["skipped"][0]


def test_a_restarted_server_draws_what_the_one_before_drew(copy: Path, lesson: Lesson) -> None:
    with serving(copy) as viewer:
        again = viewer.segment("salt", "good")
    assert again.params["version"] == "0001"
    assert np.array_equal(again.labels, lesson.after.labels)


def test_editing_uses_the_new_version_too(copy: Path) -> None:
    with serving(copy) as viewer:
        assert viewer.segment("salt_edit", "good", foreground=[[5, 5, 0]]).params["version"] == "0001"


@pytest.mark.parametrize(
    ("conf", "words"),
    [({"labels": "artery,vein"}, ("vessel", "artery", "vein")), ({"base": "vit_b"}, ("vessel_t", "vit_b"))],
)
def test_an_adapter_of_other_labels_or_another_base_is_answered_503(
    copy: Path, conf: dict[str, str], words: tuple[str, ...]
) -> None:
    with serving(copy, **conf) as viewer:
        reply = viewer.infer("salt", "good")
    assert reply.status_code == 503
    assert [word for word in (*words, "--conf adapters") if word not in reply.json()["detail"]] == []


def test_an_adapter_that_keeps_its_own_ranks_is_named_in_the_log(copy: Path, caplog: pytest.LogCaptureFixture) -> None:
    with serving(copy, lora_rank="4") as viewer:
        assert viewer.infer("salt", "good").status_code == 200
    assert "keeps the method and ranks it was begun with" in caplog.text


def test_a_truncated_adapter_is_answered_503_and_changes_nothing(copy: Path) -> None:
    damage(copy / "adapters" / "0001" / "adapter.safetensors")
    before = contents(copy)
    with serving(copy) as viewer:
        reply = viewer.infer("salt", "good")
        assert viewer.info()["adapter"] == "0001"
    assert reply.status_code == 503
    assert "0001/adapter.safetensors" in reply.json()["detail"]
    assert "earlier version" in reply.json()["detail"]
    assert contents(copy) == before


def test_a_version_that_cannot_be_published_leaves_the_one_before_in_use(
    copy: Path, lesson: Lesson, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with serving(copy) as viewer:
        monkeypatch.setattr("salt_monailabel.versions.store.save", no_room)
        reply = viewer.train(seconds=0.1)
        monkeypatch.undo()
        assert reply.status_code == 507
        assert "disk is full" in reply.json()["detail"]
        again = viewer.segment("salt", "good")
    assert again.params["version"] == "0001"
    assert np.array_equal(again.labels, lesson.after.labels)
    assert VersionStore(copy / "adapters").versions() == ["0001"]


def test_a_label_is_new_again_after_the_clock_was_set_back(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    learner = Learner(ModelHost(Options(), VersionStore(copy / "adapters")))
    card, now = learner.host.store.card("0001"), time.time_ns()
    monkeypatch.setattr(learner.host.store, "card", lambda name: {**card, "learned_until": now + 10**15})
    version = learner.learn(Wish(seconds=0.1), [pair(copy, "good")])["version"]
    assert now < read_card(learner.host.store.path(version))["learned_until"] <= time.time_ns()


def test_training_goes_on_from_the_version_in_use(copy: Path) -> None:
    with serving(copy) as viewer:
        stats = viewer.train(seconds=0.1).json()
    assert stats["version"] == "0002"
    assert VersionStore(copy / "adapters").card("0002")["parent"] == "0001"


def test_the_card_says_what_was_learned_from_and_what_judged_it(lesson: Lesson) -> None:
    card = VersionStore(lesson.studies / "adapters").card("0001")
    label = lesson.studies / "labels" / "final" / "good.nrrd"
    assert card["images"] == ["good"]
    assert card["labels_sha256"] == {"good": hashlib.sha256(label.read_bytes()).hexdigest()}
    judged = card["training"]["held_back"]
    assert "block" in judged["rule"]
    assert judged["after"]["dice"] > judged["before"]["dice"]
    assert card["training"]["promoted"] is True


def test_a_card_says_how_its_version_came_about(copy: Path) -> None:
    asked: dict[str, Any] = {"seconds": 0.5, "learning_rate": 0.001, "asked_by": "ann"}
    store, losses = VersionStore(copy / "adapters"), []
    Learner(ModelHost(Options(), store)).learn(
        Wish(**asked), [pair(copy, "good")], on_step=lambda progress: losses.append(progress.loss)
    )
    first, card = store.card("0001"), store.card("0002")
    assert (card["version"], card["parent"], card["asked_by"]) == ("0002", "0001", "ann")
    for of in ("base_fingerprint", "basis_fingerprint"):
        assert card[of] == first[of]
        assert len(bytes.fromhex(card[of])) == 32
    assert card["base_fingerprint"] != card["basis_fingerprint"]
    label = copy / "labels" / "final" / "good.nrrd"
    assert card["images"] == ["good"]
    assert card["labels_sha256"] == {"good": hashlib.sha256(label.read_bytes()).hexdigest()}
    assert (card["learned_in_part"].keys(), card["learned_whole"]) == ({"good"}, [])
    told = card["training"]
    assert (told["mode"], told["images"], told["newest"], told["skipped"]) == ("update", 1, 1, [])
    assert (told["steps"], told["device"]) == (len(losses), "cpu")
    assert told["seconds"] >= asked["seconds"]
    assert len(told["loss_curve"]) == min(10, len(losses))
    assert min(losses) - 1e-4 <= min(told["loss_curve"] + [told["loss"]])
    assert max(told["loss_curve"] + [told["loss"]]) <= max(losses) + 1e-4
    held_back = told["held_back"]
    assert held_back["rule"] == RULE
    for score in (held_back["before"], held_back["after"]):
        assert 0 < score["dice"] <= 1
        assert 0 < score["cl_dice"] <= 1
        assert len(score["images"]) == 1
    assert (told["promoted"], told["why_not"] == "") in ((True, True), (False, False))
    assert shared_card(card, Pseudonyms())["basis_fingerprint"] == card["basis_fingerprint"]


def test_the_losses_of_a_training_are_told_in_few_points() -> None:
    assert _curve(list(range(100))) == [4.5 + 10 * tenth for tenth in range(10)]
    assert _curve([0.5, 0.25]) == [0.5, 0.25]


def test_an_update_that_is_worse_on_what_was_held_back_is_kept_but_not_put_in_use(
    copy: Path, lesson: Lesson, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged(monkeypatch, 0.80, 0.79, 0.79, 0.80, 0.79, 0.81)
    store = VersionStore(copy / "adapters")
    with serving(copy) as viewer:
        worse = viewer.train(seconds=0.1).json()
        assert (worse["version"], worse["promoted"], store.current()) == ("0002", False, "0001")
        assert np.array_equal(viewer.segment("salt", "good").labels, lesson.after.labels)
        better = viewer.train(seconds=0.1).json()
        assert (better["version"], better["promoted"], store.current()) == ("0003", True, "0003")
    assert [store.card(name)["parent"] for name in ("0002", "0003")] == ["0001", "0001"]


def test_what_the_same_labels_said_of_the_version_in_use_is_not_asked_again(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner = Learner(ModelHost(Options(), VersionStore(copy / "adapters")))
    asked: list[HeldBackScore] = []
    judge = learner._judge
    monkeypatch.setattr(learner, "_judge", lambda *what: asked.append(judge(*what)) or asked[-1])
    known = learner.host.store.card("0001")["training"]["held_back"]["after"]
    result = learner.learn(Wish(seconds=0.1), [pair(copy, "good")])
    # The whole of the update, and half of it.
    assert len(asked) == 2
    assert result["held_back"]["before"] == {**known, "images": tuple(known["images"])}
    # It would say the same.
    learner.host.store.promote("0001")
    monkeypatch.setattr("salt_monailabel.serving.learning.learner._known_score", lambda known, material: None)
    again = Learner(learner.host).learn(Wish(seconds=0.1), [pair(copy, "good")])
    assert again["held_back"]["before"]["images"] == pytest.approx(known["images"], abs=1e-4)


@pytest.mark.parametrize("otherwise", ["threshold", "modality", "image", "label"])
def test_scores_of_what_was_asked_otherwise_say_nothing_of_the_version_in_use(
    copy: Path, monkeypatch: pytest.MonkeyPatch, otherwise: str
) -> None:
    options = {"threshold": Options(threshold=0.4), "modality": Options(modality="octa")}
    store = VersionStore(copy / "adapters")
    learner = Learner(ModelHost(options.get(otherwise, Options()), store))
    if otherwise == "image":
        (copy / "good.png").write_bytes(png(np.flipud(IMAGE))[1])
    elif otherwise == "label":
        (copy / "labels" / "final" / "good.nrrd").write_bytes(one_slice(np.roll(TAUGHT, 3))[1])
    monkeypatch.setattr(learner, "_wrong", lambda *frame: "")
    judge, asked = learner._judge, []
    monkeypatch.setattr(learner, "_judge", lambda *what: asked.append(judge(*what)) or asked[-1])
    version = learner.learn(Wish(seconds=0.1), [pair(copy, "good")])["version"]
    # The version in use, too.
    assert len(asked) == 3
    assert not store.card(version)["best"].keys() & store.card("0001")["best"].keys()


def test_a_refused_update_leaves_the_loaded_adapter_as_it_was(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judged(monkeypatch, *[0.80, 0.79, 0.79] * 2)
    host = ModelHost(Options(), VersionStore(copy / "adapters"))
    untouched = parameter_values(host.trainable("0001"))
    loaded = []
    monkeypatch.setattr(
        host, "trainable", lambda version, load=host.trainable: loaded.append(load(version)) or loaded[-1]
    )
    learner = Learner(host)
    for _ in range(2):
        assert not learner.learn(Wish(seconds=0.1), [pair(copy, "good")])["promoted"]
    assert len(loaded) == 1
    assert all(torch.equal(now, then) for now, then in zip(parameter_values(loaded[0]), untouched, strict=True))


def test_a_version_that_is_rolled_back_during_an_update_does_not_come_back_by_it(copy: Path) -> None:
    store = VersionStore(copy / "adapters")
    result = Learner(ModelHost(Options(), store)).learn(
        Wish(seconds=0.1), [pair(copy, "good")], on_start=lambda images: store.roll_back()
    )
    assert (result["promoted"], store.current(), store.versions()) == (False, None, ["0001", "0002"])
    assert "meanwhile" in result["why_not"]


def test_a_version_that_nothing_can_judge_is_not_put_in_use(tmp_path: Path) -> None:
    # All that is labelled lies in one tile, so that none can be held back.
    dot = np.zeros_like(TAUGHT)
    dot[2:9, 2:9] = 1
    with serving(tmp_path / "studies") as viewer:
        viewer.put_image("dot", png(IMAGE))
        viewer.put_label("dot", one_slice(dot))
        stats = viewer.train(seconds=0.1).json()
        assert viewer.info()["adapter"] == "base"
    assert (stats["promoted"], stats["held_back"]["after"]["answers"]) == (False, 0)
    assert "no vessel held back" in stats["why_not"]


def test_a_label_that_is_sent_anew_during_an_update_is_no_part_of_its_card(copy: Path) -> None:
    label = copy / "labels" / "final" / "good.nrrd"
    learned = hashlib.sha256(label.read_bytes()).hexdigest()
    store = VersionStore(copy / "adapters")
    Learner(ModelHost(Options(), store)).learn(
        Wish(seconds=0.1), [pair(copy, "good")], on_start=lambda images: label.write_bytes(b"another")
    )
    assert store.card("0002")["labels_sha256"] == {"good": learned}


def test_a_label_that_is_removed_meanwhile_costs_the_others_nothing(copy: Path) -> None:
    gone = {**pair(copy, "good"), "id": "gone", "label": str(copy / "gone.nrrd")}
    host = ModelHost(Options(), VersionStore(copy / "adapters"))
    learner = Learner(host)
    assert learner.learn(Wish(seconds=0.1), [gone, pair(copy, "good")])["images"] == 1
    (copy / "labels" / "final" / "good.nrrd").rename(copy / "kept.nrrd")
    with pytest.raises(ImageError, match="submit a label first"):
        learner.learn(Wish(seconds=0.1), [gone])


@pytest.mark.parametrize(("whole", "half", "share", "after"), [(0.83, 0.81, 1, 0.83), (0.819, 0.815, 0.5, 0.815)])
def test_half_of_an_update_is_taken_unless_the_whole_is_clearly_better(
    copy: Path, monkeypatch: pytest.MonkeyPatch, whole: float, half: float, share: float, after: float
) -> None:
    judged(monkeypatch, 0.80, whole, half)
    with serving(copy) as viewer:
        stats = viewer.train(seconds=0.1).json()
    assert (stats["promoted"], stats["share_of_the_way"], stats["held_back"]["after"]["dice"]) == (True, share, after)


def test_with_enough_labels_whole_images_are_held_back(tmp_path: Path) -> None:
    studies, names = tmp_path / "studies", [f"image {number}" for number in range(5, 9)]
    with serving(studies) as viewer:
        for name in names:
            viewer.put_image(name, png(IMAGE))
            viewer.put_label(name, one_slice(TAUGHT))
        stats = viewer.train(seconds=0.1).json()
    held_back, card = images_held_back(names), VersionStore(studies / "adapters").card("0001")
    assert held_back
    assert set(card["images"]) == {*names} - {*held_back}
    assert len(stats["held_back"]["after"]["images"]) == len(names)


def test_images_learned_but_for_a_block_judge_by_it_once_there_are_enough(tmp_path: Path) -> None:
    studies, names = tmp_path / "studies", [f"image {number}" for number in range(5, 9)]
    held_back = images_held_back(names)
    early = [*held_back, *(name for name in names if name not in held_back)][:3]
    store = VersionStore(studies / "adapters")
    with serving(studies) as viewer:
        for name in names:
            viewer.put_image(name, png(IMAGE))
        for name in early:
            viewer.put_label(name, one_slice(TAUGHT))
        assert viewer.train(seconds=1, learning_rate=0.01).json()["promoted"]
        before = store.card("0001")
        last = next(name for name in names if name not in early)
        viewer.put_label(last, one_slice(TAUGHT))
        viewer.train(seconds=0.1)
    after = store.card("0002")
    assert sorted(before["learned_in_part"]) == sorted(early)
    assert sorted(after["learned_in_part"]) == sorted(names)
    assert before["learned_in_part"].items() <= after["learned_in_part"].items()
    assert set(after["images"]) == {*names} - {*held_back}


def test_updates_that_are_each_a_little_worse_are_refused_before_long(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Not by more than the tolerance at once, but by 0.012 in all.
    dice = [0.8 - 0.0015 * number for number in range(9)]
    judged(monkeypatch, *[score for before, after in itertools.pairwise(dice) for score in (before, after, after)])
    learner = Learner(ModelHost(Options(), VersionStore(copy / "adapters")))
    results = [learner.learn(Wish(seconds=0.1), [pair(copy, "good")]) for _ in dice[1:]]
    assert [result["promoted"] for result in results] == [True] * 6 + [False] * 2
    assert "with the updates before" in results[-1]["why_not"]


def test_a_refit_starts_from_the_base_and_can_be_rolled_back(copy: Path) -> None:
    with serving(copy) as viewer:
        stats = viewer.train(seconds=1, mode="refit").json()
    store = VersionStore(copy / "adapters")
    assert (stats["mode"], store.card("0002")["parent"]) == ("refit", "0001")


def test_an_outline_beside_its_vessels_is_not_learned_from_be_it_the_first(tmp_path: Path) -> None:
    image, vessels = drawing(rows=256, columns=256)
    moved = np.roll(vessels, (25, -25), (0, 1))
    with serving(tmp_path / "studies") as viewer:
        for name in ("right", "moved"):
            viewer.put_image(name, png(image))
        viewer.put_label("moved", one_slice(moved))
        reply = viewer.train(seconds=0.1)
        assert reply.status_code == 400
        assert "moving it by 25 pixels up and 25 pixels to the right" in reply.json()["detail"]
        viewer.put_label("right", one_slice(vessels))
        stats = viewer.train(seconds=0.1).json()
        assert (stats["images"], len(stats["skipped"])) == (1, 1)
        viewer.put_label("moved", one_slice(vessels))
        assert viewer.train(seconds=0.1).json()["images"] == 2


def test_what_the_base_was_never_taught_may_lie_beside_what_it_finds(tmp_path: Path) -> None:
    image, vessels = drawing(rows=256, columns=256)
    with serving(tmp_path / "studies", labels="catheter") as viewer:
        viewer.put_image("first", png(image))
        viewer.put_label("first", one_slice(np.roll(vessels, (25, -25), (0, 1))), ({"name": "catheter", "idx": 1},))
        assert viewer.train(seconds=0.1).status_code == 200


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        pytest.param(lambda vessels: vessels == 0, "is it inverted", id="inverted"),
        pytest.param(lambda vessels: np.random.default_rng(0).random(vessels.shape) < 0.3, "garbled", id="garbled"),
    ],
)
def test_an_outline_that_cannot_be_right_is_not_learned_from_be_it_the_first(
    tmp_path: Path, spoil: Callable[[np.ndarray], np.ndarray], words: str
) -> None:
    image, vessels = drawing(rows=256, columns=256)
    with serving(tmp_path / "studies") as viewer:
        viewer.put_image("first", png(image))
        viewer.put_label("first", one_slice(spoil(vessels)))
        reply = viewer.train(seconds=0.1)
        assert (reply.status_code, words in reply.json()["detail"]) == (400, True)
        viewer.put_label("first", one_slice(vessels))
        assert viewer.train(seconds=0.1).status_code == 200


def test_all_labels_are_learned_as_of_what_the_user_says(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = []

    def reading(path: str, modality: Modality | None) -> Study:
        said.append(modality)
        return read_study(path, modality)

    monkeypatch.setattr("salt_monailabel.training.samples.read_study", reading)
    host = ModelHost(Options(modality="fundus"), VersionStore(copy / "adapters"))
    Learner(host).learn(Wish(seconds=0.1), [pair(copy, "good")])
    assert set(said) == {"fundus"}
    assert host.studies.read(str(copy / "good.png")).modality == "fundus"


def test_a_mode_there_is_not_is_refused(copy: Path) -> None:
    with serving(copy) as viewer:
        reply = viewer.train(seconds=0.1, mode="forget")
    assert reply.status_code == 400
    assert "update, refit" in reply.json()["detail"]


def test_without_a_label_training_says_what_is_missing(tmp_path: Path) -> None:
    with serving(tmp_path / "studies") as viewer:
        viewer.put_image("one", png(IMAGE))
        assert_nothing_learned(viewer, tmp_path / "studies", "submit a label first")


def test_with_damaged_labels_alone_training_names_them(tmp_path: Path) -> None:
    studies = tmp_path / "studies"
    with serving(studies) as viewer:
        viewer.put_image("one", png(IMAGE))
        viewer.put_label("one", one_slice(VESSELS))
        damage(studies / "labels" / "final" / "one.nrrd")
        assert_nothing_learned(viewer, studies, "one.nrrd")


@pytest.mark.parametrize("asked", [{"seconds": "long"}, {"seconds": -1}, {"learning_rate": "fast"}])
def test_a_budget_that_cannot_be_meant_is_refused(tmp_path: Path, asked: dict[str, object]) -> None:
    studies = tmp_path / "studies"
    with serving(studies) as viewer:
        viewer.put_image("one", png(IMAGE))
        viewer.put_label("one", one_slice(VESSELS))
        reply = viewer.train(**asked)
    assert reply.status_code == 400
    assert next(iter(asked)) in reply.json()["detail"]
    assert VersionStore(studies / "adapters").current() is None


def assert_nothing_learned(viewer: Viewer, studies: Path, reason: str) -> None:
    reply = viewer.train(seconds=0.1)
    assert reply.status_code == 400
    assert "no labelled image" in reply.json()["detail"]
    assert reason in reply.json()["detail"]
    assert VersionStore(studies / "adapters").current() is None
