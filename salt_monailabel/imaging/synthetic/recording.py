"""What a device does to a picture: its field of view, light, blur, noise and compression."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image
from scipy import ndimage

from .ground import border, distance


def round_field(rng: np.random.Generator, size: int, centre: tuple[float, float], radius: float) -> np.ndarray:
    """Draw the round opening of a camera, often cut straight at the top and bottom: (size, size) in 0..1."""
    field = border(distance(size, centre), radius, rng.uniform(0.3, 2))
    if rng.random() < 0.3:
        cut = np.abs(np.arange(size) - centre[1]) < radius * rng.uniform(0.75, 0.98)
        field = field * cut[:, None]
    return field


def collimator(rng: np.random.Generator, size: int) -> np.ndarray:
    """Draw the shutters of an X-ray tube, a rectangle, octagon or circle: (size, size) in 0..1."""
    along = np.abs(np.arange(size, dtype=np.float32) - size * rng.uniform(0.4, 0.6))
    across, down = along, np.abs(np.arange(size, dtype=np.float32) - size * rng.uniform(0.4, 0.6))[:, None]
    kind = rng.integers(3)
    if kind == 0:
        depth = np.maximum(across, down * rng.uniform(0.8, 1.2))
    elif kind == 1:
        depth = np.maximum(np.maximum(across, down), (across + down) * 0.72)
    else:
        depth = np.hypot(across, down)
    return border(depth, size * rng.uniform(0.42, 0.6), rng.uniform(0.5, 3))


def light(rng: np.random.Generator, size: int, strength: float) -> np.ndarray:
    """Draw uneven light, fading from a bright place and along a slope: (size, size) around 1."""
    centre = tuple(rng.uniform(0.2, 0.8, 2) * size)
    fall = (distance(size, (centre[0], centre[1])) / size) ** 2
    along = np.linspace(-0.5, 0.5, size, dtype=np.float32)
    a, b = rng.uniform(-1, 1, 2).astype(np.float32)
    return 1 + np.float32(strength) * (0.3 - fall + a * along + b * along[:, None])


def grain(rng: np.random.Generator, image: np.ndarray, strength: float, quantum: float = 0.0) -> np.ndarray:
    """Add noise, half of the time correlated over a pixel or two, as after demosaicking or a detector's spread.

    Parameters
    ----------
    image : ndarray of float32, (size, size) or (size, size, 3)
        0..1.
    strength : float
        Largest deviation.
    quantum : float
        Share that grows with the square root of the signal, as the count of photons does.
    """
    # Half of the colour images have the same noise in all colours.
    alike = image.ndim == 3 and rng.random() < 0.5
    noise = rng.standard_normal((*image.shape[:2], 1) if alike else image.shape, dtype=np.float32)
    if rng.random() < 0.5:
        sigma = rng.uniform(0.4, 0.9)
        noise = ndimage.gaussian_filter(noise, (sigma, sigma, 0)[: noise.ndim], truncate=2)
        noise *= np.float32(2 * sigma + 0.5)
    amount = np.float32(rng.uniform(0.1, 1) * strength)
    if quantum:
        amount = amount * (1 - quantum + quantum * np.sqrt(np.clip(image, 0, 1)) * np.float32(1.4))
    return image + amount * noise


def motion(rng: np.random.Generator, size: int) -> np.ndarray:
    """Return how far each line is displaced by eye movements between the lines of a scan: (size,) int."""
    jumps = np.zeros(size, int)
    rows = rng.integers(0, size, rng.integers(1, 5))
    jumps[rows] = rng.integers(-4, 5, len(rows))
    return np.cumsum(jumps)


def displace(picture: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """Displace the lines of a picture (size, size) by `shifts`, repeating its borders."""
    columns = np.clip(np.arange(picture.shape[1]) - shifts[:, None], 0, picture.shape[1] - 1)
    return np.take_along_axis(picture, columns, axis=1)


def jpeg(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Compress and decompress an image of uint8, (size, size, 3)."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=int(rng.integers(35, 95)))
    return np.array(Image.open(file))
