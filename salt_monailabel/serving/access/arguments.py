"""What a request names is checked here, before MONAI Label makes paths and tasks of it."""

from __future__ import annotations

import json
import math
import unicodedata
from pathlib import Path
from typing import Any

from fastapi import HTTPException

# File systems take 255; an extension and a temporary name must fit too.
LONGEST_NAME = 200
LONGEST_PARAMS = 1_000_000
DEEPEST_PARAMS = 20
# What MONAI Label would let params override: the files it opens, and the task it runs.
RESERVED = frozenset({"image", "session_id", "model", "file"})


def checked_name(value: str, what: str) -> str:
    """Return a name that is safe as the name of a file in a folder.

    Parameters
    ----------
    value : str
        As the request has it.
    what : str
        What it names, for the message, such as "image".

    Raises
    ------
    HTTPException
        400 for a name that would leave the folder, hide, or that a file system could not keep.
    """
    if reason := _fault(value):
        shown = value[:LONGEST_NAME].encode("utf-8", "replace").decode()
        raise HTTPException(
            400, f"'{shown}' cannot be used as a name ({what}): {reason}; use letters, digits, '_', '-' and '.'"
        )
    return value


def _fault(name: str) -> str | None:
    if not name:
        return "it is empty"
    if name.startswith("."):
        return "it starts with '.'"
    # The last finds what else separates folders where this server runs.
    if "/" in name or "\\" in name or Path(name).name != name:
        return "it is a path"
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        return "it has characters that cannot be printed"
    if len(name.encode()) > LONGEST_NAME:
        return f"it is longer than {LONGEST_NAME} bytes"
    return None


def checked_params(text: str, reserved: frozenset[str] = RESERVED) -> dict[str, Any]:
    """Return the JSON object in the form field `params`; an empty field is an empty object.

    Parameters
    ----------
    text : str
        As the request has it.
    reserved : frozenset of str
        Keys that are not the field's to set.

    Raises
    ------
    HTTPException
        400 for what is no JSON object, is too long or too deep, or holds NaN, Infinity, half a character or a reserved
        key.
    """
    if len(text) > LONGEST_PARAMS:
        raise HTTPException(400, f"params are longer than {LONGEST_PARAMS} characters; send files as files of the form")
    try:
        params = json.loads(text, parse_float=_finite, parse_constant=_finite) if text.strip() else {}
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise HTTPException(400, f"params are no JSON: {error.msg} in {where}") from error
    except ValueError as error:
        raise HTTPException(400, f"params hold a number that cannot be used: {error}") from error
    except RecursionError as error:
        raise _too_deep() from error
    if not isinstance(params, dict):
        raise HTTPException(
            400, f'params must be a JSON object, such as {{"seconds": 15}}; got {type(params).__name__}'
        )
    if taken := sorted(reserved & params.keys()):
        raise HTTPException(400, f"'{taken[0]}' belongs into the query of the request, not into params")
    if _deeper(params, DEEPEST_PARAMS):
        raise _too_deep()
    try:
        json.dumps(params, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise HTTPException(400, "params hold half of a surrogate pair, which is no character") from error
    return params


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:50]} is not finite")
    return number


def _too_deep() -> HTTPException:
    return HTTPException(400, f"params are nested deeper than {DEEPEST_PARAMS} levels")


def _deeper(value: object, levels: int) -> bool:
    """Say whether lists and objects are nested deeper than so many levels; without recursion, which has its limit."""
    found = [value]
    for _ in range(levels):
        found = [inner for outer in found for inner in _inside(outer)]
    return any(isinstance(value, (dict, list)) for value in found)


def _inside(value: object) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
