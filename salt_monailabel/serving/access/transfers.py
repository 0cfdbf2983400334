"""Images and labels that are added, removed and downloaded by MONAI Label's routes, for the audit log."""

from __future__ import annotations

import json
from urllib.parse import parse_qs

from starlette.types import Message, Scope, Send

from .audit import AuditLog

ADD = "add image"
# What each request does, and which part of its query names the image.
_TRANSFERS = {
    ("PUT", "/datastore/image"): (ADD, "image"),
    ("PUT", "/datastore/"): (ADD, "image"),
    ("DELETE", "/datastore/image"): ("remove image", "id"),
    ("DELETE", "/datastore/"): ("remove image", "id"),
    ("DELETE", "/datastore/label"): ("remove label", "id"),
    ("GET", "/datastore/image"): ("download image", "image"),
    ("GET", "/datastore/label"): ("download label", "label"),
    ("GET", "/datastore/dataset"): ("download dataset", ""),
}


def recorded(scope: Scope, send: Send, audit: AuditLog) -> Send:
    """Return what sends the answer to a request, and records an image or a label that goes in or out with it."""
    transfer = _TRANSFERS.get((scope["method"], scope["path"]))
    if transfer is None:
        return send
    action, name = transfer
    query = parse_qs(scope["query_string"].decode("latin-1"))
    succeeded = False

    async def noting(message: Message) -> None:
        nonlocal succeeded
        if message["type"] == "http.response.start":
            succeeded = message["status"] < 300
        elif succeeded:
            # Before it is sent: whoever hangs up early has much of an image all the same.
            succeeded = False
            # An image without a name gets that of its file, which only the answer says.
            image = json.loads(message["body"])["image"] if action == ADD else query.get(name, [None])[-1]
            facts = {"tag": query["tag"][-1]} if "tag" in query else {}
            audit.record(action, image=image, **facts)
        await send(message)

    return noting
