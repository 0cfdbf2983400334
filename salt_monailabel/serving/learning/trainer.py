"""The process that learns: it stays, with all that a training needs loaded, from one training to the next.

It reads a line of JSON for each thing to do, and writes one for each that happened:

    {"do": "learn", "id": "…",      {"event": "ready"}
     "request": {…}, "pairs": […]}  {"event": "begun", "id": "…"}
    {"do": "pause"}                 {"event": "step", "id": "…", "step": 3, "share": 0.1, "loss": …, "dice": …}
    {"do": "resume"}                {"event": "done", "id": "…", "stats": {…}}
                                    {"event": "failed", "id": "…", "detail": "…", "code": 400}

Events bear the `id` of their lesson, so that none is taken for one of another.

Where its input ends, so does it: a server that was killed leaves no trainer behind.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from fastapi import HTTPException

from salt_monailabel.training import Progress
from salt_monailabel.versions import VersionStore

from ..errors import explained, without_folders
from ..host import ModelHost
from ..options import Options
from .learner import Learner
from .train import STATS, Reporter
from .wish import Wish

logger = logging.getLogger(__name__)

# Clicks go first, but learning goes on: no step waits longer than this.
LONGEST_WAIT = 1.0
NICENESS = 5


class Trainer:
    """Does what it is told, one training after the other.

    Parameters
    ----------
    learner : Learner
    stats : path
        Where viewers read the state of the training.
    output : text stream
        Told what happened.
    """

    def __init__(self, learner: Learner, stats: Path, output: TextIO) -> None:
        self.learner = learner
        self.stats = stats
        self.output = output
        self._free = threading.Event()
        self._free.set()
        self._lessons: queue.Queue[dict[str, Any]] = queue.Queue()

    def listen(self, commands: TextIO) -> None:
        """Take commands until there are no more; then end the process, in whatever it is."""
        for line in commands:
            command = json.loads(line)
            if command["do"] == "learn":
                self._lessons.put(command)
            elif command["do"] == "pause":
                self._free.clear()
            else:
                self._free.set()
        os._exit(0)

    def work(self) -> None:
        """Warm up, then learn whenever it is asked for."""
        try:
            with explained():
                self.learner.warm_up()
        except Exception as error:
            # The next training says what is wrong, to somebody who can read it.
            logger.warning("nothing could be loaded ahead: %s", error)
        self._tell("ready")
        while True:
            lesson = self._lessons.get()
            tell = partial(self._tell, id=lesson["id"])
            tell("begun")
            try:
                tell("done", stats=self._learn(lesson["request"], lesson["pairs"], tell))
            except HTTPException as error:
                tell("failed", detail=str(error.detail), code=error.status_code)
            except Exception as error:
                logger.exception("training failed")
                tell("failed", detail=without_folders(f"{type(error).__name__}: {error}"), code=500)

    def _learn(self, request: dict[str, Any], pairs: list[dict[str, Any]], tell: Callable[..., None]) -> dict[str, Any]:
        reporter = Reporter(self.stats)

        def on_step(progress: Progress) -> None:
            reporter(progress)
            facts = {"loss": round(progress.loss, 4), "dice": round(progress.dice, 4)}
            tell("step", step=progress.step, share=round(progress.share, 3), **facts)
            self._free.wait(LONGEST_WAIT)

        with explained():
            wish = Wish.of(request, self.learner.host.options.device)
            return reporter.finish(self.learner.learn(wish, pairs, reporter.start, on_step))

    def _tell(self, event: str, **facts: Any) -> None:
        self.output.write(json.dumps({"event": event, **facts}) + "\n")
        self.output.flush()


def main() -> None:
    """Run with the options and the folder of versions as the first line of input."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    # What a library prints must not be taken for an event.
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    first = json.loads(sys.stdin.readline())
    options = Options(**{**first["options"], "labels": tuple(first["options"]["labels"])})
    store = VersionStore(first["folder"])
    trainer = Trainer(Learner(ModelHost(options, store)), store.folder / STATS, output)
    threading.Thread(target=trainer.listen, args=(sys.stdin,), daemon=True).start()
    trainer.work()


if __name__ == "__main__":
    main()
