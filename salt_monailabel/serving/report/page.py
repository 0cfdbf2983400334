"""The frame of the pages we write: one file each, which needs no other, for screens by day and night and for paper."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape

import numpy as np
from PIL import Image

STYLE = """
 :root { color-scheme: light dark; --paper: #fff; --ink: #1c2430; --soft: #5a6675; --line: #d8dee6; --bar: #8fa6c0;
         --good: #0b7a53; --bad: #c2410c; --other: #6d28d9 }
 @media screen and (prefers-color-scheme: dark) {
  :root { --paper: #12161c; --ink: #e6ebf2; --soft: #9aa7b8; --line: #2e3845; --bar: #56708f;
          --good: #3ecf93; --bad: #ff8a5c; --other: #b69cff } }
 @media print { :root { color-scheme: light; font-size: 11px } body { margin: 0 } }
 h2, h3, h4 { break-after: avoid }
 body { font: 1rem/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem;
        color: var(--ink); background: var(--paper) }
 figure { margin: 0; text-align: center; break-inside: avoid }
 figcaption, .note { color: var(--soft); font-size: .85rem }
 .row { display: grid; gap: .75rem; margin: 1rem 0; break-inside: avoid }
 img { width: 100%; border-radius: .3rem }
 .table { overflow-x: auto } table { border-collapse: collapse } tr { break-inside: avoid }
 td, th { padding: .25rem 1rem .25rem 0; text-align: left; border-bottom: 1px solid var(--line); vertical-align: top }
"""


def page(title: str, body: str, style: str = "") -> str:
    """Return a whole HTML page.

    Parameters
    ----------
    title : str
        Plain text.
    body : str
        HTML; what came from outside must be escaped.
    style : str
        CSS to add.
    """
    whole = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}{style}</style></head>\n<body>\n{body}\n</body></html>\n"
    )
    # A file's name may hold bytes that are no text in any encoding.
    return whole.encode("utf-8", "replace").decode()


def figure(pixels: np.ndarray, caption: str) -> str:
    """Return a picture, (H, W, 3) uint8, with plain text below it as HTML."""
    text = escape(caption)
    return f'<figure><img src="{picture(pixels)}" alt="{text}"><figcaption>{text}</figcaption></figure>'


def picture(pixels: np.ndarray) -> str:
    """Return a picture, (H, W, 3) uint8, as a data URI."""
    buffer = io.BytesIO()
    # A PNG is six times as large; halved colour would wash thin vessels out.
    Image.fromarray(pixels).save(buffer, "jpeg", quality=90, subsampling=0)
    return embedded(buffer.getvalue(), "image/jpeg")


def embedded(data: bytes, kind: str) -> str:
    """Return a file of a media type as a data URI."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return plain texts as an HTML table."""
    lines = "\n".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    return f'<div class="table"><table><thead><tr>{head}</tr></thead><tbody>\n{lines}\n</tbody></table></div>'
