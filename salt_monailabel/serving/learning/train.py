"""MONAI Label's train task, and the state of a training as its viewers show it."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import Any

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.train import TrainTask

from salt_monailabel.training import FitConfig, Progress
from salt_monailabel.whole_files import written_whole

from ..errors import explained
from ..host import ModelHost
from .learner import Learner
from .wish import MODES, Wish

logger = logging.getLogger(__name__)

EPOCHS = 10
STATS = "stats.json"


class SaltTrain(TrainTask):
    """Train the adapter on final labels for a budget of time: an update, or a refit.

    It may run in a process of its own, so what it has to say goes through a file, `stats.json` beside the versions.
    """

    def __init__(self, host: ModelHost) -> None:
        super().__init__("Learn from the submitted labels")
        self.host = host

    def config(self) -> dict[str, Any]:
        """Return what a request may change."""
        rate = FitConfig().learning_rate
        return {"mode": list(MODES), "seconds": self.host.options.seconds, "learning_rate": rate}

    def stats(self) -> dict[str, Any]:
        """Return the state of the last training, as the panel shows it."""
        try:
            return json.loads((self.host.store.folder / STATS).read_text())
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
            wish = Wish.of(request, self.host.options.device)
            reporter = Reporter(self.host.store.folder / STATS)
            result = Learner(self.host).learn(wish, datastore.datalist(), reporter.start, reporter)
            return reporter.finish(result)


class Reporter:
    """Write progress to a file that the server reads, at each tenth of the budget."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.started = time.time()
        self.stats: dict[str, Any] = {
            "start_ts": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.started)),
            "epoch": 0,
            "total_epochs": EPOCHS,
            "best_metric": 0.0,
            "losses": [],
            "dices": [],
        }
        self._recent: list[Progress] = []

    def start(self, images: int) -> None:
        """Write the state of a training that begins: what is left of the one before says nothing of it."""
        self.stats["labelled"] = images
        self._write()

    def __call__(self, progress: Progress) -> None:
        """Take note of a step."""
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
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with written_whole(self.path, durable=False) as partial:
                partial.write_text(json.dumps(self.stats, indent=1))
        except OSError as error:
            # Progress that cannot be shown is no reason to lose what is being learned.
            logger.warning("the progress could not be written to %s: %s", self.path, error)
