"""Which image is labelled next."""

from __future__ import annotations

import random
from typing import Any

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.strategy import Strategy


class RandomSample(Strategy):
    """Any image without a label, each as likely as the next.

    MONAI Label's own weighs images by the seconds since they were last offered, and fails if all are zero.
    """

    def __init__(self) -> None:
        super().__init__("An image without a label, at random")

    def __call__(self, request: dict[str, Any], datastore: Datastore) -> dict[str, Any] | None:
        """Return the id of the image, or nothing if all have labels."""
        images = datastore.get_unlabeled_images(request.get("label_tag"), request.get("labels"))
        return {"id": random.choice(images)} if images else None  # noqa: S311 (no secret)
