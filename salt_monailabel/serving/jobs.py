"""How far a long request is, and a way to end it early with what it has."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeVar

from cachetools import LRUCache
from fastapi import APIRouter, HTTPException

from .access.arguments import checked_name
from .access.audit import current_user

# Ended ones are told of for a while.
KEPT = 1000
Item = TypeVar("Item")


class Job:
    """A request of many steps under way.

    Attributes
    ----------
    done, of : int
        Steps; `of` is 0 until they are known.
    state : {"running", "stopping", "done", "stopped", "failed"}
    """

    def __init__(self) -> None:
        self.done = 0
        self.of = 0
        self.state: Literal["running", "stopping", "done", "stopped", "failed"] = "running"

    def over(self, steps: Iterable[Item], of: int) -> Iterator[Item]:
        """Yield further steps, and count them as they end; no more of them once the job is to stop."""
        self.of += of
        for step in steps:
            if self.state == "stopping":
                return
            yield step
            self.done += 1

    def stop(self) -> None:
        """Have it end after the step it is at."""
        if self.state == "running":
            self.state = "stopping"

    @property
    def stopped(self) -> bool:
        """Whether some of its steps were left out, or are about to be."""
        return self.state in ("stopping", "stopped") and self.done < self.of

    def public(self) -> dict[str, Any]:
        """Return what is told of it."""
        return {"done": self.done, "of": self.of, "state": self.state}


class Jobs:
    """The jobs of all users by the names they gave them; nobody sees or stops those of others. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: LRUCache[tuple[str, str], Job] = LRUCache(KEPT)

    @contextmanager
    def running(self, name: object) -> Iterator[Job]:
        """Make a job for the block; without a name, one that nobody can ask for.

        Raises
        ------
        HTTPException
            400 for a name that is none, 409 if a job of that name is running.
        """
        job = Job()
        if name is not None:
            if not isinstance(name, str):
                raise HTTPException(400, "'job' names a request, to ask how far it is: a word of your choice")
            key = current_user.get(), checked_name(name, "job")
            with self._lock:
                if (known := self._known.get(key)) and known.state in ("running", "stopping"):
                    raise HTTPException(409, f"a job '{name}' is running; choose another name")
                self._known[key] = job
        try:
            yield job
        except BaseException:
            job.state = "failed"
            raise
        job.state = "stopped" if job.stopped else "done"

    def find(self, name: str) -> Job:
        """Return a job of the user who asks; raises HTTPException 404 if there is none."""
        with self._lock:
            job = self._known.get((current_user.get(), name))
        if job is None:
            raise HTTPException(404, f"there is no job '{name[:100]}', or not any more")
        return job


def job_routes(jobs: Jobs) -> APIRouter:
    """Return the routes that tell how far a job is, and stop it."""
    router = APIRouter(tags=["Infer"])

    @router.get("/salt/jobs/{name}", summary="Tell how many of a job's steps are done")
    def progress(name: str) -> Any:
        return jobs.find(name).public()

    @router.delete("/salt/jobs/{name}", summary="Have a job end now; its answer is what it has done until then")
    def stop(name: str) -> Any:
        job = jobs.find(name)
        job.stop()
        return job.public()

    return router
