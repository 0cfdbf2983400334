"""The MONAI Label app."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import HTTPException
from monailabel.config import settings
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.infer_v2 import InferTask
from monailabel.interfaces.tasks.strategy import Strategy
from monailabel.interfaces.tasks.train import TrainTask

from salt_monailabel.imaging import ImageError
from salt_monailabel.imaging.run import RunView
from salt_monailabel.inference.uncertainty import Uncertainty, assess
from salt_monailabel.versions import BASE, VersionStore

from .access.audit import AuditLog
from .access.tokens import Role, current_role
from .archive.client import is_address
from .archive.opening import open_archive
from .datastore import FINAL, VesselDatastore
from .earlier import Saved
from .folders import ADAPTERS
from .host import ModelHost
from .infer.edit import SaltEdit
from .infer.measure import SaltMeasure
from .infer.segment import SaltSegment
from .learning.train import SaltTrain
from .options import Options
from .sampling.leases import Leases
from .sampling.scores import ScoreBoard
from .sampling.strategies import FirstSample, RandomForeground, RandomSample, Uncertain, asking
from .store_identity import store_identity
from .uploads import is_upload

logger = logging.getLogger(__name__)
# Images that are looked at ahead, the next ones without a label: an archive is not to be fetched as a whole.
SCORED = 500


class SaltApp(MONAILabelApp):
    """Infer tasks `salt`, `salt_edit`, `salt_measure`; trainer `salt`; strategies, some of which ask the model."""

    def __init__(self, app_dir: str, studies: str, conf: dict[str, str]) -> None:
        self.options = Options.from_conf(conf)
        self.host = ModelHost(self.options, VersionStore(self.options.store(studies, app_dir)))
        self.audit = AuditLog(self.host.store.folder / "audit.jsonl")
        self.leases = Leases(self.host.store.folder / "leases.json")
        self.board = ScoreBoard(self._score, self._worth_scoring)
        # Folders of images may share their versions; names in an archive are the same everywhere.
        self.identity = store_identity(self.host.store.folder if is_address(studies) else Path(studies) / ADAPTERS)
        # Whether somebody asks who sends a request: MONAI Label's own server does not.
        self.gated = False
        super().__init__(
            app_dir=app_dir,
            studies=studies,
            conf=conf,
            name="SALT vessels",
            description="Outline vessels with a SALT-adapted Segment Anything model that learns from corrections",
            labels=list(self.options.labels),
        )

    def on_init_complete(self) -> None:
        """Warn whoever starts a server that lets everybody in, or that begins anew where it need not."""
        if not self.gated:
            logger.warning(
                "whoever can reach this server may do all on it, without a token; start it with `--host 127.0.0.1`, "
                "so that only this computer can, or with `salt serve`"
            )
        store = self.host.store
        # Archives once shared the versions that are now above those of each.
        shared = VersionStore(store.folder.parent)
        if is_address(self.studies) and not self.options.adapters and not store.versions() and shared.versions():
            logger.warning(
                "%s begins from the base, while there are adapter versions in %s, which all archives shared in former "
                "days; to go on from them, start the server with --conf adapters=%s",
                self.studies, shared.folder, shared.folder,
            )  # fmt: skip
        super().on_init_complete()

    def init_datastore(self) -> Datastore:
        """Open the studies: a folder, an archive over DICOMweb, or what else MONAI Label's settings name."""
        if is_address(self.studies):
            if settings.MONAI_LABEL_DATASTORE.lower() in ("xnat", "dsa"):
                return super().init_datastore()
            return open_archive(self.studies, self.options.labels, round(self.options.upload_mb * 1e6))
        reload = settings.MONAI_LABEL_DATASTORE_AUTO_RELOAD
        return VesselDatastore(self.studies, self.options.labels, auto_reload=reload)

    def init_infers(self) -> dict[str, InferTask]:
        """Offer automatic segmentation, editing and measuring."""
        return {
            "salt": SaltSegment(self.host),
            "salt_edit": SaltEdit(self.host),
            "salt_measure": SaltMeasure(self.host),
        }

    def init_trainers(self) -> dict[str, TrainTask]:
        """Offer adapting."""
        return {"salt": SaltTrain(self.host)}

    def init_strategies(self) -> dict[str, Strategy]:
        """Offer ways to pick the next image."""
        return {
            "random": RandomSample(self.leases),
            "first": FirstSample(self.leases),
            "random_foreground": RandomForeground(self.leases, self.board),
            "uncertain": Uncertain(self.leases, self.board),
        }

    def infer(self, request: dict[str, Any], datastore: Datastore | None = None) -> dict[str, Any]:
        """Answer 404 for a model or image there is not.

        MONAI Label itself would answer 500 without a word, and would open any file of the server's by its path.
        """
        self.must_infer(request.get("model"))
        image = request.get("image")
        if isinstance(image, str):
            # Whoever works on an image for long is not done with it.
            self.leases.renew(image, asking(request.get("client_id")))
        if isinstance(image, str) and os.path.exists(image) and not (is_upload(image) or self._of_session(image)):
            known = (datastore or self.datastore()).get_image_uri(image)
            if not known:
                raise HTTPException(404, f"there is no image '{image}' in the datastore")
            # A namesake in the working directory; MONAI Label would open that.
            answer = super().infer({**request, "image": known}, datastore)
        else:
            answer = super().infer(request, datastore)
        self._remember(request, answer)
        return answer

    def batch_infer(self, request: dict[str, Any], datastore: Datastore | None = None) -> dict[str, Any]:
        """Segment many images on the device of the options; MONAI Label would divide them among its GPUs, even by 0."""
        counts = [request.get(name, 0) for name in ("max_workers", "max_batch_size")]
        images = request.get("images", "")
        names = images if isinstance(images, list) else [images]
        if not all(isinstance(count, int) for count in counts) or not all(isinstance(name, str) for name in names):
            raise HTTPException(400, "max_workers and max_batch_size are whole numbers, images a list of names")
        return super().batch_infer({**request, "multi_gpu": False, "device": "cpu"}, datastore)

    def _remember(self, request: dict[str, Any], answer: dict[str, Any]) -> None:
        """Write the audit log, and keep what was proposed for an image of ours."""
        image, version = request.get("image"), answer["params"].get("version")
        store = self.datastore()
        ours = isinstance(image, str) and isinstance(store, VesselDatastore) and bool(store.get_image_uri(image))
        self.audit.record(f"infer {request['model']}", image=image if ours else None, version=version)
        # Who may only look must not change what is learned from a label of others.
        if ours and request["model"] == "salt" and current_role.get() >= Role.ANNOTATOR:
            told = answer["params"]
            # Of frames as they are, an answer does not say which.
            asked = RunView.of({key: request[key] for key in ("frame", "frames") if key in request})
            view = replace(RunView.of(told["view"]), first=asked.first, last=asked.last)
            try:
                store.keep_proposal(image, answer["file"], version, view, told["stopped"])
            except (ImageError, HTTPException, OSError) as error:
                # The answer is worth more than knowing later what was changed in it.
                logger.warning("what was proposed for %s could not be kept: %s", image, error)

    def on_save_label(self, image_id: str, label_id: str) -> dict[str, Any]:
        """Write the audit log; with a final label, whoever had the image is done with it."""
        saved = label_id if isinstance(label_id, Saved) else Saved(label_id, FINAL, "")
        facts = {"earlier": saved.earlier} if saved.earlier else {}
        self.audit.record("label", image=image_id, version=self.host.store.current(), **facts)
        if saved.tag == FINAL:
            self.leases.release(image_id)
        return {}

    def follow(self) -> None:
        """Load the version put in use, and look at the images again where that was asked for."""
        self.host.follow()
        if self.board.asked:
            self.board.wake()

    def _score(self, image: str) -> tuple[Uncertainty, np.ndarray, str]:
        predictor, version = self.host.predictor()

        study = self.host.studies.read(self.datastore().get_image_uri(image))
        kind = study.kind._replace(single=False)

        def look(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            def work() -> tuple[np.ndarray, np.ndarray]:
                embedded = predictor.embed(pixels, kind)
                likely = np.max([predictor.segment(embedded, label) for label in self.options.labels], axis=0)
                return likely, embedded.embeddings.cpu().numpy()

            return self.host.turns.aside(work)

        # The first frame of a run has no contrast yet.
        return *assess(look, study.frame(study.shape[0] // 2)), version

    def _worth_scoring(self) -> tuple[list[str], str]:
        # Scores can wait; what is being learned will change them.
        images = [] if self.host.learning() else self.datastore().get_unlabeled_images()[:SCORED]
        return images, self.host.store.current() or BASE

    def _of_session(self, image: str) -> bool:
        sessions = self.sessions()
        return sessions is not None and Path(image).resolve().is_relative_to(Path(sessions.store_path).resolve())

    def must_train(self, model: str | None) -> None:
        """Name the trainers there are if another is asked for."""
        _must_exist("trainer", model, self._trainers)

    def must_infer(self, model: str | None) -> None:
        """Name the models there are if another is asked for."""
        _must_exist("model", model, self._infers)

    def must_score(self, method: str | None) -> None:
        """Name the scoring methods there are if another is asked for."""
        _must_exist("scoring method", method, self._scoring_methods)

    def train(self, request: dict[str, Any]) -> dict[str, Any]:
        """Train in this process."""
        self.must_train(request.get("model"))
        return super().train(request)

    def next_sample(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer 404 for a strategy there is not."""
        _must_exist("strategy", request.get("strategy") or "random", self._strategies)
        sample = super().next_sample(request)
        if sample:
            self.host.look_ahead(self.datastore().get_image_uri(sample["id"]))
        return sample

    def info(self) -> dict[str, Any]:
        """Add the version in use, and the identity of the store: names of images are unique in that alone."""
        return {**super().info(), "adapter": self.host.store.current() or BASE, "identity": self.identity}


def _must_exist(kind: str, name: str | None, tasks: Mapping[str, object]) -> None:
    if name not in tasks:
        raise HTTPException(404, f"there is no {kind} '{name}'; this server has {', '.join(tasks) or 'none'}")
