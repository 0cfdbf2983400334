"""All sections of the panel, wired to each other."""

from __future__ import annotations

from ..parameters import Parameters
from .context import Context, Surroundings
from .correct import Correct
from .images import Images
from .learn import Learn
from .local import Launcher, LocalServer
from .measure import Measure
from .segment import Segment
from .server import Server
from .teach import Teach
from .tools import Editor, Mouse, Tools
from .uploads import Uploads


class Panel:
    """What the panel does; each attribute is one of its sections.

    Parameters
    ----------
    surroundings : Surroundings
    launcher : Launcher
    mouse : Mouse
    editor : Editor
    """

    def __init__(self, surroundings: Surroundings, launcher: Launcher, mouse: Mouse, editor: Editor) -> None:
        self.context = Context(surroundings)
        self.server = Server(self.context)
        self.local = LocalServer(self.context, self.server, launcher)
        self.images = Images(self.context, self.server)
        self.uploads = Uploads(self.context, self.server, self.images)
        self.segment = Segment(self.context, self.server, self.uploads)
        self.correct = Correct(self.context, self.server, self.images, self.uploads, self.segment)
        self.learn = Learn(self.context, self.server)
        self.teach = Teach(self.context, self.server, self.images, self.uploads, self.learn)
        self.measure = Measure(self.context, self.server, self.uploads, self.segment)
        self.tools = Tools(self.context, self.images, self.segment, self.correct, self.measure, mouse, editor)

    @property
    def parameters(self) -> Parameters:
        """What is saved with the scene."""
        return self.context.parameters

    def enter(self) -> None:
        """Follow what Slicer shows: the module is in view."""
        self.images.view.come_into_sight()

    def leave(self) -> None:
        """Lay the tool down and let others show what they like: another module is in view."""
        self.tools.take("")
        self.images.view.go_out_of_sight()

    def scene_closes(self) -> None:
        """Let go of the scene before it is emptied."""
        self.context.give_up()
        for section in (self.tools, self.correct, self.learn, self.measure, self.images):
            section.forget()

    def scene_opened(self) -> None:
        """Take up what a new or restored scene holds."""
        self.context.parameters = Parameters()
        self.images.restore()
        if self.server.usable:
            self.correct.resume()
            self.learn.resume()
        self.context.changed()

    def close(self) -> None:
        """End everything: the module is unloaded, or the application ends."""
        self.scene_closes()
        self.server.disconnect()
        self.local.stop()
