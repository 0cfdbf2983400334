"""MONAI Label's train task: adapt to the labels of the datastore, publish a version."""

from __future__ import annotations

import json
import logging
import math
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastapi import HTTPException
from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.train import TrainTask

from salt_monailabel.imaging import ImageError
from salt_monailabel.inference import card_of
from salt_monailabel.models import VesselSam
from salt_monailabel.models.precision import best_device
from salt_monailabel.training import FitConfig, LabelledFrame, Progress, fit, read_labelled

from .errors import explained
from .host import ModelHost

logger = logging.getLogger(__name__)

EPOCHS = 10


class SaltTrain(TrainTask):
    """Train the adapter further on all final labels, for a budget of time.

    It runs in a process of its own, so what it has to say goes through a file, `stats.json` beside the versions.
    """

    def __init__(self, host: ModelHost) -> None:
        super().__init__("Adapt the model to the submitted labels")
        self.host = host

    @property
    def stats_file(self) -> Path:
        """Where the state of the last training is kept."""
        return self.host.store.folder / "stats.json"

    def config(self) -> dict[str, Any]:
        """Return what a request may change."""
        return {"seconds": self.host.options.seconds, "learning_rate": FitConfig().learning_rate}

    def stats(self) -> dict[str, Any]:
        """Return the state of the last training, as the panel shows it."""
        try:
            return json.loads(self.stats_file.read_text())
        except (OSError, ValueError):
            return {}

    def __call__(self, request: dict[str, Any], datastore: Datastore) -> dict[str, Any]:
        """Train and publish; returns the final stats.

        Raises
        ------
        HTTPException
            If no label can be used or training fails; the current version stays.
        """
        with explained():
            return self._train(request, datastore)

    def _train(self, request: dict[str, Any], datastore: Datastore) -> dict[str, Any]:
        started = time.time()
        frames, skipped = self._frames(datastore.datalist())
        images = len({frame.name for frame in frames})
        seconds = _positive(request, "seconds") or self.host.options.budget(images)
        rate = _positive(request, "learning_rate") or FitConfig().learning_rate
        config = FitConfig(seconds=seconds, learning_rate=rate)
        adapter, parent = self.host.trainable()
        model = adapter.model
        assert isinstance(model, VesselSam)
        device = best_device(str(request.get("device") or self.host.options.device))
        model.to(device)

        reporter = _Reporter(self.stats_file, started, images)
        history = fit(adapter, frames, config, on_step=reporter)
        final = history[-len(history) // EPOCHS :]
        result = {
            "images": images,
            "frames": len(frames),
            "skipped": skipped,
            "steps": len(history),
            "seconds": round(history[-1].seconds, 1),
            "device": device.type,
            "loss": round(sum(p.loss for p in final) / len(final), 4),
            "train_dice": round(sum(p.dice for p in final) / len(final), 4),
        }
        card = {**card_of(self.host.options.base, model), "training": result}
        version = self.host.store.add(adapter, card, parent)
        self.host.store.promote(version)
        return reporter.finish({**result, "version": version})

    def _frames(self, datalist: Sequence[dict[str, Any]]) -> tuple[list[LabelledFrame], list[str]]:
        """Read what can be used; one damaged file must not keep the others from being learned."""
        frames: list[LabelledFrame] = []
        skipped: list[str] = []
        for pair in datalist:
            try:
                frames += read_labelled(pair["image"], pair["label"], len(self.host.options.labels))
            except ImageError as error:  # noqa: PERF203 (reading takes longer than a try)
                logger.warning("left out: %s", error)
                skipped.append(str(error))
        if not frames:
            reasons = "; ".join(skipped) or "submit a label first"
            raise ImageError(f"there is no labelled image to learn from: {reasons}")
        return frames, skipped


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
