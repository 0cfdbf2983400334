"""`/salt/images`: which images there are and how far they are, and each as the model is shown it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, HTTPException
from fastapi.responses import FileResponse, JSONResponse
from starlette.background import BackgroundTask

from salt_monailabel.imaging import ImageError
from salt_monailabel.imaging.volume import write_volume

from .access.arguments import checked_name
from .app import SaltApp
from .errors import explained
from .names import natural
from .sampling.strategies import asking

# Images that are prepared at once: each is in memory twice.
PREPARED = 4


def image_routes(app: SaltApp) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/salt/images", tags=["Images"])
    preparing = CapacityLimiter(PREPARED)

    @router.get("", summary="List all images: which have a final label, which you have on loan, and which others have")
    def list_images(client_id: str = "") -> JSONResponse:
        store, who = app.datastore(), asking(client_id)
        # First, for it waits until something is known of an archive.
        unlabelled = {*store.get_unlabeled_images()}
        holders = app.leases.holders()
        listed = [
            {
                "id": image,
                "done": image not in unlabelled,
                "mine": holders.get(image) == who,
                "taken": holders.get(image, who) != who,
            }
            for image in sorted(store.list_images(), key=natural)
        ]
        # Made here, in a thread: thousands would keep the server from answering others.
        return JSONResponse({"images": listed})

    @router.get("/{image}", summary="Get an image as NRRD, its frames as the model is shown them")
    async def get_image(image: str) -> FileResponse:
        # It may have to be fetched from an archive first.
        path = await to_thread.run_sync(app.datastore().get_image_uri, checked_name(image, "image"))
        return await to_thread.run_sync(_prepared, app, image, path, limiter=preparing)

    return router


def _prepared(app: SaltApp, image: str, path: str) -> FileResponse:
    if not os.path.isfile(path):
        raise HTTPException(404, f"there is no image '{image}' in the datastore")
    folder = tempfile.TemporaryDirectory()
    file = Path(folder.name) / "image.nrrd"
    try:
        with explained():
            try:
                write_volume(app.host.studies.read(path), image, file)
            except ImageError as error:
                # In folders, many files have one name.
                raise ImageError(f"'{image}' cannot be shown: {error}") from error
    except BaseException:
        folder.cleanup()
        raise
    app.audit.record("fetch", image=image)
    sent = BackgroundTask(folder.cleanup)
    return FileResponse(file, media_type="application/octet-stream", filename=f"{image}.nrrd", background=sent)
