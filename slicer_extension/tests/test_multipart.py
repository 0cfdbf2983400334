"""Forms and replies of several parts keep every byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from SALTVesselsLib.multipart import decode, encode

pieces = st.lists(st.sampled_from([b"\r\n", b"\n", b"--", b"\r\n--", b"\0", b"\xff", b"x"])).map(b"".join)


@given(st.dictionaries(st.sampled_from(["params", "image", "label", "file"]), pieces, min_size=1))
def test_parts_arrive_as_they_were_sent(parts: dict[str, bytes]) -> None:
    body, kind = encode({name: (f"{name}.nrrd", content) for name, content in parts.items()})
    assert decode(body, kind) == parts


def test_text_and_files_go_into_one_form() -> None:
    body, kind = encode({"params": '{"name": "Gefäß"}', "label": ("label.nrrd", b"\x1f\x8b")})
    assert decode(body, kind) == {"params": '{"name": "Gefäß"}'.encode(), "label": b"\x1f\x8b"}
    assert b'filename="label.nrrd"' in body


@pytest.mark.parametrize("kind", ["", "text/html", "multipart/form-data", "application/json"])
def test_a_reply_without_parts_is_refused(kind: str) -> None:
    with pytest.raises(ValueError, match="no parts"):
        decode(b"{}", kind)


def test_a_reply_that_is_cut_off_is_refused() -> None:
    body, kind = encode({"params": "{}", "image": ("image.nrrd", b"x" * 100)})
    for end in range(len(body) - 4):
        with pytest.raises(ValueError, match="the reply has no"):
            decode(body[:end], kind)
