"""An image archive, asked over DICOMweb (PS3.18): search by QIDO-RS, fetch by WADO-RS, store by STOW-RS."""

from __future__ import annotations

import hashlib
import logging
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from email.message import Message
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import requests
from fastapi import HTTPException
from pydicom import dcmread
from pydicom.datadict import tag_for_keyword

from salt_monailabel.whole_files import written_whole

logger = logging.getLogger(__name__)

# Seconds to connect; and of silence while an archive, which may have to fetch from a tape, makes its answer ready.
CONNECT, READ = 5.0, 120.0
PAGE = 1000
CHUNK = 1 << 20
_JSON = "application/dicom+json"
_DICOM = 'multipart/related; type="application/dicom"'
# UIDs become names of files and parts of addresses. Real ones have zeros in front, against the standard.
_UID = re.compile(r"\d[\d.]{0,63}")
# Failure reason of an instance that the archive has already (PS3.7 C.5.7).
_DUPLICATE = 0x0111


class ArchiveError(HTTPException):
    """What an archive did not do: its address, what happened, and the remedy.

    404 for what it does not have, 413 for what is too large, 502 for an answer that cannot be used, 503 for none.
    """


class Instance(NamedTuple):
    """A SOP instance, by the UIDs of its study, of its series and its own."""

    study: str
    series: str
    uid: str

    @property
    def path(self) -> str:
        """Its resource, below the address of the archive."""
        return f"/studies/{self.study}/series/{self.series}/instances/{self.uid}"


class Archive:
    """The archive at an address. Safe for threads.

    Parameters
    ----------
    address : str
        Such as http://127.0.0.1:8042/dicom-web.
    user, password : str
        Empty where it asks for none. They are sent to this address alone: no redirect is followed.

    Raises
    ------
    ValueError
        As `checked_address` does.
    """

    def __init__(self, address: str, user: str = "", password: str = "") -> None:
        self.address = checked_address(address)
        self._auth = (user, password) if user else None

    def search(self, filters: Mapping[str, str], *fields: str) -> Iterator[tuple[Instance, Mapping[str, Any]]]:
        """Yield the instances that match, and what the archive says of them; pixels are not fetched.

        Parameters
        ----------
        filters : mapping of keyword to value
        *fields : str
            Keywords to be told of besides the usual ones.
        """
        seen: set[str] = set()
        received = 0
        while page := self._json("/instances", {**filters, "includefield": fields, "limit": PAGE, "offset": received}):
            new = {str(value(item, "SOPInstanceUID")): item for item in page}
            # An archive that does not know of pages begins anew.
            if new.keys() <= seen:
                return
            for item in (item for uid, item in new.items() if uid not in seen):
                uids = [str(value(item, f"{level}InstanceUID")) for level in ("Study", "Series", "SOP")]
                if all(map(_UID.fullmatch, uids)):
                    yield Instance(*uids), item
                else:
                    logger.warning("left out: %s lists an instance with the UIDs %r", self.address, uids)
            seen |= new.keys()
            received += len(page)

    def describe(self, instance: Instance) -> Mapping[str, Any]:
        """Return all attributes of an instance, without pixels, in DICOM's JSON (PS3.18 F)."""
        if not (found := self._json(f"{instance.path}/metadata")):
            raise self._gone()
        return found[0]

    def fetch(self, instance: Instance, path: Path, largest: int) -> None:
        """Write an instance to a file, whole or not at all.

        Parameters
        ----------
        instance : Instance
        path : Path
        largest : int
            Bytes that are fetched at most.
        """
        # As it is stored there; its pixels do not become smaller by being packed once more.
        headers = {"Accept": f"{_DICOM}; transfer-syntax=*", "Accept-Encoding": "identity"}
        content = bytearray()
        with self._asked("GET", instance.path, headers=headers) as reply:
            for chunk in reply.iter_content(CHUNK):
                content += chunk
                if len(content) > largest:
                    limit = f"{largest / 1e6:.0f} MB"
                    raise ArchiveError(
                        413, f"{instance.uid} of {self.address} has more than the {limit} fetched at most"
                    )
            part = self._part(reply, content)
        with written_whole(path, 0o600) as partial:
            partial.write_bytes(part)
            try:
                found = dcmread(partial, stop_before_pixels=True, specific_tags=["SOPInstanceUID"]).SOPInstanceUID
            except Exception as error:
                raise self._useless(reply) from error
            if found != instance.uid:
                raise ArchiveError(502, f"{self.address} answers with {found} where {instance.uid} was asked for")

    def store(self, content: bytes, uid: str) -> None:
        """Store an instance, given as a DICOM file. To store it again changes nothing."""
        mark = secrets.token_hex(16)
        body = b"--%b\r\nContent-Type: application/dicom\r\n\r\n%b\r\n--%b--\r\n" % (
            mark.encode(),
            content,
            mark.encode(),
        )
        headers = {"Accept": _JSON, "Content-Type": f"{_DICOM}; boundary={mark}"}
        with self._asked("POST", "/studies", also=409, data=body, headers=headers) as reply:
            answer = self._decoded(reply)
        reason = value(answer, "FailedSOPSequence", "FailureReason")
        if value(answer, "ReferencedSOPSequence", "ReferencedSOPInstanceUID") != uid and reason != _DUPLICATE:
            raise ArchiveError(502, f"{self.address} does not store {uid} (failure reason {reason}); its log says why")

    def _json(self, path: str, query: Mapping[str, Any] | None = None) -> list[Mapping[str, Any]]:
        with self._asked("GET", path, params=query, headers={"Accept": _JSON}) as reply:
            answer = [] if reply.status_code == 204 else self._decoded(reply)
            # Orthanc has a list of other things at its own address.
            if not isinstance(answer, list) or not all(isinstance(item, dict) for item in answer):
                raise self._useless(reply)
            return answer

    @contextmanager
    def _asked(self, method: str, path: str, also: int = 200, **arguments: Any) -> Iterator[requests.Response]:
        """Ask, and give the answer if its status is a success, or `also`."""
        arguments |= {"auth": self._auth, "allow_redirects": False, "stream": True}
        try:
            with requests.request(method, self.address + path, timeout=(CONNECT, READ), **arguments) as reply:
                if not (200 <= reply.status_code < 300 or reply.status_code == also):
                    raise self._refused(reply)
                yield reply
        except requests.exceptions.SSLError as error:
            raise ArchiveError(
                503,
                f"the certificate of {self.address} is not trusted; name that of its authority in REQUESTS_CA_BUNDLE",
            ) from error
        except requests.RequestException as error:
            raise ArchiveError(
                503, f"{self.address} does not answer, or stopped in the middle ({type(error).__name__}); see that the "
                "archive runs and can be reached from the server, then try again"
            ) from error  # fmt: skip

    def _refused(self, reply: requests.Response) -> ArchiveError:
        status = reply.status_code
        if status in (401, 403):
            remedy = "set MONAI_LABEL_DICOMWEB_USERNAME and MONAI_LABEL_DICOMWEB_PASSWORD, and start the server again"
            return ArchiveError(502, f"{self.address} refuses the user and password ({status}); {remedy}")
        if 300 <= status < 400:
            where = reply.headers.get("Location", "elsewhere")[:200]
            return ArchiveError(502, f"{self.address} refers to {where!r}; start the server with the address itself")
        if status in (404, 410) and "/instances/" in reply.request.path_url:
            return self._gone()
        if status >= 500:
            return ArchiveError(502, f"{self.address} failed ({status}); its log says why")
        return self._useless(reply)

    def _gone(self) -> ArchiveError:
        return ArchiveError(404, f"{self.address} has this instance no more; it was removed or moved there")

    def _useless(self, reply: requests.Response) -> ArchiveError:
        found = f"status {reply.status_code}, {reply.headers.get('Content-Type', 'nothing')[:100]}"
        return ArchiveError(
            502,
            f"{self.address} does not answer as DICOMweb does ({found}); an archive's address often ends in /dicom-web",
        )

    def _decoded(self, reply: requests.Response) -> Any:
        try:
            return reply.json()
        except ValueError as error:
            raise self._useless(reply) from error

    def _part(self, reply: requests.Response, content: bytearray) -> memoryview:
        """Return the only part of an answer of several parts (RFC 2046, 5.1), or all of one that is a file itself."""
        header = Message()
        header["Content-Type"] = reply.headers.get("Content-Type", "")
        if header.get_content_type() == "application/dicom":
            return memoryview(content)
        mark = header.get_boundary()
        if mark is None:
            raise self._useless(reply)
        start = content.find(b"\r\n\r\n", content.find(f"--{mark}".encode()) + 1)
        end = content.rfind(f"\r\n--{mark}--".encode())
        if not 0 <= start < end:
            raise ArchiveError(503, f"{self.address} stopped in the middle of an answer; try again")
        return memoryview(content)[start + 4 : end]


def is_address(studies: str) -> bool:
    """Say whether studies are to be had at an address, and not in a folder."""
    return "://" in studies


def checked_address(address: str) -> str:
    """Return the address of an archive as it is used, without a slash at the end.

    Raises
    ------
    ValueError
        If it is none, or holds a password, which would be shown wherever the address is.
    """
    try:
        parts = urlsplit(address.strip())
        usable = parts.port != 0 and parts.scheme in ("http", "https") and parts.hostname
    except ValueError:
        usable = None
    if not usable or parts.query or parts.fragment:
        raise ValueError("this is no address of an archive; one looks like https://pacs.hospital.org/dicom-web")
    if "@" in parts.netloc:
        raise ValueError(
            "the address of an archive must hold no user and password; set MONAI_LABEL_DICOMWEB_USERNAME and "
            "MONAI_LABEL_DICOMWEB_PASSWORD in the environment instead"
        )
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def folder_of(address: str, labels: Sequence[str]) -> str:
    """Return the name of a folder for what is kept of an archive: of this one alone, and of this list of labels.

    What is drawn or learned there means nothing without the labels. Raises as `checked_address` does.
    """
    checked = checked_address(address)
    digest = hashlib.sha256("\n".join([checked, *labels]).encode()).hexdigest()
    return f"{urlsplit(checked).hostname}-{digest[:12]}"


def value(item: Any, *keywords: str) -> Any:
    """Return the first value of an attribute in DICOM's JSON, of one in its first item, and so on; None without one."""
    for keyword in keywords:
        tag = tag_for_keyword(keyword)
        element = item.get(f"{tag:08X}") if isinstance(item, dict) else None
        values = element.get("Value") if isinstance(element, dict) else None
        item = values[0] if isinstance(values, list) and values else None
    return item
