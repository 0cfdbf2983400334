"""Segment Anything for vessels: the model, its bases and their weights."""

from .label_prompts import UnknownLabelError
from .registry import BASES, load_base, taught_labels
from .vessel_sam import Architecture, Prompts, VesselSam
from .weights import WeightsError

__all__ = [
    "BASES",
    "Architecture",
    "Prompts",
    "UnknownLabelError",
    "VesselSam",
    "WeightsError",
    "load_base",
    "taught_labels",
]
