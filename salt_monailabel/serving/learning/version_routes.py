"""`/salt/adapters`: the versions of the adapter over REST, as `salt adapters` has them."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from fastapi import APIRouter, File, HTTPException, UploadFile
from fastapi.responses import FileResponse
from starlette.background import BackgroundTask

from salt_monailabel.adapters import AdapterError, read_card
from salt_monailabel.imaging.pseudonyms import Pseudonyms
from salt_monailabel.inference import adapted_model
from salt_monailabel.models import WeightsError
from salt_monailabel.versions import BASE, VersionError

from ..app import SaltApp
from ..datastore import VesselDatastore
from ..errors import explained, without_folders
from ..options import Options
from ..sharing import pseudonyms_of

# Sides of an input and of a text embedding; a card that asks for more is not meant to be loaded.
LARGEST_SIZE = 8192


def version_routes(app: SaltApp) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/salt/adapters", tags=["Adapters"])
    store = app.host.store

    @router.get("", summary="List all versions, oldest first, and the one in use")
    def list_versions() -> dict[str, Any]:
        return {"current": store.current() or BASE, "versions": [_brief(name) for name in store.versions()]}

    def _brief(name: str) -> dict[str, Any]:
        try:
            card = store.card(name)
        except AdapterError as error:
            return {"version": name, "damaged": without_folders(str(error))}
        return {"version": name, "parent": card.get("parent"), "training": card.get("training")}

    @router.get("/{name}", summary="Get the card of a version")
    def show(name: str) -> dict[str, Any]:
        return _found(lambda: store.card(name))

    @router.get("/{name}/file", summary="Download a version for others: its card names no image, person or date")
    def export(name: str) -> FileResponse:
        # What is not there must not have a key made for it.
        _found(lambda: store.card(name))
        folder = tempfile.TemporaryDirectory()
        path = Path(folder.name) / f"{name}.safetensors"
        try:
            _found(lambda: store.export(name, path, _pseudonyms(app)))
        except BaseException:
            folder.cleanup()
            raise
        sent = BackgroundTask(folder.cleanup)
        return FileResponse(path, media_type="application/octet-stream", filename=path.name, background=sent)

    @router.post("/rollback", summary="Put the version before back in use")
    def roll_back() -> dict[str, str]:
        name = _found(store.roll_back) or BASE
        app.audit.record("roll back", version=name)
        return {"current": name}

    @router.post("/import", summary="Add an adapter file as a new version, which is not put in use")
    def take_in(file: UploadFile = File(...)) -> dict[str, str]:  # noqa: B008 (FastAPI's way)
        with explained(), tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "adapter.safetensors"
            with open(path, "wb") as copy:
                shutil.copyfileobj(file.file, copy)
            _check(path, app.options, 400, file.filename or "the file")
            name = store.take_in(path)
        app.audit.record("import", version=name)
        return {"version": name}

    @router.post("/{name}/promote", summary="Put a version in use, or `base`")
    def promote(name: str) -> dict[str, str]:
        with explained():
            if name in store.versions():
                _check(store.path(name), app.options, 409, f"version {name}")
        _found(lambda: store.promote(None if name == BASE else name))
        app.audit.record("promote", version=name)
        return {"current": name}

    return router


def _pseudonyms(app: SaltApp) -> Pseudonyms:
    studies = app.datastore()
    return pseudonyms_of(studies) if isinstance(studies, VesselDatastore) else Pseudonyms.kept_in(app.host.store.folder)


def _check(path: Path, options: Options, status: int, called: str) -> None:
    """Refuse a file that this server could not put in use."""
    try:
        _check_card(read_card(path), options)
        adapted_model(path, options.weights or None)
    except WeightsError:
        # Of the base, not of this file.
        raise
    except (ValueError, TypeError, RuntimeError) as error:
        raise HTTPException(status, str(error).replace(str(path), called)) from error


def _check_card(card: dict[str, Any], options: Options) -> None:
    """Refuse what does not belong here, before anything is loaded or downloaded for it."""
    found, wanted = (card.get("base"), card.get("labels")), (options.base, list(options.labels))
    if found != wanted:
        raise AdapterError(f"the adapter is for the base and labels {found}, but this server has {wanted}")
    sizes = [card.get("input_size"), card.get("text_dim") or 1]
    if not all(isinstance(size, int) and 0 < size <= LARGEST_SIZE for size in sizes):
        raise AdapterError(f"the adapter's card has sizes that cannot be: {sizes}")


def _found(look_up: Any) -> Any:
    try:
        with explained():
            return look_up()
    except VersionError as error:
        raise HTTPException(404, without_folders(str(error))) from error
