"""Images on their way to the server, each sent when something is first asked of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Generator
from dataclasses import dataclass

from ..answers import Listing, Problem
from ..pixels import to_nrrd_by_steps
from ..scene import names, volumes
from .case import Case
from .context import Context
from .images import Images
from .server import Server

LONGEST_NAME = 100


@dataclass
class _Upload:
    """An image on its way, under a name once one is found that is free, and what is to be done with it there."""

    then: list[Callable[[], None]]
    name: str = ""


class Uploads:
    """Sends the image in view before the first thing that is asked of it."""

    def __init__(self, context: Context, server: Server, images: Images) -> None:
        self._context = context
        self._server = server
        self._images = images
        self._sending: dict[Case, _Upload] = {}
        self._sent: list[Callable[[], None]] = []
        context.on_give_up(self._sending.clear)

    @property
    def busy(self) -> bool:
        """Whether an image is on its way."""
        return bool(self._sending)

    def under_way(self, case: Case) -> bool:
        """Whether an image is on its way."""
        return case in self._sending

    def on_sent(self, callback: Callable[[], None]) -> None:
        """Call back whenever the server has got an image."""
        self._sent.append(callback)

    def send(self, then: Callable[[], None] = lambda: None) -> None:
        """Send the image in view to the server, if it is not there; then do something with it.

        That is held until the server has answered all corrections of the image, and given up if it fails to.
        """
        case = self._context.case
        assert case is not None
        if case.image:
            if not case.settled:
                self._context.say("This is done as soon as your last correction was followed.")
            case.once_settled(then)
        elif case in self._sending:
            self._sending[case].then.append(then)
        elif not self._server.usable:
            self._context.say("The image is not on this server yet. Ask again when the server is connected.")
        elif self._server.may_send():
            self._send(case, then)

    def _send(self, case: Case, then: Callable[[], None]) -> None:
        client, identity = self._context.client, self._context.identity
        assert client is not None
        upload = self._sending[case] = _Upload([then])
        request, name = ("send", case.volume.GetID()), names.holder(case.volume).GetName()

        def made(file: bytes | None) -> None:
            if file is None:
                del self._sending[case]
                self._context.say(f"{name} cannot be sent: its frames differ in size, or memory is short.", "problem")
                return
            # Others may have added images since: what has the same name would be replaced.
            self._context.latest.start(
                request, lambda heard: client.images(heard(lambda listing: listed(listing, file)), heard(failed))
            )

        def listed(listing: Listing, file: bytes) -> None:
            taken = {image.id for image in listing.images} | {other.name for other in self._sending.values()}
            upload.name = _free_name(name, taken)
            self._context.latest.start(
                request, lambda heard: client.send_image(upload.name, file, heard(sent), heard(failed))
            )

        def sent(image: str) -> None:
            names.remember(case.volume, image, identity)
            del self._sending[case]
            self._context.say(f"{image} is on the server now.")
            self._images.refresh()
            if not case.gone:
                for do in upload.then:
                    case.once_settled(do)
            for callback in tuple(self._sent):
                callback()

        def failed(problem: Problem) -> None:
            del self._sending[case]
            self._context.explain(problem, f"{name} was not sent. Clicks on it wait; ask again for anything else.")

        self._context.say(f"Sending {name} …")
        self._context.by_pieces(_file(case), made)


def _file(case: Case) -> Generator[None, None, bytes | None]:
    """Make the file of an image by steps; None if it cannot be made."""
    try:
        picture = yield from volumes.picture_of_by_steps(case.volume)
        return (yield from to_nrrd_by_steps(picture))
    except (MemoryError, ValueError):
        return None


def _free_name(name: str, taken: Collection[str]) -> str:
    """Return a name that is not taken, and that every server takes."""
    plain = re.sub(r"[^\w.-]+", "_", name).strip("._")[:LONGEST_NAME] or "image"
    numbered = [plain, *(f"{plain}_{number}" for number in range(2, len(taken) + 3))]
    return next(free for free in numbered if free not in taken)
