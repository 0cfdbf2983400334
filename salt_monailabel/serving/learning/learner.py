"""Learning from the labels of a store: what training does, in whichever process it runs."""

from __future__ import annotations

import hashlib
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import HTTPException
from torch import Tensor
from torch.nn import utils

from salt_monailabel.adapters import Adapter
from salt_monailabel.imaging import ImageError
from salt_monailabel.inference import Predictor, card_of
from salt_monailabel.models import VesselSam
from salt_monailabel.models.precision import best_device
from salt_monailabel.training import FitConfig, LabelledFrame, Progress, fit, read_labelled
from salt_monailabel.training.held_back import (
    RULE_IMAGES,
    RULE_TILES,
    HeldBackScore,
    Question,
    images_held_back,
    questions_of_tiles,
    score_held_back,
    tiles_held_back,
    windows_of,
    without,
)
from salt_monailabel.training.update import CLEARLY, TOLERANCE, Lesson, choose, everything, move, shared, values

from ..host import ModelHost

logger = logging.getLogger(__name__)

# From the version in use on what is new; or from the base on everything, for the night.
MODES = ("update", "refit")
Pairs = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Wish:
    """What a request asks for.

    Attributes
    ----------
    mode : str
        One of `MODES`.
    seconds : float, optional
        Time to train; by default as the options say.
    learning_rate : float
    device : str
    asked_by : str
    """

    mode: str = "update"
    seconds: float | None = None
    learning_rate: float = FitConfig().learning_rate
    device: str = "auto"
    asked_by: str = "local"

    @classmethod
    def of(cls, request: Mapping[str, Any], device: str) -> Wish:
        """Read a request; raises `HTTPException` 400 if it cannot be meant."""
        mode = request.get("mode") or MODES[0]
        # Slicer sends the whole list back if nobody touched it.
        mode = mode[0] if isinstance(mode, list) and mode else mode
        if mode not in MODES:
            raise HTTPException(400, f"mode must be one of {', '.join(MODES)}; got {mode}")
        rate = _positive(request, "learning_rate") or cls.learning_rate
        wanted = str(request.get("device") or device)
        return cls(str(mode), _positive(request, "seconds"), rate, wanted, str(request.get("asked_by") or "local"))


class Learner:
    """Learns from labels, and keeps the adapter between two updates.

    Parameters
    ----------
    host : ModelHost
        Names the model and its versions.
    """

    def __init__(self, host: ModelHost) -> None:
        self.host = host
        self._ready: tuple[str | None, Adapter] | None = None

    def warm_up(self) -> None:
        """Load the version in use, so that the next update need not."""
        current = self.host.store.current()
        self._ready = (current, self.host.trainable(current))

    def learn(
        self,
        wish: Wish,
        pairs: Pairs,
        on_start: Callable[[int], None] = lambda images: None,
        on_step: Callable[[Progress], None] = lambda progress: None,
    ) -> dict[str, Any]:
        """Train, keep a new version, and put it in use unless it is worse on what was held back.

        Parameters
        ----------
        wish : Wish
        pairs : sequence of mapping
            The files of all labelled images: `image`, `label`, and `proposal`, which may be None.
        on_start : callable
            Told how many images are learned from.
        on_step : callable
            Told of every step.

        Returns
        -------
        dict
            What was done, as the version's card has it under `training`, and `version`.

        Raises
        ------
        ImageError
            If no label can be used.
        TrainingError
            If training fails; the version in use stays.
        """
        started = time.perf_counter()
        files = {Path(pair["image"]).name: pair for pair in pairs}
        times = {name: Path(pair["label"]).stat().st_mtime_ns for name, pair in files.items()}
        if not times:
            raise ImageError("there is no labelled image to learn from: submit a label first")
        current = self.host.store.current()
        until = self.host.store.card(current).get("learned_until", 0) if current else 0
        lesson = choose(times, until, np.random.default_rng()) if wish.mode == "update" else everything(times)
        reader = _Reader(files, len(self.host.options.labels))
        few = not images_held_back(times)
        newest, replayed, exam = _prepare(lesson, reader, few)
        images = len({frame.name for frame in newest + replayed})
        on_start(images)

        adapter = self._adapter(current if wish.mode == "update" else None)
        model = adapter.model
        assert isinstance(model, VesselSam)
        device = best_device(wish.device)
        model.to(device)
        asked = time.perf_counter()
        before = (
            self._judge(adapter, exam) if wish.mode == "update" else score_held_back(self.host.predictor()[0], exam)
        )
        judging = time.perf_counter() - asked
        budget = wish.seconds or self.host.options.budget(images, wish.mode, device.type)
        if wish.mode == "update" and not wish.seconds:
            # The whole of an update has a time, not its steps alone; judging comes twice more.
            budget = max(budget / 3, budget - (time.perf_counter() - started) - 2 * judging)
        config = FitConfig(seconds=budget, learning_rate=wish.learning_rate)
        # What is learned in part is no version: the next one must not start from it.
        self._ready = None
        start = values(adapter)
        history = fit(adapter, shared(newest, replayed), config, on_step=on_step)
        after, share = self._settle(adapter, start, exam) if wish.mode == "update" else (self._judge(adapter, exam), 1)
        promoted = after.dice >= before.dice - TOLERANCE
        final = history[-max(1, len(history) // 10) :]
        result = {
            "mode": wish.mode,
            "images": images,
            "newest": len({frame.name for frame in newest}),
            "skipped": reader.skipped,
            "steps": len(history),
            "seconds": round(time.perf_counter() - started, 1),
            "device": device.type,
            "loss": round(sum(p.loss for p in final) / len(final), 4),
            "train_dice": round(sum(p.dice for p in final) / len(final), 4),
            "held_back": {
                "rule": RULE_TILES if few else RULE_IMAGES,
                "tolerance": TOLERANCE,
                "before": asdict(before),
                "after": asdict(after),
            },
            "share_of_the_way": share,
            "promoted": promoted,
        }
        learned = sorted(lesson.newest + lesson.replayed)
        card = {
            **card_of(self.host.options.base, model),
            "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "asked_by": wish.asked_by,
            "images": learned,
            "labels_sha256": {name: _sha256(files[name]["label"]) for name in learned},
            "learned_until": max([times[name] for name in lesson.newest] + [until]),
            "training": result,
        }
        version = self.host.store.add(adapter, card, current)
        if promoted:
            self.host.store.promote(version)
            self._ready = (version, adapter)
        else:
            logger.warning("version %s is worse on what was held back and is not put in use", version)
        return {**result, "version": version}

    def _adapter(self, version: str | None) -> Adapter:
        if self._ready is not None and self._ready[0] == version:
            return self._ready[1]
        return self.host.trainable(version)

    def _settle(
        self, adapter: Adapter, start: Sequence[Tensor], exam: Sequence[Question]
    ) -> tuple[HeldBackScore, float]:
        """Go back half of the way to `start`, unless the whole is clearly better; return the score and the share."""
        whole, end = self._judge(adapter, exam), values(adapter)
        move(adapter, start, end, 0.5)
        half = self._judge(adapter, exam)
        if whole.dice <= half.dice + CLEARLY:
            return half, 0.5
        move(adapter, start, end)
        return whole, 1.0

    def _judge(self, adapter: Adapter, exam: Sequence[Question]) -> HeldBackScore:
        model = adapter.model
        assert isinstance(model, VesselSam)
        with utils.parametrize.cached():
            predictor = Predictor(model, model.pixel_mean.device, threshold=self.host.options.threshold)
            return score_held_back(predictor, exam)


def _prepare(
    lesson: Lesson, reader: _Reader, few: bool
) -> tuple[list[LabelledFrame], list[LabelledFrame], list[Question]]:
    """Return the frames to learn from, new and replayed, and what the outcome is judged by."""
    newest, replayed, judging = (reader.read(names) for names in (lesson.newest, lesson.replayed, lesson.judging))
    if not newest + replayed:
        raise ImageError(f"there is no labelled image to learn from: {'; '.join(reader.skipped)}")
    if not few:
        return newest, replayed, windows_of(judging)
    kept = [[without(frame, tiles_held_back(frame)) for frame in frames] for frames in (newest, replayed)]
    return kept[0], kept[1], [question for frame in judging for question in questions_of_tiles(frame)]


class _Reader:
    """Read labelled frames; one damaged file must not keep the others from being learned."""

    def __init__(self, files: Mapping[str, Mapping[str, Any]], labels: int) -> None:
        self.files = files
        self.labels = labels
        self.skipped: list[str] = []

    def read(self, names: Sequence[str]) -> list[LabelledFrame]:
        """Return the labelled frames of some images; what cannot be used is kept in `skipped`."""
        frames: list[LabelledFrame] = []
        for name in names:
            pair = self.files[name]
            try:
                try:
                    frames += read_labelled(pair["image"], pair["label"], self.labels, pair.get("proposal"))
                except ImageError:
                    # A proposal that cannot be read any more is no reason to leave out the label.
                    frames += read_labelled(pair["image"], pair["label"], self.labels)
            except ImageError as error:
                if str(error) not in self.skipped:
                    logger.warning("left out: %s", error)
                    self.skipped.append(str(error))
        return frames


def _positive(request: Mapping[str, Any], name: str) -> float | None:
    """Return a number of the request; None if it is not given or zero, which stands for the default."""
    try:
        value = float(request.get(name) or 0)
    except (TypeError, ValueError) as error:
        raise HTTPException(400, f"{name} must be a number; got {request[name]}") from error
    if not 0 <= value < math.inf:
        raise HTTPException(400, f"{name} must be above zero, or zero for the default; got {value}")
    return value or None


def _sha256(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
