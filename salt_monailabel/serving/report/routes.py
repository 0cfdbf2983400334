"""`/salt/report`: how the model has learned, for anyone with a browser."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException
from fastapi.responses import HTMLResponse

from ..app import SaltApp
from ..datastore import VesselDatastore
from ..errors import explained
from .findings import report_of


def report_routes(app: SaltApp) -> APIRouter:
    """Return the route."""
    router = APIRouter(tags=["Report"])

    @router.get("/salt/report", summary="Read how the model has learned")
    def report() -> HTMLResponse:
        store = app.datastore()
        if not isinstance(store, VesselDatastore):
            raise HTTPException(404, "there is no report on a remote archive")
        with explained():
            return HTMLResponse(report_of(store, app.host, shared=False))

    return router
