"""`/auth` as MONAI Label's Slicer panel asks it for a login: the password is the token."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, HTTPException, Request

from .gate import needs_token
from .tokens import TokenFile


def login_routes(tokens: TokenFile, always: bool) -> APIRouter:
    """Return the routes, which everybody may ask."""
    router = APIRouter(prefix="/auth", tags=["Login"])

    @router.get("/", summary="Find out whether a token is needed")
    def enabled(request: Request) -> dict[str, object]:
        return {"enabled": needs_token(request.scope, always), "client_id": "salt", "realm": ""}

    @router.post("/token", summary="Log in: any user name, and the token as the password")
    def log_in(password: Annotated[str, Form()]) -> dict[str, str]:
        if tokens.find(password.strip()) is None:
            raise HTTPException(401, "the token is wrong, revoked or expired", {"WWW-Authenticate": "Bearer"})
        return {"access_token": password.strip(), "token_type": "bearer"}

    return router
