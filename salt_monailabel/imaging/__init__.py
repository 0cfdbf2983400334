"""Images: reading and writing them with their geometry, what the model sees of them, and drawing synthetic ones."""

from .intensity import to_rgb
from .magnify import magnification
from .overlay import difference, overlay
from .study import EXTENSIONS, MASK_EXTENSIONS, ImageError, Study, extension_of, read_mask, read_study, write_mask
from .synthetic import synthesize

__all__ = [
    "EXTENSIONS",
    "MASK_EXTENSIONS",
    "ImageError",
    "Study",
    "difference",
    "extension_of",
    "magnification",
    "overlay",
    "read_mask",
    "read_study",
    "synthesize",
    "to_rgb",
    "write_mask",
]
