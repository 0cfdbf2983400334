"""The MONAI Label app."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastapi import HTTPException
from monailabel.config import settings
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.infer_v2 import InferTask
from monailabel.interfaces.tasks.strategy import Strategy
from monailabel.interfaces.tasks.train import TrainTask
from monailabel.tasks.activelearning.first import First

from salt_monailabel.versions import VersionStore

from .datastore import VesselDatastore
from .host import ModelHost
from .infer import SaltEdit, SaltSegment
from .options import Options
from .strategies import RandomSample
from .train import SaltTrain
from .uploads import is_upload


class SaltApp(MONAILabelApp):
    """Infer tasks `salt` and `salt_edit`, trainer `salt`, strategies `random` and `first`."""

    def __init__(self, app_dir: str, studies: str, conf: dict[str, str]) -> None:
        self.options = Options.from_conf(conf)
        self.host = ModelHost(self.options, VersionStore(self.options.store(studies, app_dir)))
        super().__init__(
            app_dir=app_dir,
            studies=studies,
            conf=conf,
            name="SALT vessels",
            description="Outline vessels with a SALT-adapted Segment Anything model that learns from corrections",
            labels=list(self.options.labels),
        )

    def init_datastore(self) -> Datastore:
        """Open the studies: a folder of ours, or a remote archive as MONAI Label does."""
        if self.studies.startswith(("http://", "https://")):
            return super().init_datastore()
        reload = settings.MONAI_LABEL_DATASTORE_AUTO_RELOAD
        return VesselDatastore(self.studies, self.options.labels, auto_reload=reload)

    def init_infers(self) -> dict[str, InferTask]:
        """Offer automatic segmentation and editing."""
        return {"salt": SaltSegment(self.host), "salt_edit": SaltEdit(self.host)}

    def init_trainers(self) -> dict[str, TrainTask]:
        """Offer adapting."""
        return {"salt": SaltTrain(self.host)}

    def init_strategies(self) -> dict[str, Strategy]:
        """Offer ways to pick the next image."""
        return {"random": RandomSample(), "first": First()}

    def infer(self, request: dict[str, Any], datastore: Datastore | None = None) -> dict[str, Any]:
        """Answer 404 for a model or image there is not.

        MONAI Label itself would answer 500 without a word, and would open any file of the server's by its path.
        """
        _must_exist("model", request.get("model"), self._infers)
        image = request.get("image")
        if isinstance(image, str) and os.path.exists(image) and not (is_upload(image) or self._of_session(image)):
            known = (datastore or self.datastore()).get_image_uri(image)
            if not known:
                raise HTTPException(404, f"there is no image '{image}' in the datastore")
            # A namesake in the working directory; MONAI Label would open that.
            request = {**request, "image": known}
        return super().infer(request, datastore)

    def _of_session(self, image: str) -> bool:
        sessions = self.sessions()
        return sessions is not None and Path(image).resolve().is_relative_to(Path(sessions.store_path).resolve())

    def train(self, request: dict[str, Any]) -> dict[str, Any]:
        """Name the trainers there are if another is asked for."""
        _must_exist("trainer", request.get("model"), self._trainers)
        return super().train(request)

    def next_sample(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer 404 for a strategy there is not."""
        _must_exist("strategy", request.get("strategy") or "random", self._strategies)
        return super().next_sample(request)

    def info(self) -> dict[str, Any]:
        """Add the version in use."""
        return {**super().info(), "adapter": self.host.store.current() or "base"}


def _must_exist(kind: str, name: str | None, tasks: Mapping[str, object]) -> None:
    if name not in tasks:
        raise HTTPException(404, f"there is no {kind} '{name}'; this server has {', '.join(tasks)}")
