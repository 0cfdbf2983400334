"""Who may do what on a server: the gate that each request passes before the app sees it."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from ipaddress import IPv6Address, ip_address

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .audit import LOCAL, UNKNOWN, AuditLog, current_user
from .refusals import LONGEST_PATH, Refusals
from .tokens import Role, TokenError, TokenFile, current_role
from .transfers import recorded

logger = logging.getLogger(__name__)

MEGABYTE = 1_000_000
# Where a viewer asks whether it has to log in, and logs in.
OPEN = (("GET", "/auth/"), ("POST", "/auth/token"))
# Bytes that a stranger's login may have.
LARGEST_LOGIN = 10_000
READING = ("GET", "HEAD", "OPTIONS")
WRITING = ("POST", "PUT", "DELETE")
# What a proxy adds to a request of another computer that it hands on.
PROXIED = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
_JOB = re.compile(r"/salt/jobs/[^/]+")
_ORIGIN = re.compile(r"https?://[^/\s*@]+")


class Access:
    """ASGI middleware that refuses what a request may not do.

    The audit log says what was refused, and which images and labels were added, removed and downloaded.

    Parameters
    ----------
    app : ASGIApp
    tokens : TokenFile
    audit : AuditLog
    always : bool
        Whether a token is needed on this computer, too.
    origins : sequence of str
        Web pages that may use the server from a browser, such as "https://viewer.hospital.org"; none but its own
        otherwise.
    largest_upload : int
        Bytes that the body of a request may have.

    Raises
    ------
    ValueError
        For an origin that is none.
    """

    def __init__(
        self,
        app: ASGIApp,
        tokens: TokenFile,
        audit: AuditLog,
        always: bool,
        origins: Sequence[str],
        largest_upload: int,
    ) -> None:
        self.app = app
        self.tokens = tokens
        self.audit = audit
        self.always = always
        self.origins = frozenset(_checked_origin(origin) for origin in origins)
        self.largest_upload = largest_upload
        self._refusals = Refusals(audit)
        # Around what asks for a token: a preflight bears none, and a page is to read why its request was refused.
        self._shared = CORSMiddleware(
            self._authorized,
            allow_origins=self.origins,
            allow_methods=(*READING, *WRITING),
            allow_headers=("Authorization",),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with its refusal."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            self._refusals.settle(pause=0)
            return
        if scope["type"] != "http":
            # Nothing of the app speaks another protocol, and a browser opens WebSockets to any origin.
            await send({"type": "websocket.close", "code": 1008})
            return
        self._refusals.settle()
        user, role = current_user.set(UNKNOWN), current_role.set(Role.READER)
        try:
            self._check_page(scope)
        except HTTPException as refusal:
            await self._refuse(refusal, scope, receive, send)
        else:
            await self._shared(scope, receive, send)
        finally:
            current_user.reset(user)
            current_role.reset(role)

    def _check_page(self, scope: Scope) -> None:
        """Refuse what a web page of others makes a browser on this computer send."""
        headers = Headers(scope=scope)
        host, origin = headers.get("host", "").lower(), headers.get("origin")
        if not needs_token(scope, self.always) and not is_loopback(_without_port(host)):
            # A page can have its own name resolve to this computer: to the browser, both are then one site.
            raise HTTPException(
                403, f"the request is for '{host}'; without a token this server answers to localhost and 127.0.0.1 only"
            )
        if origin is not None and origin not in self.origins and not _names(origin, host):
            raise HTTPException(403, f"pages of {origin} may not use this server; allow them with --conf origins")

    async def _authorized(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what comes from somebody who may ask for it."""
        try:
            name, role = self._bearer(scope)
            current_user.set(name)
            current_role.set(role)
            needed = role_needed(scope["method"], scope["path"])
            if role < needed:
                asked = f"{scope['method']} {scope['path'][:LONGEST_PATH]}"
                raise HTTPException(403, f"{asked} needs the role {needed.value}; the token of {name} has {role.value}")
            limit = min(LARGEST_LOGIN, self.largest_upload) if name == UNKNOWN else self.largest_upload
            if _declared(Headers(scope=scope)) > limit:
                raise _too_large(limit)
        except HTTPException as refusal:
            await self._refuse(refusal, scope, receive, send)
        else:
            await self._limited(limit, scope, receive, recorded(scope, send, self.audit))

    async def _limited(self, limit: int, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on until its body is too large: whatever its headers say, what arrives is what counts."""
        received, over, started, refused = 0, False, False, False

        async def counted() -> Message:
            nonlocal received, over, refused
            if not over:
                message = await receive()
                received += len(message.get("body", b""))
                over = received > limit
                if not over:
                    return message
                if not started:
                    refused = True
                    await self._refuse(_too_large(limit), scope, receive, send)
            # To the app, the client has hung up: it gives up what it has read so far.
            return {"type": "http.disconnect"}

        async def first(message: Message) -> None:
            nonlocal started
            if not refused:
                started = True
                await send(message)

        try:
            await self.app(scope, counted, first)
        except Exception:
            # What the app makes of a body that ends early is no news: the answer is given.
            if not refused:
                raise

    def _bearer(self, scope: Scope) -> tuple[str, Role]:
        given = Headers(scope=scope).get("authorization")
        if given is None:
            if (scope["method"], scope["path"]) in OPEN:
                return UNKNOWN, Role.TRAINER
            if needs_token(scope, self.always):
                raise _unauthorized(
                    "this server needs a token (`Authorization: Bearer TOKEN`); whoever runs it makes one with "
                    "`salt tokens add`"
                )
            return LOCAL, Role.TRAINER
        scheme, _, token = given.partition(" ")
        try:
            holder = self.tokens.find(token.strip()) if scheme.lower() == "bearer" else None
        except TokenError as error:
            raise unread_tokens(error) from error
        if holder is None:
            raise _unauthorized("the token is wrong, revoked or expired; ask whoever runs the server for a new one")
        return holder.name, holder.role

    async def _refuse(self, refusal: HTTPException, scope: Scope, receive: Receive, send: Send) -> None:
        self._refusals.add(scope, refusal.status_code)
        answer = JSONResponse({"detail": refusal.detail}, refusal.status_code, refusal.headers)
        await answer(scope, receive, send)


def role_needed(method: str, path: str) -> Role:
    """Return the lowest role that may send such a request; what is not known here is for trainers."""
    area, _, rest = path.lstrip("/").partition("/")
    # The log names images and folders.
    if area == "logs":
        return Role.TRAINER
    # All images and labels in one file are more than one who looks at some is to take away.
    if area == "datastore" and rest.startswith("dataset"):
        return Role.ANNOTATOR
    # An original may be the only one there is.
    if area == "datastore" and method == "DELETE" and rest != "label":
        return Role.TRAINER
    # Whoever may ask for a segmentation may stop it.
    if method in READING or (method == "POST" and area in ("infer", "auth")) or _JOB.fullmatch(path):
        return Role.READER
    if method in WRITING and area in ("datastore", "activelearning", "session"):
        return Role.ANNOTATOR
    return Role.TRAINER


def needs_token(scope: Scope, always: bool) -> bool:
    """Say whether a request must bring a token.

    What a proxy on this computer hands on looks as if it came from here, unless it says whom it speaks for: behind one,
    all must.
    """
    return always or not came_from_here(scope)


def came_from_here(scope: Scope) -> bool:
    """Say whether a request came in on a loopback address, and not through a proxy that says so.

    A Unix socket and the name "testserver" of Starlette's test client are no loopback address: give the client
    `base_url="http://localhost"` to be local.
    """
    headers = Headers(scope=scope)
    address, _ = scope.get("server") or ("", None)
    return is_loopback(address) and not any(name in headers for name in PROXIED)


def is_loopback(host: str) -> bool:
    """Say whether a name or address, without port or brackets, can only mean this computer."""
    if host == "localhost":
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    # A socket for both families writes 127.0.0.1 as ::ffff:127.0.0.1.
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


def _without_port(host: str) -> str:
    bracketed = re.fullmatch(r"\[(.*)\](:\d*)?", host)
    return bracketed[1] if bracketed else re.sub(r":\d*$", "", host)


def _names(origin: str, host: str) -> bool:
    return origin.lower() in (f"http://{host}", f"https://{host}")


def _checked_origin(origin: str) -> str:
    tidy = origin.strip().rstrip("/").lower()
    if not _ORIGIN.fullmatch(tidy):
        raise ValueError(f"'{origin}' is no origin of pages; name each, such as https://viewer.hospital.org:3000")
    return tidy


def _declared(headers: Headers) -> int:
    """Return the Content-Length; 0 for none and for nonsense, as what arrives is counted."""
    text = headers.get("content-length", "")
    # More digits are no size of anything, and Python does not read them.
    return int(text[:20]) if text.isdecimal() else 0


def unread_tokens(error: Exception) -> HTTPException:
    """Return what a stranger is told where the tokens cannot be read: where their file lies is for the log alone."""
    logger.error("nobody with a token can be let in: %s", error)
    return HTTPException(503, "the server cannot read its tokens; its log says why")


def _unauthorized(detail: str) -> HTTPException:
    return HTTPException(401, detail, {"WWW-Authenticate": "Bearer"})


def _too_large(limit: int) -> HTTPException:
    shown = f"{limit / MEGABYTE:g} MB"
    return HTTPException(413, f"the upload is larger than {shown}; start the server with a higher --conf upload_mb")
