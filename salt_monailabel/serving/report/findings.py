"""What the report tells of a folder of studies: the effort of its labels, and the model on what is held back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

from salt_monailabel.imaging import ImageError, read_mask
from salt_monailabel.training.held_back import images_held_back
from salt_monailabel.training.metrics import cl_dice, dice
from salt_monailabel.versions import BASE

from ..datastore import FINAL, VesselDatastore
from ..host import ModelHost
from .rendering import Case, Effort, render

# Held-back images that are segmented for the report: it is to be there in seconds.
SEGMENTED = 8


def report_of(store: VesselDatastore, host: ModelHost) -> str:
    """Return the report on a folder of studies, one page of HTML."""
    labelled = len(store.get_labeled_images())
    title = Path(host.store.folder).parent.name
    return render(title, host.store, list(efforts_of(store)), list(_cases(store, host)), labelled)


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
        yield Effort(image, time, effort["changed"], effort["vessel"], None, version)


def _cases(store: VesselDatastore, host: ModelHost) -> Iterator[Case]:
    """Return the first frames of images that are held back, as the model in use segments them."""
    pairs = {Path(pair["image"]).name: pair for pair in store.datalist()}
    names = images_held_back(pairs)[:SEGMENTED]
    if not names:
        return
    predictor, version = host.predictor()
    for name in names:
        try:
            study = host.studies.read(pairs[name]["image"])
            truth = read_mask(pairs[name]["label"], study)[0] > 0
        except ImageError:
            continue
        frame = study.frame(0)
        with host.turns.take():
            found = predictor.outline(host.embedded(predictor, version, frame)) > 0
        yield Case(name, frame, truth, found, dice(found, truth), cl_dice(found, truth))
