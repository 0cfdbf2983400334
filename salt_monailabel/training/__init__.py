"""Training: losses, metrics, samples, the fit loop on labelled images, and pretraining on drawn ones."""

from .evaluate import Case, Score, evaluate, mean_score, read_cases, score
from .fit import FitConfig, Progress, TrainingError, fit
from .samples import Augmentation, LabelledFrame, check_label, read_labelled

__all__ = [
    "Augmentation",
    "Case",
    "FitConfig",
    "LabelledFrame",
    "Progress",
    "Score",
    "TrainingError",
    "check_label",
    "evaluate",
    "fit",
    "mean_score",
    "read_cases",
    "read_labelled",
    "score",
]
