"""Which image is labelled next."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from fastapi import HTTPException
from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.strategy import Strategy
from scipy.stats import rankdata

from ..access.audit import LOCAL, current_user
from ..names import natural
from .leases import Leases
from .scores import Entry, ScoreBoard

# The share of images chosen by chance alone, and what is left of it after each label.
CHANCE, DECAY = 0.1, 0.9
# Labels after which being uncertain counts as much as being like many others: what a model that knows little is least
# sure of are the odd images, and these are poor first lessons.
LEARNED = 4
# Images that stand for all, where there are more: an answer must not take longer the more there are.
ENOUGH = 1000
# The least weight of an image, in mean vessel areas, so that one in which nothing is found is not left out for good.
LEAST_AREA = 0.05


def choose(
    entries: Mapping[str, Entry | None],
    labelled: Sequence[np.ndarray],
    labelled_count: int,
    rng: np.random.Generator,
) -> list[str]:
    """Order images by how much is learned from their labels, as far as is known.

    With probability 0.1 · 0.9^n after n labels the order is random. Else an image is worth its rank by how well it
    stands for images unlike the labelled ones, weighed 4 / (4 + n), and its rank by uncertainty; ranks, for the two
    have different units. So the first image is the most typical one: few labels teach most if of typical images
    (Hacohen et al. 2022, arXiv 2202.02794). Images that are not scored yet are worth the median of the others. Equals
    are in random order.

    Parameters
    ----------
    entries : mapping of id to Entry
        The images to choose from; None for those that are not scored yet.
    labelled : sequence of ndarray, (D,)
        Descriptors of labelled images, as far as they are known.
    labelled_count : int
        Number of all labelled images.
    rng : numpy.random.Generator

    Returns
    -------
    list of str
        All ids, the best first.
    """
    images = _shuffled(entries, rng)
    scored = {image: entry for image in images if (entry := entries[image]) is not None}
    if rng.random() < CHANCE * DECAY**labelled_count or not scored:
        return images
    unsure = _ranks([entry.uncertainty.score for entry in scored.values()])
    descriptors = np.array([entry.descriptor for entry in scored.values()])
    typical = _ranks(_stood_for(descriptors, labelled, rng))
    values = (labelled_count * unsure + LEARNED * typical) / (labelled_count + LEARNED)
    worth, median = dict(zip(scored, values, strict=True)), np.median(values)
    return sorted(images, key=lambda image: worth.get(image, median), reverse=True)


def choose_foreground(entries: Mapping[str, Entry | None], rng: np.random.Generator) -> list[str]:
    """Order images at random, those with more vessel first more often.

    Each place goes to one of the images left, with a probability proportional to its predicted vessel area; where that
    is not known yet, to the mean of the others.

    Parameters
    ----------
    entries : mapping of id to Entry
        The images to choose from; None for those that are not scored yet.
    rng : numpy.random.Generator

    Returns
    -------
    list of str
        All ids.
    """
    areas = [entry.uncertainty.foreground for entry in entries.values() if entry is not None]
    mean = float(np.mean(areas)) if any(areas) else 1.0
    weights = [max(mean if e is None else e.uncertainty.foreground, LEAST_AREA * mean) for e in entries.values()]
    # The first of several exponential clocks to ring is one with probability proportional to its rate.
    rings = rng.exponential(size=len(weights)) / weights
    return [image for _, image in sorted(zip(rings, entries, strict=True))]


class Leased(Strategy):
    """A strategy that never hands one image to two users; see `Leases` for what a user gets who asks again.

    `reopen` in a request names the image to hand out, labelled or not.

    Parameters
    ----------
    description : str
    leases : Leases
    """

    def __init__(self, description: str, leases: Leases) -> None:
        super().__init__(description)
        self.leases = leases

    @abstractmethod
    def order(self, images: Sequence[str], labelled: Sequence[str]) -> list[str]:
        """Return images without a label, the most wanted first; `labelled` are those with one."""

    def __call__(self, request: dict[str, Any], datastore: Datastore) -> dict[str, Any] | None:
        """Return the id of the image; nothing if all have labels, or others have all that have none.

        Raises
        ------
        HTTPException
            404 if the image to reopen is not there; 409 if another user has it.
        """
        who = asking(request.get("client_id"))
        if reopened := request.get("reopen"):
            return {"id": self._reopen(reopened, who, datastore)}
        tag, labels = request.get("label_tag"), request.get("labels")
        images = sorted(datastore.get_unlabeled_images(tag, labels))
        image = self.leases.take(self.order(images, datastore.get_labeled_images(tag, labels)), who)
        return None if image is None else {"id": image}

    def _reopen(self, image: str, who: str, datastore: Datastore) -> str:
        if image not in datastore.list_images():
            raise HTTPException(404, f"there is no image '{image}' in the datastore")
        if self.leases.take([image], who) is None:
            raise HTTPException(409, f"another user has '{image}' open; ask again once they have submitted it")
        return image


class FirstSample(Leased):
    """The images in the order of their names."""

    def __init__(self, leases: Leases) -> None:
        super().__init__("The first image without a label, by name", leases)

    def order(self, images: Sequence[str], labelled: Sequence[str]) -> list[str]:
        """Sort by name."""
        return sorted(images, key=natural)


class RandomSample(Leased):
    """Any image without a label, each as likely as the next.

    MONAI Label's own weighs images by the seconds since they were last offered, and fails if all are zero.
    """

    def __init__(self, leases: Leases) -> None:
        super().__init__("An image without a label, at random", leases)

    def order(self, images: Sequence[str], labelled: Sequence[str]) -> list[str]:
        """Shuffle."""
        return _shuffled(images, np.random.default_rng())


class RandomForeground(Leased):
    """Images at random, those in which much vessel is found more often; see `choose_foreground`."""

    def __init__(self, leases: Leases, board: ScoreBoard) -> None:
        super().__init__("An image without a label, at random, rather one with much vessel", leases)
        self.board = board

    def order(self, images: Sequence[str], labelled: Sequence[str]) -> list[str]:
        """Order by chance and vessel area."""
        self.board.wake()
        known = self.board.snapshot()
        return choose_foreground({image: known.get(image) for image in images}, np.random.default_rng())


class Uncertain(Leased):
    """The images most like others at first, later those of which the model is least sure; see `choose`."""

    def __init__(self, leases: Leases, board: ScoreBoard) -> None:
        super().__init__("The image without a label from which most is learned", leases)
        self.board = board

    def order(self, images: Sequence[str], labelled: Sequence[str]) -> list[str]:
        """Order by what they stand for and by uncertainty."""
        self.board.wake()
        known = self.board.snapshot()
        descriptors = [known[image].descriptor for image in labelled if image in known]
        entries = {image: known.get(image) for image in images}
        return choose(entries, descriptors, len(labelled), np.random.default_rng())


def asking(viewer: object) -> str:
    """Return who asks: the holder of a token, or else the name that a viewer on this computer gives itself, if any.

    Viewers that are not told otherwise all give themselves the same name, so it does not count beside a token.
    """
    user = current_user.get()
    return f"{user} {viewer}" if user == LOCAL and viewer else user


def _shuffled(images: Sequence[str] | Mapping[str, object], rng: np.random.Generator) -> list[str]:
    return [str(image) for image in rng.permutation(list(images))]


def _stood_for(descriptors: np.ndarray, labelled: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Return by how much labelling each image would bring all images nearer to a labelled one: (N,).

    The gain of facility location (Wei et al. 2015, Submodularity in data subset selection and active learning), with
    the cosine for how near two images are.
    """
    many = rng.choice(descriptors, min(ENOUGH, len(descriptors)), replace=False)
    alike = descriptors @ many.T
    known = np.max(np.stack(labelled) @ many.T, axis=0) if len(labelled) else alike.min()
    # Equals differ by a rounding, and ranks make much of it.
    return np.maximum(alike - known, 0).sum(axis=1).round(4)


def _ranks(values: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return the ranks of values, in 0..1; equals share theirs."""
    return rankdata(values) / len(values)
