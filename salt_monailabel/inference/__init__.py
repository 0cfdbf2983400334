"""Inference: loading an adapted model, tiles, and prediction."""

from .edits import Edit
from .loading import adapted_model, card_of, fresh_adapter
from .predictor import Embedded, Predictor
from .tiling import Tiling

__all__ = ["Edit", "Embedded", "Predictor", "Tiling", "adapted_model", "card_of", "fresh_adapter"]
