"""`/train` as MONAI Label has it, on the resident trainer, and its progress as server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, HTTPException
from fastapi.responses import StreamingResponse

from ..access.arguments import checked_params
from ..access.audit import current_user
from ..app import SaltApp
from .resident import ResidentTrainer, Task
from .wish import Wish

HEARTBEAT = 15.0
INTERVAL = 0.1


def training_routes(app: SaltApp, trainer: ResidentTrainer) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["Train"])

    def submit(model: str, params: dict[str, Any] | None, enqueue: bool) -> Task:
        app.must_train(model)
        request = {"model": model, **checked_params(json.dumps(params or {})), "asked_by": current_user.get()}
        Wish.of(request, app.options.device)
        try:
            task = trainer.submit(request, app.datastore().datalist, enqueue)
        except BlockingIOError as error:
            raise HTTPException(429, str(error)) from error
        app.audit.record("train", version=app.host.store.current(), task=task.id)
        return task

    @router.get("/train/", summary="Get the state of the last training, or of all")
    def status(all: bool = False, check_if_running: bool = False) -> Any:
        tasks = [task for task in trainer.tasks if not (check_if_running and task.over)]
        if not tasks:
            raise HTTPException(404, "no training is running" if check_if_running else "nothing was trained yet")
        return [task.public() for task in tasks] if all else (tasks[0] if check_if_running else tasks[-1]).public()

    @router.post("/train/{model}", summary="Learn from the labels submitted")
    async def train(
        model: str, params: dict[str, Any] | None = None, run_sync: bool = False, enqueue: bool = False
    ) -> Any:
        task = submit(model, params, enqueue)
        if not run_sync:
            return task.public()
        await to_thread.run_sync(trainer.wait, task)
        if task.status == "STOPPED":
            raise HTTPException(409, f"the training was {task.details[-1]}; no label is lost")
        if task.status != "DONE":
            raise HTTPException(task.events[-1].get("code", 500), task.details[-1])
        return task.events[-1]["stats"]

    @router.delete("/train/", summary="Stop the training under way")
    def stop() -> Any:
        task = trainer.stop()
        app.audit.record("stop training", task=task.id if task else None)
        return task.public() if task else None

    @router.get("/salt/train/events", summary="Follow the last training: step, loss and Dice as server-sent events")
    async def events() -> StreamingResponse:
        if not trainer.tasks:
            raise HTTPException(404, "nothing was trained yet")
        return StreamingResponse(_stream(trainer.tasks[-1]), media_type="text/event-stream")

    return router


async def _stream(task: Task) -> AsyncIterator[str]:
    sent, silent = 0, 0.0
    while True:
        over, events = task.over, task.events[sent:]
        for event in events:
            yield f"event: {event['event']}\ndata: {json.dumps(event)}\n\n"
        sent += len(events)
        if over and sent == len(task.events):
            return
        silent = 0.0 if events else silent + INTERVAL
        if silent >= HEARTBEAT:
            # Keeps what lies between from closing a connection that seems dead.
            silent = 0.0
            yield ": still learning\n\n"
        await asyncio.sleep(INTERVAL)
