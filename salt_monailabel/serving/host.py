"""The model that serves: loaded at the first request, replaced when a new version is put in use."""

from __future__ import annotations

import gc
import hashlib
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from salt_monailabel.adapters import Adapter, AdapterError, read_card
from salt_monailabel.imaging import ImageError, Kind, modality_named
from salt_monailabel.imaging.study import BY_ITSELF
from salt_monailabel.inference import Embedded, Predictor, adapted_model, fresh_adapter
from salt_monailabel.models import VesselSam, WeightsError, load_base
from salt_monailabel.models.precision import best_device
from salt_monailabel.versions import BASE, VersionStore

from .jobs import Jobs
from .options import Options
from .studies import Studies
from .turns import Answer, Turns

logger = logging.getLogger(__name__)
EMBEDDINGS_BYTES = 1 << 30
# Frames of a run up to which they are kept: those of a longer one would push out everything else, and each other before
# they are asked for again.
SHORT = 16


class ModelHost:
    """Holds the model in use for all tasks of the app, and the embeddings of images lately seen.

    A request asks for the predictor once and keeps it: it ends with the version it began with, whatever is put in use
    meanwhile.

    Parameters
    ----------
    options : Options
    store : VersionStore

    Attributes
    ----------
    learning : callable
        Whether another process is learning.
    """

    def __init__(self, options: Options, store: VersionStore) -> None:
        self.options = options
        self.store = store
        self.studies = Studies(modality_named(options.modality))
        self.turns = Turns()
        self.learning: Callable[[], bool] = lambda: False
        self.jobs = Jobs()
        self._whole_images = Turns()
        self._rested = 0.0
        self._loading = threading.Lock()
        self._loaded: tuple[str, Predictor] | None = None
        self._ahead = threading.Lock()
        self._next = ""
        self._cached = threading.Lock()
        self._embedded: OrderedDict[tuple[object, ...], Embedded] = OrderedDict()

    def predictor(self) -> tuple[Predictor, str]:
        """Return the predictor of the current version, and that version's name ("base" before the first).

        Raises
        ------
        AdapterError, WeightsError
            If it cannot be loaded.
        """
        with self._loading:
            version = self.store.current() or BASE
            if self._loaded is None or self._loaded[0] != version:
                device = best_device(self.options.device)
                self._loaded = version, Predictor(self._load(version), device, threshold=self.options.threshold)
            return self._loaded[1], version

    def embedded(
        self, predictor: Predictor, version: str, frame: np.ndarray, kind: Kind = BY_ITSELF, frames: int = 1
    ) -> Embedded:
        """Return the embedding of a frame (H, W, C), from memory if it was lately seen. Within a turn.

        Parameters
        ----------
        predictor : Predictor
        version : str
        frame : ndarray
        kind : Kind
            Of the image.
        frames : int
            How many are asked for at a time; of many, none is kept.
        """
        content = hashlib.blake2b(frame.tobytes(), digest_size=16).digest()
        key = (content, frame.shape, frame.dtype.str, version, kind)
        with self._cached:
            known = self._embedded.get(key)
            if known is not None:
                self._embedded.move_to_end(key)
                return known
        embedded = predictor.embed(frame, kind)
        if frames > SHORT:
            return embedded
        with self._cached:
            self._embedded[key] = embedded
            while len(self._embedded) > 1 and sum(e.nbytes for e in self._embedded.values()) > EMBEDDINGS_BYTES:
                self._embedded.popitem(last=False)
        return embedded

    def outline(
        self, predictor: Predictor, version: str, frame: np.ndarray, kind: Kind = BY_ITSELF, frames: int = 1
    ) -> np.ndarray:
        """Return the label map of a frame, (H, W) uint8, in a turn of its own; parameters as of `embedded`.

        Clicks go before learning, but frame after frame would bring it to a stand. So as long as something is learned,
        each of them is followed by a rest of the same length, which clicks do not wait for.
        """
        work = partial(self._outline, predictor, version, frame, kind, frames)
        return self._whole_images.run(partial(self._after_rest, partial(self.sparing, predictor, work)))

    def _outline(self, predictor: Predictor, version: str, frame: np.ndarray, kind: Kind, frames: int) -> np.ndarray:
        return predictor.outline(self.embedded(predictor, version, frame, kind, frames))

    def _after_rest(self, work: Callable[[], Answer]) -> Answer:
        if self.learning():
            time.sleep(max(0.0, self._rested - time.monotonic()))
        started = time.monotonic()
        try:
            return work()
        finally:
            self._rested = 2 * time.monotonic() - started

    def sparing(self, predictor: Predictor, work: Callable[[], Answer]) -> Answer:
        """Do some work in a turn; if memory does not suffice, free what can be freed and try again with small batches.

        Raises
        ------
        MemoryError
            If it does not suffice then either.
        """
        return self.turns.run(partial(self._sparing, predictor, work))

    def follow(self) -> None:
        """Load the version in use in the background, so that the next request need not."""
        threading.Thread(target=self._load_ahead, name="follow", daemon=True).start()

    def look_ahead(self, image: str) -> None:
        """Embed the image at a path in the background, and segment it: its user is about to ask for it.

        Images that were to be looked at before, and still wait, are not: they would keep everybody waiting.
        """
        self._next = image
        threading.Thread(target=self._embed_ahead, args=(image,), name="look-ahead", daemon=True).start()

    def _load_ahead(self) -> None:
        try:
            self.predictor()
        except (AdapterError, WeightsError, OSError) as error:
            logger.warning("the version in use cannot be loaded: %s", error)

    def _embed_ahead(self, image: str) -> None:
        try:
            with self._ahead:
                if image != self._next:
                    return
                predictor, version = self.predictor()
                study = self.studies.read(image)
                self.outline(predictor, version, study.frame(0), study.kind)
        except (AdapterError, WeightsError, ImageError, MemoryError, OSError) as error:
            logger.warning("the next image cannot be looked at ahead: %s", error)

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

    def _sparing(self, predictor: Predictor, work: Callable[[], Answer]) -> Answer:
        try:
            return work()
        except (MemoryError, RuntimeError) as error:
            if not _out_of_memory(error):
                raise
            logger.warning("not enough memory; once more with one tile at a time: %s", error)
        # Out of the handler: the error's traceback keeps the tensors of the failed attempt alive.
        self._forget()
        usual, predictor.batch = predictor.batch, 1
        try:
            return work()
        except (MemoryError, RuntimeError) as error:
            if not _out_of_memory(error):
                raise
            raise MemoryError("the server has not enough memory for this image; try a smaller one") from error
        finally:
            predictor.batch = usual
            self._forget()

    def _forget(self) -> None:
        with self._cached:
            self._embedded.clear()
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

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


def _out_of_memory(error: BaseException) -> bool:
    # On a CPU torch says so in words alone.
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)
