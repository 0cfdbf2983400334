"""The model that serves: loaded at the first request, replaced when a new version is published."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from pathlib import Path

import numpy as np

from salt_monailabel.adapters import Adapter, AdapterError, read_card
from salt_monailabel.inference import Embedded, Predictor, adapted_model, fresh_adapter
from salt_monailabel.models import VesselSam, load_base
from salt_monailabel.models.precision import best_device
from salt_monailabel.versions import VersionStore

from .options import Options

logger = logging.getLogger(__name__)
EMBEDDINGS_BYTES = 1 << 30
BASE = "base"


class ModelHost:
    """Holds one model for all tasks of the app, and the embeddings of images lately seen.

    Parameters
    ----------
    options : Options
    store : VersionStore
    """

    def __init__(self, options: Options, store: VersionStore) -> None:
        self.options = options
        self.store = store
        # One request at a time uses the model: two would only slow each other down and double the memory.
        self.lock = threading.RLock()
        self._predictor: Predictor | None = None
        self._version = ""
        self._embedded: OrderedDict[tuple[object, ...], Embedded] = OrderedDict()

    def predictor(self) -> tuple[Predictor, str]:
        """Return the predictor of the current version, and that version's name ("base" before the first).

        Raises
        ------
        AdapterError, WeightsError
            If it cannot be loaded.
        """
        with self.lock:
            version = self.store.current() or BASE
            if self._predictor is None or version != self._version:
                model = self._load(version)
                device = best_device(self.options.device)
                self._embedded.clear()
                self._predictor = Predictor(model, device, threshold=self.options.threshold)
                self._version = version
            return self._predictor, version

    def embedded(self, predictor: Predictor, path: str, frame: int, pixels: np.ndarray) -> Embedded:
        """Return the embedding of a frame (H, W, C) of the file at `path`, from memory if it was lately seen."""
        with self.lock:
            status = Path(path).stat()
            key = (str(path), status.st_mtime_ns, status.st_size, frame)
            if key not in self._embedded:
                self._embedded[key] = predictor.embed(pixels)
            self._embedded.move_to_end(key)
            while len(self._embedded) > 1 and sum(e.nbytes for e in self._embedded.values()) > EMBEDDINGS_BYTES:
                self._embedded.popitem(last=False)
            return self._embedded[key]

    def trainable(self, version: str | None) -> Adapter:
        """Return a version, or a fresh adapter on the base, attached and ready to be trained further."""
        options = self.options
        if version is not None:
            return self._adapted(version)
        return fresh_adapter(
            options.base,
            options.labels,
            options.adapter_config(),
            weights=options.weights or None,
            input_size=options.input_size or None,
        )

    def _load(self, version: str) -> VesselSam:
        options = self.options
        weights, input_size = options.weights or None, options.input_size or None
        if version == BASE:
            return load_base(options.base, options.labels, weights=weights, input_size=input_size)
        model = self._adapted(version).merge()
        assert isinstance(model, VesselSam)
        return model

    def _adapted(self, version: str) -> Adapter:
        card = read_card(self.store.path(version))
        found, wanted = (card.get("base"), tuple(card.get("labels", ()))), (self.options.base, self.options.labels)
        if found != wanted:
            raise AdapterError(
                f"the adapter in {self.store.folder} was trained for base and labels {found}, but the server was "
                f"started with {wanted}; start it as before, or give another folder with --conf adapters"
            )
        adapter = adapted_model(self.store.path(version), self.options.weights or None)
        if adapter.config != self.options.adapter_config():
            logger.warning(
                "the adapter in %s keeps the method and ranks it was begun with; others need another folder, "
                "--conf adapters", self.store.folder,
            )  # fmt: skip
        return adapter
