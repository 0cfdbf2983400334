"""MONAI Label's train task: learn from the newest labels, or from all; put the new version in use if it is no worse."""

from __future__ import annotations

import json
import logging
import math
import os
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import HTTPException
from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.train import TrainTask
from torch.nn.utils import parametrize

from salt_monailabel.imaging import ImageError
from salt_monailabel.inference import Predictor, card_of
from salt_monailabel.models import VesselSam
from salt_monailabel.models.precision import best_device
from salt_monailabel.training import FitConfig, LabelledFrame, Progress, fit, read_labelled
from salt_monailabel.training.held_back import (
    RULE_IMAGES,
    RULE_TILES,
    images_held_back,
    score_held_back,
    tiles_held_back,
    without,
)
from salt_monailabel.training.update import TOLERANCE, choose, everything, shared

from .errors import explained
from .host import ModelHost

logger = logging.getLogger(__name__)

EPOCHS = 10
# From the version in use on what is new; or from the base on everything, for the night.
MODES = ("update", "refit")


class SaltTrain(TrainTask):
    """Train the adapter on final labels for a budget of time: an update, or a refit.

    It runs in a process of its own, so what it has to say goes through a file, `stats.json` beside the versions.
    """

    def __init__(self, host: ModelHost) -> None:
        super().__init__("Learn from the submitted labels")
        self.host = host

    @property
    def stats_file(self) -> Path:
        """Where the state of the last training is kept."""
        return self.host.store.folder / "stats.json"

    def config(self) -> dict[str, Any]:
        """Return what a request may change."""
        rate = FitConfig().learning_rate
        return {"mode": list(MODES), "seconds": self.host.options.seconds, "learning_rate": rate}

    def stats(self) -> dict[str, Any]:
        """Return the state of the last training, as the panel shows it."""
        try:
            return json.loads(self.stats_file.read_text())
        except (OSError, ValueError):
            return {}

    def __call__(self, request: dict[str, Any], datastore: Datastore) -> dict[str, Any]:
        """Train, and put the new version in use unless it is worse on what was held back; returns the final stats.

        Raises
        ------
        HTTPException
            If no label can be used or training fails; the current version stays.
        """
        with explained():
            return self._train(request, datastore)

    def _train(self, request: dict[str, Any], datastore: Datastore) -> dict[str, Any]:
        started = time.time()
        mode = _mode(request)
        seconds = _positive(request, "seconds")
        rate = _positive(request, "learning_rate") or FitConfig().learning_rate
        pairs = {Path(pair["image"]).name: pair for pair in datastore.datalist()}
        times = {name: Path(pair["label"]).stat().st_mtime_ns for name, pair in pairs.items()}
        if not times:
            raise ImageError("there is no labelled image to learn from: submit a label first")
        current = self.host.store.current()
        until = self.host.store.card(current).get("learned_until", 0) if current else 0
        lesson = choose(times, until, np.random.default_rng()) if mode == "update" else everything(times)
        reader = _Reader(pairs, len(self.host.options.labels))
        newest, replayed, judging = (reader.read(names) for names in (lesson.newest, lesson.replayed, lesson.judging))
        if not newest + replayed:
            raise ImageError(f"there is no labelled image to learn from: {'; '.join(reader.skipped)}")
        few = not images_held_back(times)
        exam = [(f, tiles_held_back(f) if few else np.ones(f.labels.shape, bool)) for f in judging]
        if few:
            newest, replayed = ([without(f, tiles_held_back(f)) for f in frames] for frames in (newest, replayed))

        images = len({frame.name for frame in newest + replayed})
        reporter = _Reporter(self.stats_file, started, images)
        before = score_held_back(self.host.predictor()[0], exam)
        adapter = self.host.trainable(current if mode == "update" else None)
        model = adapter.model
        assert isinstance(model, VesselSam)
        device = best_device(str(request.get("device") or self.host.options.device))
        model.to(device)
        budget = seconds or self.host.options.budget(images, mode, device.type)
        config = FitConfig(seconds=budget, learning_rate=rate)
        history = fit(adapter, shared(newest, replayed), config, on_step=reporter)
        with parametrize.cached():
            after = score_held_back(Predictor(model, device, threshold=self.host.options.threshold), exam)
        promoted = after.dice >= before.dice - TOLERANCE
        final = history[-len(history) // EPOCHS :]
        result = {
            "mode": mode,
            "images": images,
            "newest": len({frame.name for frame in newest}),
            "skipped": reader.skipped,
            "steps": len(history),
            "seconds": round(history[-1].seconds, 1),
            "device": device.type,
            "loss": round(sum(p.loss for p in final) / len(final), 4),
            "train_dice": round(sum(p.dice for p in final) / len(final), 4),
            "held_back": {
                "rule": RULE_TILES if few else RULE_IMAGES,
                "tolerance": TOLERANCE,
                "before": asdict(before),
                "after": asdict(after),
            },
            "promoted": promoted,
        }
        learned_until = max([times[name] for name in lesson.newest] + [until])
        learned = {"images": sorted(lesson.newest + lesson.replayed), "learned_until": learned_until}
        card = {**card_of(self.host.options.base, model), **learned, "training": result}
        version = self.host.store.add(adapter, card, current)
        if promoted:
            self.host.store.promote(version)
        else:
            logger.warning("version %s is worse on what was held back and is not put in use", version)
        return reporter.finish({**result, "version": version})


class _Reader:
    """Read labelled frames; one damaged file must not keep the others from being learned."""

    def __init__(self, pairs: dict[str, dict[str, Any]], labels: int) -> None:
        self.pairs = pairs
        self.labels = labels
        self.skipped: list[str] = []

    def read(self, names: Sequence[str]) -> list[LabelledFrame]:
        """Return the labelled frames of some images; what cannot be used is kept in `skipped`."""
        frames: list[LabelledFrame] = []
        for name in names:
            try:
                frames += read_labelled(self.pairs[name]["image"], self.pairs[name]["label"], self.labels)
            except ImageError as error:  # noqa: PERF203 (reading takes longer than a try)
                if str(error) not in self.skipped:
                    logger.warning("left out: %s", error)
                    self.skipped.append(str(error))
        return frames


def _mode(request: dict[str, Any]) -> str:
    mode = request.get("mode") or MODES[0]
    # Slicer sends the whole list back if nobody touched it.
    mode = mode[0] if isinstance(mode, list) and mode else mode
    if mode not in MODES:
        raise HTTPException(400, f"mode must be one of {', '.join(MODES)}; got {mode}")
    return str(mode)


def _positive(request: dict[str, Any], name: str) -> float | None:
    """Return a number of the request; None if it is not given or zero, which stands for the default."""
    try:
        value = float(request.get(name) or 0)
    except (TypeError, ValueError) as error:
        raise HTTPException(400, f"{name} must be a number; got {request[name]}") from error
    if not 0 <= value < math.inf:
        raise HTTPException(400, f"{name} must be above zero, or zero for the default; got {value}")
    return value or None


class _Reporter:
    """Write progress to a file that the server reads, at each tenth of the budget."""

    def __init__(self, path: Path, started: float, images: int) -> None:
        self.path = path
        self.started = started
        self.stats: dict[str, Any] = {
            "start_ts": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(started)),
            "epoch": 0,
            "total_epochs": EPOCHS,
            "best_metric": 0.0,
            "labelled": images,
            "losses": [],
            "dices": [],
        }
        self._recent: list[Progress] = []
        # What is left of the training before says nothing of this one.
        self._write()

    def __call__(self, progress: Progress) -> None:
        self._recent.append(progress)
        epoch = int(progress.share * EPOCHS)
        if epoch == self.stats["epoch"]:
            return
        loss = sum(p.loss for p in self._recent) / len(self._recent)
        score = sum(p.dice for p in self._recent) / len(self._recent)
        self.stats["losses"].append(round(loss, 4))
        self.stats["dices"].append(round(score, 4))
        self.stats |= {"epoch": epoch, "best_metric": max(self.stats["dices"])}
        logger.info("step %d, %.0f %%: loss %.4f, Dice %.4f", progress.step, 100 * progress.share, loss, score)
        self._recent.clear()
        self._write()

    def finish(self, result: dict[str, Any]) -> dict[str, Any]:
        """Add the result and return all stats."""
        self.stats |= result
        self._write()
        return self.stats

    def _write(self) -> None:
        total = int(time.time() - self.started)
        self.stats["total_time"] = f"{total // 3600}:{total // 60 % 60:02d}:{total % 60:02d}"
        partial = self.path.with_suffix(".partial")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_text(json.dumps(self.stats, indent=1))
            os.replace(partial, self.path)
        except OSError as error:
            # Progress that cannot be shown is no reason to lose what is being learned.
            logger.warning("the progress could not be written to %s: %s", self.path, error)
