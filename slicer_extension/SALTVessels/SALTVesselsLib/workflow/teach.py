"""Submitting outlines, learning from them, and choosing among what was learned."""

from __future__ import annotations

import hashlib
from functools import partial

from ..answers import Problem, TrainingEvent, Versions
from ..scene.charts import Curve
from .case import Case
from .context import Context
from .images import Images
from .server import Server
from .words import BASE, called, words_of

_NOTHING = "There is nothing to submit: outline the vessels first."


class Teach:
    """The section *Teach*.

    Attributes
    ----------
    learning : bool
    share : float
        How far learning is, 0 to 1.
    result : str
        What came of the last learning, in words.
    versions : Versions
        As far as is known.
    """

    def __init__(self, context: Context, server: Server, images: Images) -> None:
        self._context = context
        self._server = server
        self._images = images
        self.learning = False
        self.share = 0.0
        self.result = ""
        self.versions = Versions(BASE, ())
        self._curve: Curve | None = None
        context.on_give_up(self._give_up)
        server.on_connected(self._server_is_there)

    @property
    def waiting(self) -> list[str]:
        """Images whose outlines were submitted but could not be sent."""
        return [unsent.image for unsent in self._context.parameters.unsent]

    @property
    def curve(self) -> Curve:
        """The plot of loss and Dice, made when it is first needed."""
        if self._curve is None:
            self._curve = Curve("Learning", "step", "loss", "Dice")
        return self._curve

    def submit(self, learn: bool = False) -> None:
        """Send the outline in view as finished, and have the model learn from it."""
        case = self._context.case
        if case is None:
            self._context.say("There is no image in view.")
        elif case.settled and case.empty:
            self._context.say(_NOTHING)
        else:
            self._images.send(lambda: self._submit(case, learn))

    def send_waiting(self) -> None:
        """Send the outlines that wait, as they were submitted."""
        for image in self.waiting:
            case = self._images.case_of(image)
            if case is not None:
                case.once_settled(partial(self._send_again, case))

    def stop(self) -> None:
        """Stop learning."""
        client = self._context.client
        if client is not None and self.learning:
            client.stop_training(lambda _: None, self._failed)

    def use(self, version: str) -> None:
        """Have outlines come from a version from now on."""
        client = self._context.client
        assert client is not None
        client.promote(version, self._in_use, self._failed)

    def roll_back(self) -> None:
        """Put the version before back in use."""
        client = self._context.client
        assert client is not None
        client.roll_back(self._in_use, self._failed)

    def forget(self) -> None:
        """Let go of everything in the scene."""
        self._curve = None

    def resume(self) -> None:
        """Follow again what goes on at the server."""
        self._follow(quietly=True)

    def _give_up(self) -> None:
        self.learning, self.share = False, 0.0

    def _server_is_there(self) -> None:
        self._refresh()
        self.send_waiting()
        self.resume()

    def _submit(self, case: Case, learn: bool) -> None:
        if self._context.client is None or not self._server.may_send():
            return
        if case.empty:
            self._context.say(_NOTHING)
            return
        self._context.say(f"Submitting {case.image} …")
        self._context.by_pieces(case.label_by_steps(), lambda label: self._send(case, label, learn))

    def _send_again(self, case: Case) -> None:
        image = case.image

        def send(label: bytes) -> None:
            if self._context.parameters.node.GetParameter(_submitted(image)) == _digest(label):
                self._send(case, label, learn=False)
            else:
                self._context.say(f"{image} was changed since it was submitted; it waits until you submit it again.")

        if self._server.may_send():
            self._context.by_pieces(case.label_by_steps(), send)

    def _send(self, case: Case, label: bytes, learn: bool) -> None:
        client, image = self._context.client, case.image
        assert client is not None
        parameters = self._context.parameters
        labels = {name: value for value, name in enumerate(case.labels, start=1)}

        def sent(_: None) -> None:
            parameters.sent(case.outlines.node)
            parameters.node.UnsetParameter(_submitted(image))
            self._context.say(f"The outline of {image} was submitted.")
            self._images.refresh()
            if learn:
                self._learn()

        def failed(problem: Problem) -> None:
            if problem.lost or problem.kind == "token":
                parameters.keep(case.outlines.node)
                parameters.node.SetParameter(_submitted(image), _digest(label))
                self._context.explain(problem, f"The outline of {image} is kept, and sent when the server is back.")
            else:
                self._context.explain(problem, f"The outline of {image} is still in Slicer.")

        self._context.latest.start(
            ("submit", image), lambda heard: client.submit(image, label, labels, heard(sent), heard(failed))
        )

    def _learn(self) -> None:
        client = self._context.client
        assert client is not None
        self._context.latest.start(
            "train", lambda heard: client.train({}, heard(lambda _: self._follow()), heard(self._failed))
        )

    def _follow(self, quietly: bool = False) -> None:
        """Follow a training from its beginning; one that was begun elsewhere or before too."""
        client = self._context.client
        assert client is not None
        self.share = 0.0

        def event(told: TrainingEvent) -> None:
            if not told.ends:
                if not self.learning:
                    self.learning = True
                    self.curve.reset()
                self.share = told.share
                self.result = f"Learning: step {told.step}, {100 * told.share:.0f} % of the time."
                self.curve.add(told.step, told.loss, told.dice)
                self._context.changed()
            else:
                self._ended(told, quietly)

        def failed(problem: Problem) -> None:
            # Nothing was ever learned.
            if quietly and problem.kind == "refused":
                return
            self.learning = False
            self._context.explain(problem, "The server goes on learning; the result is shown when it is back.")

        self._context.latest.start(
            "events", lambda heard: client.follow_training(heard(event), heard(lambda _: None), heard(failed))
        )

    def _ended(self, event: TrainingEvent, quietly: bool) -> None:
        self.learning, self.share = False, 0.0
        self.result = words_of(event)
        if quietly:
            self._context.changed()
        else:
            self._context.say("Learning is done." if event.kind == "done" else self.result)
        self._refresh()

    def _refresh(self) -> None:
        client = self._context.client
        assert client is not None

        def known(versions: Versions) -> None:
            self.versions = versions
            self._context.changed()

        self._context.latest.start("versions", lambda heard: client.versions(heard(known), heard(self._failed)))

    def _in_use(self, version: str) -> None:
        self._context.say(f"Outlines come from {called(version)} now. Press Vessels to see what it draws.")
        self._refresh()

    def _failed(self, problem: Problem) -> None:
        self._context.explain(problem)


def _submitted(image: str) -> str:
    """Return where it is written down what was submitted of an image and waits to be sent."""
    return f"submitted {image}"


def _digest(label: bytes) -> str:
    return hashlib.sha256(label).hexdigest()
