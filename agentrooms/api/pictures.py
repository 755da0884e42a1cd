"""What kind of picture some bytes are, by the bytes alone: what an origin says of them is not repeated."""

from __future__ import annotations

import re

SVG = "image/svg+xml"
HEAD_BYTES = 4_096  # of an SVG in which its root is looked for
_SVG = re.compile(
    r"\ufeff?\s*(<\?xml[^>]{0,200}\?>\s*)?(<!--.{0,1000}?-->\s*)?(<!DOCTYPE svg[^>\[]{0,300}>\s*)?<svg[\s>]", re.DOTALL
)
_AVIF = {b"avif", b"avis"}


def media_type(body: bytes) -> str | None:
    """Returns the type of a picture that browsers show, None for anything else."""
    if body.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if body.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if body.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if body[:4] == b"RIFF" and body[8:12] == b"WEBP":
        return "image/webp"
    if body[4:8] == b"ftyp" and body[8:12] in _AVIF:
        return "image/avif"
    return SVG if _SVG.match(body[:HEAD_BYTES].decode(errors="replace")) is not None else None
