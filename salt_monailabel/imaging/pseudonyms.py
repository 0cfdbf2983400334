"""Names that stand for others: one name always gets the same one, and nobody without the key finds the way back.

A hash without a key would not do: numbers of patients are few enough to be tried one by one.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock
from pydicom.uid import generate_uid

from salt_monailabel.whole_files import written_whole

KEY_FILE = "pseudonyms.key"
KEY_BYTES = 32
# Of five bits each: two of a million names are alike once in two thousand folders.
LETTERS = 10


@dataclass(frozen=True)
class Pseudonyms:
    """Pseudonyms by a secret key; random if none is given, so that they tell nothing beyond what they are made for.

    Parameters
    ----------
    key : bytes
        Of `KEY_BYTES`.

    Raises
    ------
    ValueError
        If the key is shorter: it might be guessed.
    """

    key: bytes = field(default_factory=lambda: secrets.token_bytes(KEY_BYTES), repr=False)

    def __post_init__(self) -> None:
        if len(self.key) < KEY_BYTES:
            raise ValueError(f"the key of the pseudonyms is too short; if {KEY_FILE} is damaged, remove it")

    @classmethod
    def kept_in(cls, folder: Path) -> Pseudonyms:
        """Return those of a folder of studies; the key is made when first asked for, and only its owner may read it.

        Raises
        ------
        OSError
            If it can be neither read nor made.
        """
        path = folder / KEY_FILE
        with FileLock(folder / f".{KEY_FILE}.lock"):
            if not path.is_file():
                with written_whole(path, mode=0o600) as partial:
                    partial.write_bytes(secrets.token_bytes(KEY_BYTES))
            return cls(path.read_bytes())

    def case(self, image: str) -> str:
        """Return the name of an image for others, by its id."""
        return f"case-{self._of(image)}"

    def patient(self, number: str) -> str:
        """Return the name of a patient for others."""
        return f"patient-{self._of(number)}"

    def uid(self, uid: str) -> str:
        """Return the identifier that stands for a DICOM UID."""
        return generate_uid(entropy_srcs=[self.key.hex(), uid])

    def _of(self, name: str) -> str:
        # A file's name may hold bytes that are no text in any encoding.
        digest = hmac.digest(self.key, name.encode("utf-8", "surrogateescape"), hashlib.sha256)
        return base64.b32encode(digest).decode().lower()[:LETTERS]
