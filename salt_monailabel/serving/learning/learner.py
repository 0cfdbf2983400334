"""Learning from the labels of a store: what training does, in whichever process it runs."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor
from torch.nn import utils

from salt_monailabel.adapters import Adapter
from salt_monailabel.imaging import ImageError, modality_named
from salt_monailabel.inference import Predictor, card_of
from salt_monailabel.models import VesselSam, taught_labels
from salt_monailabel.models.precision import best_device
from salt_monailabel.training import FitConfig, LabelledFrame, Progress, fit
from salt_monailabel.training.exam import (
    TOLERANCE,
    Exam,
    HeldBackScore,
    clearly_better,
    score_held_back,
    why_not,
)
from salt_monailabel.training.held_back import RULE
from salt_monailabel.training.placement import is_inverted, is_noise, misplaced
from salt_monailabel.training.update import Past, choose, everything, move_parameters, parameter_values, with_shares

from ..host import ModelHost
from .material import Material, read_material
from .wish import Wish

logger = logging.getLogger(__name__)

# Of the loss of a training, in its card.
POINTS = 10
Pairs = Sequence[Mapping[str, Any]]


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
        self._in_place: set[tuple[str, str]] = set()

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
            The `id` of each labelled image, its files and how it was looked at, as the datastore lists them.
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
        files = {pair["id"]: pair for pair in pairs}
        times = _times(files)
        if not times:
            raise ImageError("there is no labelled image to learn from: submit a label first")
        current = self.host.store.current()
        known = self.host.store.card(current) if current else {}
        past = _past(known)
        rng = np.random.default_rng()
        lesson = choose(times, past, rng) if wish.mode == "update" else everything(times, past)
        adapter = self._adapter(current if wish.mode == "update" else None)
        assert isinstance(adapter.model, VesselSam)
        adapter.model.to(best_device(wish.device))
        in_use = self._predictor(adapter) if wish.mode == "update" else self.host.predictor()[0]
        wrong = partial(self._wrong, in_use, self._known(current))
        with utils.parametrize.cached():
            options, side = self.host.options, adapter.model.input_size
            modality = modality_named(options.modality)
            material = read_material(lesson, past, files, len(options.labels), side, wrong, rng, modality)
        on_start(material.images)

        # What is learned in part is no version: the next one must not start from it.
        self._ready = None
        start = parameter_values(adapter)
        result = self._train(adapter, start, wish, material, known, started, on_step)
        before, after = (result["held_back"][when]["images"] for when in ("before", "after"))
        judging = self._judging(material)
        best, first = _past_scores(judging, known, before)
        card = {
            **card_of(self.host.options.base, adapter.model),
            "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "asked_by": wish.asked_by,
            "modality": self.host.options.modality,
            "images": list(material.labels_sha256),
            "labels_sha256": material.labels_sha256,
            "learned_until": max([times[name] for name in material.labels_sha256] + [past.until]),
            "learned_in_part": material.in_part,
            "learned_whole": sorted(past.whole | (material.labels_sha256.keys() - material.in_part.keys())),
            "best": dict(zip(judging, map(max, best, after), strict=True)),
            "first": dict(zip(judging, first, strict=True)),
            "training": result,
        }
        version = self.host.store.add(adapter, card, current)
        if result["promoted"] and not self.host.store.succeed(version, current):
            result |= {"promoted": False, "why_not": "another version was put in use meanwhile"}
        if result["promoted"]:
            self._ready = (version, adapter)
        else:
            logger.warning("version %s is not put in use: %s", version, result["why_not"])
            if wish.mode == "update":
                move_parameters(adapter, start, start)
                self._ready = (current, adapter)
        return {**result, "version": version}

    def _train(
        self,
        adapter: Adapter,
        start: Sequence[Tensor],
        wish: Wish,
        material: Material,
        known: Mapping[str, Any],
        started: float,
        on_step: Callable[[Progress], None],
    ) -> dict[str, Any]:
        """Train, judge before and after, and return what was done, as the card has it under `training`."""
        update = wish.mode == "update"
        device, keys = best_device(wish.device), self._judging(material)
        before, judging = _known_score(known, keys) or self._score_in_use(adapter if update else None, material)
        budget = wish.seconds or self.host.options.budget(material.images, wish.mode, device.type)
        if update and not wish.seconds:
            # The whole of an update has a time, not its steps alone; judging comes twice more.
            budget = max(budget / 3, budget - (time.perf_counter() - started) - 2 * judging)
        config = FitConfig(seconds=budget, learning_rate=wish.learning_rate)
        history = fit(adapter, with_shares(material.newest, material.replayed), config, on_step=on_step)
        after, share = (
            self._settle(adapter, start, material.exam) if update else (self._judge(adapter, material.exam), 1.0)
        )
        final = history[-max(1, len(history) // 10) :]
        reason = why_not(before, after, *_past_scores(keys, known, before.images), material.tried)
        return {
            "mode": wish.mode,
            "images": material.images,
            "newest": len({frame.name for frame in material.newest}),
            "skipped": material.skipped,
            "steps": len(history),
            "seconds": round(time.perf_counter() - started, 1),
            "device": device.type,
            "loss": round(sum(p.loss for p in final) / len(final), 4),
            "loss_curve": _curve([progress.loss for progress in history]),
            "judging_seconds": round(judging, 2),
            "train_dice": round(sum(p.dice for p in final) / len(final), 4),
            "held_back": {
                "rule": RULE,
                "tolerance": TOLERANCE,
                "before": asdict(before),
                "after": asdict(after),
            },
            "share_of_the_way": share,
            "promoted": not reason,
            "why_not": reason,
        }

    def _adapter(self, version: str | None) -> Adapter:
        if self._ready is not None and self._ready[0] == version:
            return self._ready[1]
        return self.host.trainable(version)

    def _score_in_use(self, adapter: Adapter | None, material: Material) -> tuple[HeldBackScore, float]:
        """Return the score of the version in use, which an adapter may hold, and the seconds that judging takes."""
        asked = time.perf_counter()
        if adapter is not None:
            score = self._judge(adapter, material.exam)
        else:
            score = score_held_back(self.host.predictor()[0], material.exam)
        return score, time.perf_counter() - asked

    def _settle(self, adapter: Adapter, start: Sequence[Tensor], exam: Exam) -> tuple[HeldBackScore, float]:
        """Go back half of the way to `start`, unless the whole is clearly better; return the score and the share."""
        whole, end = self._judge(adapter, exam), parameter_values(adapter)
        move_parameters(adapter, start, end, 0.5)
        half = self._judge(adapter, exam)
        if not clearly_better(whole, half):
            return half, 0.5
        move_parameters(adapter, start, end)
        return whole, 1.0

    def _judge(self, adapter: Adapter, exam: Exam) -> HeldBackScore:
        with utils.parametrize.cached():
            return score_held_back(self._predictor(adapter), exam)

    def _judging(self, material: Material) -> list[str]:
        """Return what a card calls what judges: asked about otherwise, or scored in another way, it is another."""
        return [f"{name} {asked} at {self.host.options.threshold:g}" for name, asked in material.asked_sha256.items()]

    def _known(self, version: str | None) -> list[int]:
        """Return the values of the labels that a version, or the base, was taught to find."""
        names = self.host.options.labels
        taught = names if version else taught_labels(self.host.options.base, self.host.options.weights or None)
        return [value for value, name in enumerate(names, start=1) if name in taught]

    def _wrong(self, in_use: Predictor, known: Sequence[int], name: str, label: str, frame: LabelledFrame) -> str:
        """Return why the outline of an image cannot be right; nothing if it may be, as far as is known."""
        if is_inverted(frame):
            return f"the outline of {name} marks most of what is seen, and not its vessels: is it inverted?"
        if is_noise(frame):
            return f"the outline of {name} marks single pixels as if by chance, and no vessels: was its file garbled?"
        if (name, label) not in self._in_place:
            # What was never taught a structure cannot say that an outline is beside it.
            sure = np.where(np.isin(frame.labels, known), frame.labels, 0)
            moved = misplaced(in_use, replace(frame, labels=sure))
            if moved is not None:
                return f"the outline of {name} lies beside its vessels: moving it by {_words(*moved)} would mend that"
            self._in_place.add((name, label))
        return ""

    def _predictor(self, adapter: Adapter) -> Predictor:
        assert isinstance(adapter.model, VesselSam)
        return Predictor(adapter.model, adapter.model.pixel_mean.device, threshold=self.host.options.threshold)


def _times(files: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """Return when each label was written, in ns; those removed meanwhile have no time, and none is of the future."""
    times, now = {}, time.time_ns()
    for name, pair in files.items():
        with suppress(FileNotFoundError):
            times[name] = min(Path(pair["label"]).stat().st_mtime_ns, now)
    return times


def _past(known: Mapping[str, Any]) -> Past:
    """Return what the version of a card has learned; nothing of the future, be it that the clock was set back since."""
    until = min(known.get("learned_until", 0), time.time_ns())
    return Past(until, known.get("learned_in_part", {}), frozenset(known.get("learned_whole", ())))


def _known_score(known: Mapping[str, Any], keys: Sequence[str]) -> tuple[HeldBackScore, float] | None:
    """Return the score of the version in use and the seconds that judging took, if it was asked the same."""
    told = known.get("training", {})
    if "judging_seconds" not in told or [*known.get("best", {})] != keys:
        return None
    after = told["held_back"]["after"]
    return HeldBackScore(**{**after, "images": tuple(after["images"])}), told["judging_seconds"]


def _past_scores(
    keys: Sequence[str], known: Mapping[str, Any], now: Sequence[float]
) -> tuple[list[float], list[float]]:
    """Return the best and the first Dice on what judges: of the card of the version in use, and of now."""
    scores = list(zip(keys, now, strict=True))
    best = [max(known.get("best", {}).get(key, score), score) for key, score in scores]
    return best, [known.get("first", {}).get(key, score) for key, score in scores]


def _curve(losses: Sequence[float]) -> list[float]:
    """Return the means of `POINTS` stretches of a training one after the other, of fewer if there are fewer steps."""
    return [round(float(part.mean()), 4) for part in np.array_split(losses, min(POINTS, len(losses)))]


def _words(rows: int, columns: int) -> str:
    ways = (rows, "down" if rows > 0 else "up"), (columns, "to the right" if columns > 0 else "to the left")
    return " and ".join(f"{abs(pixels)} pixels {way}" for pixels, way in ways if pixels)
