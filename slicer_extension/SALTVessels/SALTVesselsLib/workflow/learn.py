"""Following what the model learns, and choosing among the versions that come of it."""

from __future__ import annotations

from collections.abc import Callable

from ..answers import Problem, TrainingEvent, Versions
from ..calls import Failed
from ..scene.charts import Curve
from ..transport import Ticket
from .context import Context
from .server import Server
from .words import BASE, called, words_of

# Seconds after which a training is followed again that is not heard of any more.
AGAIN = 30.0


class Learn:
    """The section *Teach*, as far as the model learns.

    Attributes
    ----------
    learning : bool
    choosing : bool
        Whether a version is being put in use.
    share : float
        How far learning is, 0 to 1.
    result : str
        What came of the last learning, in words.
    versions : Versions
        As far as is known.
    """

    def __init__(self, context: Context, server: Server) -> None:
        self._context = context
        self._server = server
        self.learning = self.choosing = False
        self.share = 0.0
        self.result = ""
        self.versions = Versions(BASE, ())
        self._curve: Curve | None = None
        self._following: object = None
        context.on_give_up(self._give_up)
        server.on_connected(self._refresh)
        server.on_connected(self.resume)

    @property
    def curve(self) -> Curve:
        """The plot of loss and Dice, made when it is first needed."""
        if self._curve is None:
            self._curve = Curve("Learning", "step", "loss", "Dice")
        return self._curve

    def start(self) -> None:
        """Have the model learn from what was submitted."""
        client = self._context.client
        assert client is not None
        self._context.latest.start(
            "train", lambda heard: client.train({}, heard(lambda _: self._follow()), heard(self._failed))
        )

    def stop(self) -> None:
        """Stop learning."""
        client = self._context.client
        if client is not None and self.learning:
            client.stop_training(lambda _: None, self._failed)

    def use(self, version: str) -> None:
        """Have outlines come from a version from now on."""
        client = self._context.client
        assert client is not None
        self._choose(lambda done, failed: client.promote(version, done, failed))

    def roll_back(self) -> None:
        """Put the version before back in use."""
        client = self._context.client
        assert client is not None
        self._choose(client.roll_back)

    def forget(self) -> None:
        """Let go of everything in the scene."""
        self._curve = None

    def resume(self) -> None:
        """Follow again what goes on at the server."""
        self._follow(quietly=True)

    def _give_up(self) -> None:
        self.learning = self.choosing = False
        self.share, self._following = 0.0, None

    def _follow(self, quietly: bool = False) -> None:
        """Follow a training from its beginning; one that was begun elsewhere or before too."""
        client = self._context.client
        assert client is not None
        following = self._following = object()
        begun = False

        def event(told: TrainingEvent) -> None:
            nonlocal begun
            if not told.ends:
                if not begun:
                    begun = self.learning = True
                    self.curve.reset()
                self.share = told.share
                self.result = f"Learning: step {told.step}, {100 * told.share:.0f} % of the time."
                self.curve.add(told.step, told.loss, told.dice)
                self._context.changed()
            else:
                self._ended(told, quietly)

        def again() -> None:
            if self._following is following and self._server.usable:
                self._follow(quietly)

        def failed(problem: Problem) -> None:
            if problem.lost:
                self._context.around.later(AGAIN, again)
                self._context.explain(
                    problem, "The server goes on learning; the result is shown once it answers again."
                )
            elif self.learning:
                self.learning, self.share, self.result = False, 0.0, ""
                self._context.explain(problem)
            # Otherwise nothing was ever learned.
            elif not (quietly and problem.kind == "refused"):
                self._context.explain(problem)

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

    def _choose(self, send: Callable[[Callable[[str], None], Failed], Ticket]) -> None:
        """Put a version in use, one at a time: of two requests the server may take the second first."""
        if self.choosing:
            return
        self.choosing = True

        def in_use(version: str) -> None:
            self.choosing = False
            self._context.say(f"Outlines come from {called(version)} now. Press Vessels to see what it draws.")
            self._refresh()

        def failed(problem: Problem) -> None:
            self.choosing = False
            self._failed(problem)

        self._context.latest.start("in use", lambda heard: send(heard(in_use), heard(failed)))
        self._context.changed()

    def _failed(self, problem: Problem) -> None:
        self._context.explain(problem)
