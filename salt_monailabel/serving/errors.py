"""Errors as the client sees them: a status that fits and a message that says what to do."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import HTTPException

from salt_monailabel.adapters import AdapterError
from salt_monailabel.imaging import ImageError
from salt_monailabel.measure import ProfileError
from salt_monailabel.models import UnknownLabelError, WeightsError
from salt_monailabel.training import TrainingError


@contextmanager
def explained() -> Iterator[None]:
    """Turn the library's errors into HTTP errors with their message as `detail`.

    400 for bad input, 503 for weights or an adapter that cannot be loaded and where memory does not suffice, 507 for a
    full disk, 500 for training that failed.
    """
    try:
        yield
    except (ImageError, ProfileError, UnknownLabelError) as error:
        raise HTTPException(400, str(error)) from error
    except (WeightsError, AdapterError, MemoryError) as error:
        raise HTTPException(503, str(error)) from error
    except TrainingError as error:
        raise HTTPException(500, str(error)) from error
    except OSError as error:
        if error.errno == errno.ENOSPC or "disk full" in str(error):
            raise HTTPException(
                507, f"the server's disk is full: {error}; free some space, nothing was lost"
            ) from error
        raise
