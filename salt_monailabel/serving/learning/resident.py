"""The server's side of the process that learns: starts it, gives it tasks, and starts it anew if it dies."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, TextIO

from salt_monailabel.versions import VersionStore

from ..errors import without_folders
from ..options import Options

logger = logging.getLogger(__name__)

COMMAND = (sys.executable, "-m", "salt_monailabel.serving.learning.trainer")
# A trainer that dies as soon as it starts is not started again at once, over and over.
PAUSE_BETWEEN_STARTS = 5.0
WAITING, RUNNING = "SUBMITTED", "RUNNING"
# Tasks that are listed, unless more of them wait.
REMEMBERED = 100


@dataclass
class Task:
    """A training, with the names and states MONAI Label gives one; `events` is what happened so far.

    `begun` is whether a process has taken it up.
    """

    request: dict[str, Any]
    pairs: Callable[[], Sequence[dict[str, Any]]]
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    status: str = WAITING
    start_ts: str = field(default_factory=lambda: _now())
    end_ts: str | None = None
    details: deque[str] = field(default_factory=lambda: deque(maxlen=20))
    events: list[dict[str, Any]] = field(default_factory=list)
    begun: bool = False

    @property
    def over(self) -> bool:
        """Say whether nothing more will happen."""
        return self.status not in (WAITING, RUNNING)

    def public(self) -> dict[str, Any]:
        """Return it as MONAI Label's reply has it."""
        whole = {"id": self.id, "status": self.status, "request": deepcopy(self.request), "start_ts": self.start_ts}
        if self.status != WAITING:
            whole["details"] = list(self.details)
        return whole | ({"end_ts": self.end_ts} if self.end_ts else {})


class ResidentTrainer:
    """One trainer process, and the tasks it was given.

    Parameters
    ----------
    options : Options
    store : VersionStore
    on_end : callable
        Called whenever a training has ended, well or not, but for the end of all with the server; it must not wait.
    command : sequence of str
        What is started.
    """

    def __init__(
        self,
        options: Options,
        store: VersionStore,
        on_end: Callable[[], None],
        command: Sequence[str] = COMMAND,
    ) -> None:
        self.tasks: list[Task] = []
        self.on_end = on_end
        self.command = tuple(command)
        self._first = {"options": asdict(options), "folder": str(store.folder)}
        self._changed = threading.Condition()
        self._process: subprocess.Popen[str] | None = None
        self._closed = False
        self._clicks = False
        self._thread = threading.Thread(target=self._run, name="resident-trainer", daemon=True)

    @property
    def busy(self) -> bool:
        """Say whether a training is under way or waits."""
        return any(not task.over for task in self.tasks)

    def start(self) -> None:
        """Start the process; it warms up while the server answers."""
        self._thread.start()

    def close(self) -> None:
        """End the process, and all tasks, so that nobody waits for one any more."""
        with self._changed:
            self._closed = True
            for task in self.tasks:
                if not task.over:
                    self._end(task, "STOPPED", "stopped with the server")
            self._changed.notify_all()
            self._kill()
        self._thread.join(timeout=10)

    def submit(self, request: dict[str, Any], pairs: Callable[[], Sequence[dict[str, Any]]], enqueue: bool) -> Task:
        """Give a task; the labelled images are asked for when its turn has come.

        Raises
        ------
        BlockingIOError
            If another is under way, unless this one may wait.
        """
        with self._changed:
            if self.busy and not enqueue:
                raise BlockingIOError("a training is under way; wait for it, or stop it first")
            task = Task(request, pairs)
            # They are taken up in turn: those that are over come first.
            over = sum(known.over for known in self.tasks)
            self.tasks = [*self.tasks[min(over, max(0, len(self.tasks) + 1 - REMEMBERED)) :], task]
            self._changed.notify_all()
        return task

    def stop(self) -> Task | None:
        """Stop the task under way by killing the process, which is started anew; None if there is none.

        Versions are written as a whole or not at all, so nothing is lost but what was being learned.
        """
        with self._changed:
            running = next((task for task in self.tasks if task.status == RUNNING), None)
            if running is None:
                return None
            self._end(running, "STOPPED", "stopped on request")
            self._kill()
        return running

    def yield_to_clicks(self, clicks: bool) -> None:
        """Let the trainer pause while somebody waits for an answer; it is told later, and nobody waits for that."""
        with self._changed:
            self._clicks = clicks
            self._changed.notify_all()

    def wait(self, task: Task) -> None:
        """Wait until a task is over."""
        with self._changed:
            self._changed.wait_for(lambda: task.over)

    def _run(self) -> None:
        while not self._closed:
            started = time.monotonic()
            try:
                with self._launch() as process:
                    self._serve(process)
            except OSError as error:
                logger.exception("the trainer cannot be started")
                self._fail(without_folders(f"the trainer cannot be started: {error}"), (WAITING, RUNNING))
            if self._closed:
                break
            logger.warning("the trainer has ended; it is started anew")
            with self._changed:
                self._changed.wait_for(
                    lambda: self._closed, max(0.0, started + PAUSE_BETWEEN_STARTS - time.monotonic())
                )

    def _launch(self) -> subprocess.Popen[str]:
        process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        with self._changed:
            self._process = process
            if self._closed:
                self._kill()
        return process

    def _serve(self, process: subprocess.Popen[str]) -> None:
        """Have tasks handed to a process, and note what it says of them, until it ends."""
        assert process.stdin is not None
        assert process.stdout is not None
        threading.Thread(target=self._hand_out, args=(process, process.stdin), daemon=True).start()
        ready = False
        for line in process.stdout:
            with suppress(ValueError, KeyError):
                event = json.loads(line)
                ready = ready or event["event"] == "ready"
                self._note(event)
        code = process.wait()
        # What it has left unread cannot be written any more.
        with suppress(OSError):
            process.stdin.close()
        with self._changed:
            if self._process is process:
                self._process = None
            for task in self.tasks:
                # It was given to a process that had died at rest, and nobody had noticed. But what a process dies of
                # before it is ready, the next would die of as well.
                if ready and task.status == RUNNING and not task.begun:
                    task.status = WAITING
            self._changed.notify_all()
        self._fail(f"the trainer ended unexpectedly ({_reason(code)}); no label and no version is lost", (RUNNING,))

    def _hand_out(self, process: subprocess.Popen[str], commands: TextIO) -> None:
        """Give the process its next task whenever it has none, and let it pause for clicks.

        Nobody else writes to it: one that does not read, as it is still starting or hangs, keeps only this thread.
        """
        _send(commands, self._first)
        paused = False
        while True:
            with self._changed:
                self._changed.wait_for(partial(self._due, process, paused))
                if self._process is not process:
                    return
                clicks, task = self._clicks, self._next()
                if task is not None:
                    task.status = RUNNING
            if clicks != paused:
                _send(commands, {"do": "pause" if clicks else "resume"})
                paused = clicks
            if task is not None and (lesson := self._lesson(task)) is not None:
                with self._changed:
                    # It may have been stopped while the labels were listed.
                    wanted = self._process is process and not task.over
                if wanted:
                    _send(commands, lesson)

    def _due(self, process: subprocess.Popen[str], paused: bool) -> bool:
        """Say whether there is something to tell a process, or it is not the one that learns any more."""
        return self._process is not process or self._clicks != paused or self._next() is not None

    def _lesson(self, task: Task) -> dict[str, Any] | None:
        """Return what a task has the process do; None if the labels cannot be listed, which ends the task."""
        try:
            return {"do": "learn", "id": task.id, "request": task.request, "pairs": list(task.pairs())}
        except Exception as error:
            logger.exception("the labels could not be listed")
            with self._changed:
                if not task.over:
                    self._end(task, "ERROR", without_folders(f"the labels could not be listed: {error}"))
            return None

    def _next(self) -> Task | None:
        if any(task.status == RUNNING for task in self.tasks):
            return None
        return next((task for task in self.tasks if task.status == WAITING), None)

    def _note(self, event: dict[str, Any]) -> None:
        with self._changed:
            lesson, kind = event.pop("id"), event["event"]
            task = next((task for task in self.tasks if task.status == RUNNING and task.id == lesson), None)
            if task is None:
                return
            task.begun = True
            if kind == "step":
                task.events.append(event)
                if len(task.events) % 10 == 1:
                    task.details.append("step {step}: loss {loss}, Dice {dice}".format(**event))
                self._changed.notify_all()
            elif kind == "failed":
                self._end(task, "ERROR", event["detail"], code=event["code"])
            elif kind == "done":
                stats = event["stats"]
                used = "in use" if stats["promoted"] else f"not in use: {stats['why_not']}"
                self._end(task, "DONE", f"version {stats['version']}, {used}", stats=stats)

    def _end(self, task: Task, status: str, detail: str, **facts: Any) -> None:
        task.status, task.end_ts = status, _now()
        task.details.append(detail)
        task.events.append({"event": status.lower(), "detail": detail, **facts})
        self._changed.notify_all()
        if not self._closed:
            self.on_end()

    def _fail(self, detail: str, states: Sequence[str]) -> None:
        with self._changed:
            for task in self.tasks:
                if task.status in states:
                    self._end(task, "ERROR", detail)

    def _kill(self) -> None:
        # Forgotten at once: a process that is about to die must not be given the next task.
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            self._changed.notify_all()


def _send(commands: TextIO, message: dict[str, Any]) -> None:
    # A process that has died is noticed where its output ends.
    with suppress(OSError, ValueError):
        commands.write(json.dumps(message) + "\n")
        commands.flush()


def _reason(code: int) -> str:
    return f"killed by signal {-code}" if code < 0 else f"exit status {code}"


def _now() -> str:
    return datetime.today().strftime("%Y-%m-%d %H:%M:%S")
