"""What the report tells of a folder of studies: the effort of its labels, and the model on what is held back."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

from salt_monailabel.adapters import AdapterError
from salt_monailabel.imaging import ImageError, read_mask
from salt_monailabel.imaging.burned_in import burned_in
from salt_monailabel.imaging.run import RunView
from salt_monailabel.models import WeightsError
from salt_monailabel.training.held_back import images_held_back
from salt_monailabel.training.metrics import cl_dice, dice
from salt_monailabel.versions import BASE, VersionError

from ..datastore import FINAL, VesselDatastore
from ..host import ModelHost
from ..sharing import CaseNames
from .cards import moment
from .rendering import Case, Effort, render

logger = logging.getLogger(__name__)

# Held-back images that are segmented for the report: it is to be there in seconds.
SEGMENTED = 8
SHARED = "Without names and dates: this page may be passed on"


def report_of(store: VesselDatastore, host: ModelHost, shared: bool = True) -> str:
    """Return the report on a folder of studies, one page of HTML.

    Parameters
    ----------
    store : VesselDatastore
    host : ModelHost
    shared : bool
        Whether it may leave the house: without the names of images, folders and people, and without dates.
    """
    labelled = len(store.get_labeled_images())
    names = CaseNames(store, shared)
    efforts = [replace(effort, image=names(effort.image)) for effort in efforts_of(store)]
    title = SHARED if shared else Path(host.store.folder).parent.name
    if shared:
        efforts = without_dates(efforts)
    return render(title, host.store, efforts, list(_cases(store, host, names)), labelled, shared)


def efforts_of(store: VesselDatastore) -> Iterator[Effort]:
    """Return what it took to correct each image, in the order of the labels."""
    found = []
    for image, known in store.json()["objects"].items():
        info = known["labels"].get(FINAL, {}).get("info", {})
        effort = info.get("effort")
        if effort:
            version = effort.get("version") or ""
            found.append((info["ts"], image, effort, "" if version == BASE else version))
    for ts, image, effort, version in sorted(found, key=lambda entry: entry[:2]):
        time = datetime.fromtimestamp(ts, timezone.utc).isoformat()
        yield Effort(image, time, effort["changed"], effort["vessel"], version)


def without_dates(efforts: Sequence[Effort]) -> list[Effort]:
    """Return efforts, in the order of time, with the day since the first label in the place of dates."""
    days = [moment(effort.time).date() for effort in efforts]
    return [replace(e, time=f"day {(day - days[0]).days + 1}") for e, day in zip(efforts, days, strict=True)]


def _cases(store: VesselDatastore, host: ModelHost, names: CaseNames) -> Iterator[Case]:
    """Return a frame with a label of each image that is held back, as the model in use segments it; none without it."""
    pairs = {pair["id"]: pair for pair in store.datalist()}
    held_back = images_held_back(pairs)
    if not held_back:
        return
    try:
        predictor, version = host.predictor()
        card = {} if version == BASE else host.store.card(version)
    except (AdapterError, WeightsError, VersionError, OSError) as error:
        logger.warning("the report shows no images, as the version in use cannot be loaded: %s", error)
        return
    # The first labels were learned from but for a block, before there were enough to hold one back.
    learned = {*card.get("learned_in_part", ()), *card.get("learned_whole", ())}
    for name in [name for name in held_back if name not in learned][:SEGMENTED]:
        try:
            image = pairs[name]["image"]
            text = burned_in(host.studies.read(image), Path(image))
            study = host.studies.read(image, RunView.of(pairs[name].get("view", {})))
            labels = read_mask(pairs[name]["label"], study) > 0
        except ImageError:
            continue
        labelled = int(labels.any(axis=(1, 2)).argmax())
        frame, truth = study.frame(labelled), labels[labelled]
        found = study.within(host.outline(predictor, version, frame, study.kind)) > 0
        yield Case(names(name), frame, truth, found, dice(found, truth), cl_dice(found, truth), text)
