"""Images: reading and writing them with their geometry, what the model sees of them, and drawing synthetic ones."""

from .acquisition import Modality, modality_named
from .files import EXTENSIONS, extension_of, read_study, split_name
from .header import ImageError
from .intensity import model_input, to_rgb
from .magnify import magnification, reduced, reduced_labels
from .mask import MASK_EXTENSIONS, read_mask, write_mask
from .overlay import difference, overlay
from .study import Kind, Study
from .synthetic import synthesize

__all__ = [
    "EXTENSIONS",
    "MASK_EXTENSIONS",
    "ImageError",
    "Kind",
    "Modality",
    "Study",
    "difference",
    "extension_of",
    "magnification",
    "modality_named",
    "model_input",
    "overlay",
    "read_mask",
    "read_study",
    "reduced",
    "reduced_labels",
    "split_name",
    "synthesize",
    "to_rgb",
    "write_mask",
]
