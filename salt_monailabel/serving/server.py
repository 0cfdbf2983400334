"""The server: MONAI Label's own routes, made safe and made not to wait, with one process that learns.

`salt serve` starts it; so does `monailabel start_server --uvicorn_app salt_monailabel.serving.server:app`. The same app
under MONAI Label's own server works too, only slower.
"""

from __future__ import annotations

import errno
import functools
import inspect
import json
import logging
import re
import shutil
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, FastAPI, HTTPException, Request, Response
from fastapi.exception_handlers import http_exception_handler
from fastapi.responses import FileResponse, HTMLResponse
from fastapi.routing import APIRoute
from monailabel.config import settings
from monailabel.endpoints import activelearning, batch_infer, datastore, infer, info, logs, scoring, session
from monailabel.interfaces.exception import ImageNotFoundException, LabelNotFoundException, MONAILabelException
from monailabel.interfaces.utils.app import app_instance
from monailabel.utils.others.generic import remove_file
from starlette.background import BackgroundTask
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.types import ASGIApp

from .access.arguments import RESERVED, checked_name, checked_params
from .access.gate import MEGABYTE, Access, unread_tokens
from .access.login_routes import login_routes
from .access.tokens import TokenError, TokenFile, default_path
from .app import SaltApp
from .archive.datastore import ArchiveDatastore
from .errors import explained, explanation
from .image_routes import image_routes
from .jobs import job_routes
from .learning.resident import COMMAND, ResidentTrainer
from .learning.training_routes import training_routes
from .learning.version_routes import version_routes
from .leaving import when_asked_to_end
from .memory import keep_freed_memory
from .options import Options
from .report.routes import report_routes
from .uploads import is_upload

logger = logging.getLogger(__name__)

# Left out: `model`, which would load TorchScript; `proxy`, `ohif` and `wsi`, which serve what is not offered here.
ROUTERS = (info, infer, batch_infer, activelearning, scoring, datastore, session, logs)
NAMES = frozenset({"image", "id", "label", "tag", "session_id", "model", "strategy"})
FORMS = frozenset({"params", "info"})
# Of a body of JSON, which names its task in the path.
RESERVED_BODY = RESERVED | {"strategy", "method"}
# Threads that work ahead with the model. One that is still at it when the process ends has it end by an abort.
AHEAD = frozenset({"follow", "look-ahead", "scores"})
PATIENCE = 30.0
# Requests that may wait for the model at once; others never wait behind them.
WORKING = 16


def create_app(trainer_command: Sequence[str] = COMMAND) -> ASGIApp:
    """Return the server for the app, studies and options that MONAI Label's settings name.

    Parameters
    ----------
    trainer_command : sequence of str
        What is started to learn.
    """
    options = Options.from_conf(settings.MONAI_LABEL_APP_CONF)
    server = FastAPI(title="SALT vessels", docs_url=None, redoc_url=None, lifespan=_lifespan)
    slow = CapacityLimiter(WORKING)
    for module in ROUTERS:
        limiter = slow if module in (infer, batch_infer, scoring) else None
        server.include_router(_in_threads(module.router, limiter))
    instance = app_instance()
    if not isinstance(instance, SaltApp):
        raise TypeError(f"{settings.MONAI_LABEL_APP_DIR} holds another app; this server is for apps/salt")
    trainer = ResidentTrainer(instance.options, instance.host.store, instance.follow, trainer_command)
    instance.host.learning = lambda: trainer.busy
    instance.host.turns.on_change = trainer.yield_to_clicks
    server.state.app, server.state.trainer = instance, trainer
    tokens, always = TokenFile(default_path()), options.tokens == "always"
    own = (training_routes(instance, trainer), version_routes(instance), report_routes(instance))
    for routes in (*own, image_routes(instance), job_routes(instance.host.jobs), login_routes(tokens, always)):
        server.include_router(routes)
    server.add_api_route("/", _home, include_in_schema=False)
    server.add_exception_handler(TokenError, _no_tokens)
    server.add_exception_handler(StarletteHTTPException, _told)
    upload = round(options.upload_mb * MEGABYTE)
    instance.gated = True
    return Access(server, tokens, instance.audit, always, options.origins, upload)


def __getattr__(name: str) -> ASGIApp:
    """Make `app` when uvicorn asks for it: its settings are known then, and not yet when this is imported."""
    if name != "app":
        raise AttributeError(name)
    return create_app()


@asynccontextmanager
async def _lifespan(server: FastAPI) -> AsyncIterator[None]:
    instance: SaltApp = server.state.app
    keep_freed_memory()
    instance.server_mode(True)
    instance.on_init_complete()
    server.state.trainer.start()
    when_asked_to_end(server.state.trainer.close)
    instance.host.follow()
    yield
    instance.board.stop()
    await to_thread.run_sync(server.state.trainer.close)
    if isinstance(store := instance.datastore(), ArchiveDatastore):
        await to_thread.run_sync(store.close)
    for thread in threading.enumerate():
        if thread.name in AHEAD:
            await to_thread.run_sync(thread.join, PATIENCE)


def _home() -> HTMLResponse:
    return HTMLResponse(
        "<!doctype html><title>SALT vessels</title><p>This server is running. Type its address into 3D Slicer's "
        "module <i>SALT vessels</i>, or into <i>MONAILabel</i>. How it learns: <a href='salt/report'>report</a>."
    )


async def _no_tokens(request: Request, error: Exception) -> Response:
    return await http_exception_handler(request, unread_tokens(error))


async def _told(request: Request, error: Exception) -> Response:
    """Answer with an error; a body for which the server had no room is to FastAPI one that was sent wrongly."""
    assert isinstance(error, StarletteHTTPException)
    told = explanation(error.__cause__) if isinstance(error.__cause__, OSError) else None
    return await http_exception_handler(request, told or error)


def _in_threads(router: APIRouter, limiter: CapacityLimiter | None) -> APIRouter:
    """Return MONAI Label's routes, run in worker threads.

    Its handlers are coroutines that never wait for anything: while one computes, its own server answers nobody.
    """
    threaded = APIRouter(prefix="", tags=list(router.tags))
    for route in router.routes:
        assert isinstance(route, APIRoute)
        threaded.add_api_route(
            route.path,
            _in_thread(route.endpoint, limiter),
            methods=sorted(route.methods or ()),
            summary=route.summary,
            include_in_schema=route.include_in_schema,
        )
    return threaded


def _in_thread(endpoint: Callable[..., Coroutine[Any, Any, Any]], limiter: CapacityLimiter | None) -> Any:
    @functools.wraps(endpoint)
    async def run(**arguments: Any) -> Any:
        try:
            # Errors of the library come first: most are ValueErrors, which are taken for the request's.
            with _refusals(), explained():
                check_arguments(arguments)
                _check_room(arguments)
                _check_task(arguments)
                answer = await to_thread.run_sync(_finish, endpoint, arguments, limiter=limiter)
        except Exception:
            # They remove what was uploaded, and are forgotten where there is no answer.
            if cleaning := arguments.get("background_tasks"):
                await cleaning()
            raise
        if isinstance(answer, FileResponse) and "background_tasks" not in arguments and is_upload(str(answer.path)):
            answer.background = BackgroundTask(remove_file, answer.path)
        return answer

    return run


@contextmanager
def _refusals() -> Iterator[None]:
    """Answer 400 or 404 what MONAI Label cannot do; it would answer 500 without a word."""
    try:
        yield
    except HTTPException as error:
        if error.status_code != 500:
            raise
        # So it calls a request that lacks something.
        raise HTTPException(400, error.detail) from error
    except (ImageNotFoundException, LabelNotFoundException) as error:
        raise HTTPException(404, error.msg) from error
    except MONAILabelException as error:
        raise HTTPException(400, error.msg) from error
    except FileNotFoundError as error:
        raise HTTPException(404, f"the server has no {Path(str(error.filename)).name}") from error
    except (ValueError, OverflowError) as error:
        logger.warning("a request that could not be answered", exc_info=True)
        raise HTTPException(400, f"the request has a value that cannot be used: {error}") from error


def _finish(endpoint: Callable[..., Coroutine[Any, Any, Any]], arguments: dict[str, Any]) -> Any:
    """Run a coroutine that never waits."""
    if not inspect.iscoroutinefunction(endpoint):
        return endpoint(**arguments)
    coroutine = endpoint(**arguments)
    try:
        coroutine.send(None)
    except StopIteration as result:
        return result.value
    finally:
        coroutine.close()
    raise RuntimeError(f"{endpoint.__name__} waits for something")


def check_arguments(arguments: dict[str, Any]) -> None:
    """Refuse names that would leave the store, and parameters that would override what was checked.

    Raises
    ------
    HTTPException
        400, with what is wrong.
    """
    # Slicer notes in a label which model outlined it; only where a task is run could that name another one.
    reserved = RESERVED if "tag" not in arguments else RESERVED - {"model"}
    for name, value in arguments.items():
        if name in NAMES and isinstance(value, str) and value:
            checked_name(value, name)
        elif name in FORMS and isinstance(value, str):
            if checked_params(value, reserved).get("save_label"):
                # It would be saved by whoever may only look.
                raise HTTPException(400, "an answer is not saved as a label; send the label itself")
        elif name in FORMS and isinstance(value, dict):
            checked_params(json.dumps(value), RESERVED_BODY)
    for file in _uploads(arguments):
        # Slicer names a file by its whole path; nothing of it but the last part is looked at from here on.
        file.filename = checked_name(re.split(r"[/\\]", file.filename or "")[-1], "file")
        if file.filename.endswith(".bin"):
            raise HTTPException(400, "pixels without a header are not taken in; send an image")
    if arguments.get("uncompress"):
        raise HTTPException(400, "archives are not taken in; send the images themselves")
    if arguments.get("output") == infer.ResultType.dicom_seg:
        raise HTTPException(400, "DICOM SEG is not offered; ask for the output image")
    if arguments.get("output") == datastore.ResultType.train:
        # To the files by their paths on this computer, as MONAI Label lists them, no client has access.
        raise HTTPException(400, "images with their labels are at /datastore/dataset, their names in the output all")


def _check_room(arguments: dict[str, Any]) -> None:
    """Refuse uploads that would not fit among the temporary files: MONAI Label leaves there what it copied by half."""
    folder = tempfile.gettempdir()
    if sum(file.size or 0 for file in _uploads(arguments)) > shutil.disk_usage(folder).free:
        raise OSError(errno.ENOSPC, "no room for the upload", folder)


def _uploads(arguments: dict[str, Any]) -> Iterator[UploadFile]:
    for value in arguments.values():
        yield from (file for file in (value if isinstance(value, list) else [value]) if isinstance(file, UploadFile))


def _check_task(arguments: dict[str, Any]) -> None:
    """Refuse models and methods there are not, for which MONAI Label would start a process all the same."""
    app: SaltApp = app_instance()
    if "model" in arguments:
        app.must_infer(arguments["model"])
        if arguments["model"] == "salt_measure" and arguments.get("output") == infer.ResultType.image:
            raise HTTPException(400, "salt_measure answers with figures and no image; ask for output=json")
    if "method" in arguments:
        app.must_score(arguments["method"])
