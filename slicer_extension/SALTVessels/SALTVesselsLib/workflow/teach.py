"""Submitting outlines, and having the model learn from them.

An outline that could not be sent waits for the server it was submitted to. There is no copy of it: the outline is the
one in the scene, saved with that, and what is sent in the end is always the newest. It is sent by itself if it is what
was submitted; one that was changed since may be half done, so it waits until the user submits it again.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from functools import partial

from ..answers import Problem
from ..parameters import Unsent
from ..scene import nodes
from .case import Case
from .context import Context
from .images import Images
from .learn import Learn
from .server import Server
from .uploads import Uploads
from .words import waiting_words

# Seconds after which an outline is sent again that a server did not take although it is there.
AGAIN = 30.0
_NOTHING = "There is nothing to submit: outline the vessels first."


class Teach:
    """The section *Teach*, as far as outlines are sent."""

    def __init__(self, context: Context, server: Server, images: Images, uploads: Uploads, learn: Learn) -> None:
        self._context = context
        self._server = server
        self._images = images
        self._uploads = uploads
        self._learn = learn
        # What was submitted and not answered: to which server, the digest, and whether to learn from it.
        self._underway: dict[Case, tuple[str, str, bool]] = {}
        self._to_learn = False
        self._retrying = False
        context.on_give_up(self._give_up)
        server.on_connected(self.send_waiting)

    @property
    def waiting(self) -> list[str]:
        """Images whose outlines were submitted but could not be sent, to whichever server."""
        return [unsent.image for unsent in self._context.parameters.unsent]

    @property
    def waiting_here(self) -> list[Unsent]:
        """What of it is for the server connected to."""
        return [unsent for unsent in self._context.parameters.unsent if unsent.identity in ("", self._context.identity)]

    @property
    def waiting_words(self) -> str:
        """What waits, and for which server, in words."""
        here = self.waiting_here
        elsewhere = Counter(self._called(u.identity) for u in self._context.parameters.unsent if u not in here)
        return waiting_words(len(here), elsewhere)

    def submit(self, learn: bool = False) -> None:
        """Send the outline in view as finished, and have the model learn from it."""
        case = self._context.case
        if case is None:
            self._context.say("There is no image in view.")
        elif case.settled and case.empty:
            self._context.say(_NOTHING)
        else:
            self._uploads.send(lambda: self._submit(case, learn))

    def send_waiting(self) -> None:
        """Send the outlines that wait for this server, those that are still as they were submitted."""
        for unsent in self.waiting_here:
            volume = nodes.owner(unsent.outlines)
            case = None if volume is None else self._images.case_of(volume)
            if case is not None:
                case.once_settled(partial(self._send_again, case))

    def _give_up(self) -> None:
        for case, submitted in self._underway.items():
            # Nobody knows whether the server has got it.
            self._keep(case, *submitted)
        self._underway.clear()
        self._to_learn = False

    def _submit(self, case: Case, learn: bool) -> None:
        if self._context.client is None or not self._server.may_send():
            return
        if case.empty:
            self._context.say(_NOTHING)
            return
        self._context.say(f"Submitting {case.image} …")
        self._context.by_pieces(case.label_by_steps(), lambda label: self._send(case, label, learn))

    def _send_again(self, case: Case) -> None:
        def send(label: bytes) -> None:
            submitted = [unsent for unsent in self.waiting_here if unsent.outlines is case.outlines.node]
            if _digest(label) in (unsent.digest for unsent in submitted):
                self._send(case, label, any(unsent.learn for unsent in submitted))
            elif submitted:
                self._context.say(
                    f"{case.image} was changed since it was submitted; it waits until you submit it again. Then its "
                    "newest outline is sent."
                )

        if self._server.may_send():
            self._context.by_pieces(case.label_by_steps(), send)

    def _send(self, case: Case, label: bytes, learn: bool) -> None:
        client, image, identity = self._context.client, case.image, self._context.identity
        assert client is not None
        parameters, digest = self._context.parameters, _digest(label)
        labels = {name: value for value, name in enumerate(case.labels, start=1)}
        learned = ", and the model learns from it then" if learn else ""
        kept = (
            f"The outline of {image} is kept, and sent when the server is back{learned}. If you change it before, "
            "submit it again: the newest outline is sent."
        )
        if not self._server.usable:
            self._keep(case, identity, digest, learn)
            self._context.say(kept)
            return

        def sent(_: None) -> None:
            parameters.sent(case.outlines.node, identity)
            self._context.say(f"The outline of {image} was submitted.")
            self._images.refresh()
            self._answered(case, learn)

        def failed(problem: Problem) -> None:
            self._answered(case)
            if problem.lost or problem.kind == "token":
                self._keep(case, identity, digest, learn)
                self._context.explain(problem, kept)
                self._retry_later()
            else:
                self._context.explain(problem, f"The outline of {image} is still in Slicer.")

        params = {"view": case.view} if case.view else {}
        self._underway[case] = identity, digest, learn
        self._context.latest.start(
            ("submit", case.volume.GetID()),
            lambda heard: client.submit(image, label, labels, heard(sent), heard(failed), params=params),
        )

    def _answered(self, case: Case, learn: bool = False) -> None:
        """Learn, if that is wished, once nothing more is on its way: a server does not learn twice at a time."""
        self._underway.pop(case, None)
        self._to_learn |= learn
        if self._to_learn and not self._underway:
            self._to_learn = False
            self._learn.start()

    def _retry_later(self) -> None:
        """Send again what waits, if the server is there; once it is back it is sent by itself."""

        def retry() -> None:
            self._retrying = False
            if self._server.usable:
                self.send_waiting()

        if not self._retrying:
            self._retrying = True
            self._context.around.later(AGAIN, retry)

    def _keep(self, case: Case, identity: str, digest: str, learn: bool) -> None:
        if not case.gone:
            self._context.parameters.keep(case.outlines.node, identity, digest, learn)

    def _called(self, identity: str) -> str:
        """Return what a server that something waits for is called."""
        address = self._context.parameters.address_of(identity)
        if not address:
            return "another server"
        client = self._context.client
        here = client is not None and client.address == address
        return f"the server that was at {address} before" if here else address


def _digest(label: bytes) -> str:
    return hashlib.sha256(label).hexdigest()
