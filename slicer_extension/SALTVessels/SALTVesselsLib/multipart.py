"""Forms as they are sent, and replies of several parts."""

from __future__ import annotations

from collections.abc import Mapping
from email.message import Message
from email.parser import BytesHeaderParser

from urllib3.filepost import encode_multipart_formdata

# A file's name and content.
File = tuple[str, bytes]


def encode(fields: Mapping[str, str | File]) -> tuple[bytes, str]:
    """Return the body of a form and its content type.

    Parameters
    ----------
    fields : mapping of name to str or (file name, content)
    """
    typed = {k: v if isinstance(v, str) else (*v, "application/octet-stream") for k, v in fields.items()}
    return encode_multipart_formdata(typed)


def decode(body: bytes, content_type: str) -> dict[str, bytes]:
    """Return the parts of a reply by their names.

    Parameters
    ----------
    body : bytes
    content_type : str
        Of the reply; it says where a part ends.

    Raises
    ------
    ValueError
        If there are no parts, the last is cut off, or one has no name.
    """
    boundary = _headers(f"Content-Type: {content_type}".encode()).get_boundary()
    if boundary is None:
        raise ValueError(f"the reply is of the type '{content_type}' and has no parts")
    # A parser of whole messages would go through the pixels line by line.
    _, *parts = (b"\r\n" + body).split(b"\r\n--" + boundary.encode())
    if not parts or not parts[-1].startswith(b"--"):
        raise ValueError("the last part of the reply has no end")
    return dict(_part(part) for part in parts[:-1])


def _part(part: bytes) -> tuple[str, bytes]:
    head, separator, content = part.partition(b"\r\n\r\n")
    name = _headers(head.lstrip()).get_param("name", header="content-disposition")
    if not separator or not isinstance(name, str):
        raise ValueError("a part of the reply has no name")
    return name, content


def _headers(lines: bytes) -> Message:
    return BytesHeaderParser().parsebytes(lines + b"\r\n\r\n")
