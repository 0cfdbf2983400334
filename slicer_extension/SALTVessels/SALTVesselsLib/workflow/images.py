"""Which image is in view: the next one from the server, one that is opened again, or one of the scene."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
import slicer

from ..answers import ImageState, Listing, Problem
from ..pixels import Picture
from ..scene import names, runs, volumes
from ..scene.browsing import place
from .case import Case
from .context import Context
from .server import Server
from .view import View, images

# What the server's ways to choose are called here; others keep their names.
STRATEGIES = {
    "uncertain": "Most to learn from",
    "random_foreground": "Much vessel first",
    "random": "At random",
    "first": "By name",
}
# An image whose frames follow each other in time says when they were taken.
TIMES = "frame_times_ms"
_REQUEST = "image"


class Images:
    """The images of the server and of the scene.

    Attributes
    ----------
    listed : tuple of ImageState
        All images of the server, as far as is known.
    two_planes : bool
        Whether an image that is opened is shown beside the one in view: the other plane of a biplane run.
    """

    def __init__(self, context: Context, server: Server) -> None:
        self._context = context
        self._cases: dict[str, Case] = {}
        self.view = View(self.choose, context.around.later)
        self.listed: tuple[ImageState, ...] = ()
        self._fetching = False
        self.two_planes = False
        context.on_give_up(self._give_up)
        server.on_connected(self.refresh)
        server.on_connected(self.restore)

    @property
    def busy(self) -> bool:
        """Whether an image is on its way here."""
        return self._fetching

    @property
    def done(self) -> int:
        """How many images have a finished outline."""
        return sum(image.done for image in self.listed)

    @property
    def strategies(self) -> dict[str, str]:
        """The server's ways to choose the next image, and what they are called here."""
        names = self._context.info.strategies if self._context.info else ()
        known = [name for name in STRATEGIES if name in names]
        return {name: STRATEGIES.get(name, name) for name in [*known, *(n for n in names if n not in known)]}

    @property
    def volumes(self) -> list[slicer.vtkMRMLVolumeNode]:
        """Images of the scene that can be worked on."""
        return images()

    def refresh(self) -> None:
        """Ask again which images there are."""
        client = self._context.client
        assert client is not None

        def known(listing: Listing) -> None:
            self.listed = listing.images
            self._context.changed()

        self._context.latest.start("images", lambda heard: client.images(heard(known), heard(self._context.explain)))

    def next(self, strategy: str) -> None:
        """Bring the image the server would have outlined next."""
        client = self._context.client
        assert client is not None

        def known(image: str | None) -> None:
            if image is None:
                self._end("All images are done, or others have them. Open a finished one, or send another.")
            else:
                self._fetch(image)

        self._begin("Asking for the next image …")
        self._context.latest.start(
            _REQUEST, lambda heard: client.next_image(strategy, heard(known), heard(self._failed))
        )

    def open(self, image: str) -> None:
        """Bring a certain image; a finished one comes with its outline."""
        client, strategies = self._context.client, list(self.strategies)
        assert client is not None
        self._begin(f"Opening {image} …")
        self._context.latest.start(
            _REQUEST,
            lambda heard: client.next_image(
                strategies[0], heard(lambda _: self._fetch(image)), heard(self._failed), reopen=image
            ),
        )

    def choose(self, volume: slicer.vtkMRMLVolumeNode) -> None:
        """Work on an image of the scene."""
        self._show(volume)
        where = place(volume)
        if where is not None:
            self._context.around.show_frames(where.browser)
        case = self.case_of(volume)
        if case is None:
            self._context.say("Connect to a server first: it says what can be outlined.")
            return
        self._context.case = case
        parameters = self._context.parameters
        parameters.image, parameters.outlines = volume, case.outlines.node
        self._context.changed()

    def case_of(self, volume: slicer.vtkMRMLVolumeNode) -> Case | None:
        """Return an image of the scene with its outlines; None while no server has said what can be outlined."""
        case = self._cases.get(volume.GetID())
        labels = self._context.info.labels if self._context.info else case.labels if case else ()
        if case is not None and case.labels != labels:
            # Another server has other labels.
            case.close()
            case = None
        if case is None and labels:
            context = self._context
            case = Case(volume, labels, context.parameters, lambda: context.identity, context.changed)
            self._cases[volume.GetID()] = case
        return case

    def restore(self) -> None:
        """Take up the image that was worked on when the scene was saved, or else the one in view."""
        self.view.watch()
        volume = self._context.parameters.image or self.view.image
        if volume is not None and self._context.info is not None:
            self.choose(volume)

    def forget(self) -> None:
        """Let go of everything in the scene: it is being closed."""
        self.view.leave()
        for case in self._cases.values():
            case.close()
        self._cases.clear()
        self._context.case = None

    def let_go(self) -> None:
        """Let go of images that were deleted from the scene."""
        for name, case in list(self._cases.items()):
            # To close one removes a node of its own, of which we are told before that has ended.
            if case.gone and self._cases.pop(name, None) is not None:
                if self._context.case is case:
                    self._context.case = None
                case.close()
        self._context.changed()

    def _give_up(self) -> None:
        self._fetching = False
        for case in self._cases.values():
            case.let_go_of_held()

    def _volume_of(self, image: str) -> slicer.vtkMRMLVolumeNode | None:
        identity = self._context.identity
        return next((node for node in self.volumes if names.image_of(node, identity) == image), None)

    def _fetch(self, image: str) -> None:
        known = self._volume_of(image)
        if known is not None:
            self._ready(image, known)
            return
        client = self._context.client
        assert client is not None
        self._context.latest.start(
            _REQUEST,
            lambda heard: client.fetch_image(
                image, heard(lambda picture: self._add(image, picture)), heard(self._failed)
            ),
        )

    def _add(self, image: str, picture: Picture) -> None:
        self._context.by_pieces(self._added(image, picture), lambda volume: self._ready(image, volume))

    def _added(self, image: str, picture: Picture) -> Generator[Any, None, slicer.vtkMRMLVolumeNode]:
        """Add an image with its outlines and show it; each step of that takes its time."""
        identity = self._context.identity
        if TIMES in picture.facts:
            run = yield from runs.add_by_steps(picture, image, identity, self._beside())
            volume = run.volume
        else:
            volume = volumes.add(picture, image, identity)
        yield
        self._show(volume)
        yield
        self.case_of(volume)
        yield
        self.choose(volume)
        yield
        return volume

    def _show(self, volume: slicer.vtkMRMLVolumeNode) -> None:
        self.view.show(volume, self._beside())

    def _beside(self) -> slicer.vtkMRMLVolumeNode | None:
        """Return the image in view, if another is to be shown beside it."""
        before = self._context.case
        return before.volume if before and self.two_planes and not before.gone else None

    def _ready(self, image: str, volume: slicer.vtkMRMLVolumeNode) -> None:
        if self._context.case is None or self._context.case.volume is not volume:
            self.choose(volume)
        case, client = self._context.case, self._context.client
        assert case is not None
        assert client is not None
        self.refresh()

        def labelled(mask: np.ndarray | None) -> None:
            # What lies in the scene is newer than what was submitted.
            if mask is None or case.gone or not case.empty:
                self._end(f"{image} is in view.")
                return
            self._context.by_pieces(_put(case, mask), lambda _: self._end(f"{image} is in view, as it was submitted."))

        if not case.empty:
            labelled(None)
            return
        self._context.latest.start(
            _REQUEST,
            lambda heard: client.fetch_label(image, heard(labelled), heard(self._failed), shape=case.shape),
        )

    def _begin(self, words: str) -> None:
        self._fetching = True
        self._context.say(words)

    def _end(self, words: str) -> None:
        self._fetching = False
        self._context.say(words)

    def _failed(self, problem: Problem) -> None:
        self._fetching = False
        self._context.explain(problem)


def _put(case: Case, mask: np.ndarray) -> Generator[None, None, None]:
    """Put a label map into the scene, frame by frame; what is drawn meanwhile stays."""
    begun = case.now
    for value, label in enumerate(case.labels, start=1):
        for frame in range(len(mask)):
            if case.gone:
                return
            found = mask[frame] == value
            if found.any() and not case.changed_since(begun, label, frame):
                case.outlined(label, frame, found)
            yield
