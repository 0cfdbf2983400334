"""Requests about the server itself, its images and their labels."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping
from typing import Any

import numpy as np

from .answers import Listing, Nonsense, ServerInfo
from .calls import INFO, TRANSFER, Call, Caller, Failed, quoted, told
from .multipart import File
from .pixels import Picture, from_nrrd, mask_from_nrrd_by_steps
from .transport import Reply, Ticket

Shape = tuple[int, int, int]
FINAL = "final"


class ImagesClient(Caller):
    """Asks for images, and takes labels there."""

    def info(self, done: Callable[[ServerInfo], None], failed: Failed) -> Ticket:
        """Ask what the server is."""
        return self.ask(Call("GET", "/info/", INFO), lambda reply: ServerInfo.read(told(reply)), done, failed)

    def images(self, done: Callable[[Listing], None], failed: Failed) -> Ticket:
        """Ask which images there are."""
        return self.ask(Call("GET", "/salt/images", TRANSFER), lambda reply: Listing.read(told(reply)), done, failed)

    def next_image(
        self, strategy: str, done: Callable[[str | None], None], failed: Failed, *, reopen: str = ""
    ) -> Ticket:
        """Ask for the id of an image to be labelled, or for the one to `reopen`; None: nothing is left."""

        def read(reply: Reply) -> str | None:
            sample = told(reply)
            return str(sample["id"]) if sample else None

        wish = {"reopen": reopen} if reopen else {}
        return self.ask(Call("POST", f"/activelearning/{quoted(strategy)}", TRANSFER, told=wish), read, done, failed)

    def fetch_image(self, image: str, done: Callable[[Picture], None], failed: Failed) -> Ticket:
        """Fetch an image as the server sees it."""
        call = Call("GET", f"/salt/images/{quoted(image)}", TRANSFER)
        return self.ask(call, lambda reply: from_nrrd(reply.body), done, failed)

    def fetch_label(
        self,
        image: str,
        done: Callable[[np.ndarray | None], None],
        failed: Failed,
        *,
        shape: Shape,
        tag: str = FINAL,
    ) -> Ticket:
        """Fetch the label of an image of that shape (frames, rows, columns); None if it has none."""

        def read(reply: Reply) -> Generator[None, None, np.ndarray | None]:
            return None if reply.status == 404 else (yield from checked_mask(reply.body, shape))

        call = Call("GET", "/datastore/label", TRANSFER, {"label": image, "tag": tag})
        return self.ask(call, read, done, failed, also=(404,))

    def send_image(self, image: str, file: bytes, done: Callable[[str], None], failed: Failed) -> Ticket:
        """Add an image, given its NRRD file, to those of the server; the answer is its id there."""
        form = {"file": ("image.nrrd", file)}
        call = Call("PUT", "/datastore/image", TRANSFER, {"image": image}, form)
        return self.ask(call, lambda reply: str(told(reply)["image"]), done, failed)

    def submit(
        self,
        image: str,
        label: bytes,
        labels: Mapping[str, int],
        done: Callable[[None], None],
        failed: Failed,
        *,
        params: Mapping[str, Any] | None = None,
    ) -> Ticket:
        """Hand in the final label of an image.

        Parameters
        ----------
        image : str
        label : bytes
            The file of its mask.
        labels : mapping of str to int
            Which value of the mask is which label.
        done, failed : callable
        params : mapping, optional
            What else is to be known about the label.
        """
        names = [{"name": name, "idx": value} for name, value in labels.items()]
        known = json.dumps({**(params or {}), "label_info": names})
        form: dict[str, str | File] = {"params": known, "label": ("label.nrrd", label)}
        call = Call("PUT", "/datastore/label", TRANSFER, {"image": image, "tag": FINAL}, form)
        return self.ask(call, lambda reply: None, done, failed)


def checked_mask(file: bytes, shape: Shape) -> Generator[None, None, np.ndarray]:
    """Read the mask in a file by steps; raises `Nonsense` if it has another shape."""
    mask = yield from mask_from_nrrd_by_steps(file)
    if mask.shape != shape:
        sizes = (" x ".join(map(str, size)) for size in (mask.shape, shape))
        raise Nonsense("the mask has {} pixels and its image {} (frames x rows x columns)".format(*sizes))
    return mask
