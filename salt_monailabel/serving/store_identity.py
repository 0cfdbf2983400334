"""The identity of a store of images: random, made once, and kept with the store wherever it is served from.

An image's name is its own in its store only. A client that remembers this identity with the name never takes the image
of one server for its namesake on another. It is no secret.
"""

from __future__ import annotations

import logging
import re
import secrets
from pathlib import Path

from filelock import FileLock

from salt_monailabel.whole_files import written_whole

logger = logging.getLogger(__name__)

IDENTITY_FILE = "identity"
_BYTES = 16


def store_identity(folder: Path) -> str:
    """Return the identity kept in a folder, 32 hexadecimal digits; it is made when first asked for.

    A damaged one counts as none. If it can be neither read nor made, that is logged, and the answer is empty.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    """
    path = folder / IDENTITY_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".{IDENTITY_FILE}.lock"):
            known = path.read_text(encoding="utf-8", errors="replace").strip() if path.is_file() else ""
            if not re.fullmatch(f"[0-9a-f]{{{2 * _BYTES}}}", known):
                known = secrets.token_hex(_BYTES)
                with written_whole(path) as partial:
                    partial.write_text(f"{known}\n", encoding="utf-8")
            return known
    except OSError as error:
        # Clients then go by names alone; a full disk is no reason not to serve.
        logger.warning("the identity of the images cannot be kept in %s: %s", folder, error)
        return ""
