"""The pages of /api/docs: Swagger UI from its package, and the messages of the sockets. Nothing comes from elsewhere."""

from __future__ import annotations

import json
import mimetypes
import re
from functools import lru_cache
from html import escape
from pathlib import Path
from typing import Any

import swagger_ui_bundle  # type: ignore[import-untyped]
from fastapi import Response

PAGES = Path(__file__).parent / "pages"
SWAGGER = Path(swagger_ui_bundle.swagger_ui_path)
FILES = {
    "swagger-ui.css": SWAGGER,
    "swagger-ui-bundle.js": SWAGGER,
    "favicon-32x32.png": SWAGGER,
    "docs.css": PAGES,
    "docs.js": PAGES,
}
"""What can be asked for by name, and the folder it is in; no other name reaches a folder."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Swagger UI sets styles of single elements; scripts come from files of ours alone."""
KEPT_S = 3_600


def page(name: str) -> Response:
    """Returns a page that is in a file."""
    return _html((PAGES / name).read_text(encoding="utf-8"))


def file(name: str) -> Response | None:
    """Returns a file that pages need, None for a name that is none."""
    folder = FILES.get(name)
    if folder is None:
        return None
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return Response(_bytes(folder / name), media_type=kind, headers={"Cache-Control": f"max-age={KEPT_S}"})


def sockets_page(document: dict[str, Any]) -> Response:
    """Returns the page of the sockets, made from their AsyncAPI document."""
    operations = document["operations"].values()
    said = [_name(one) for one in operations if one["action"] == "receive"]
    heard = [_name(one) for one in operations if one["action"] == "send"]
    about = "".join(map(_prose, document["info"]["description"].split("\n\n")))
    body = (
        f"{about}{_prose(document['channels']['socket']['description'])}"
        f"<h2>What clients say</h2>{_messages(document, said)}"
        f"<h2>What the server says</h2>{_messages(document, heard)}"
    )
    return _html((PAGES / "sockets.html").read_text(encoding="utf-8").replace("{{body}}", body))


@lru_cache(maxsize=len(FILES))
def _bytes(path: Path) -> bytes:
    return path.read_bytes()


def _html(text: str) -> Response:
    return Response(text, media_type="text/html", headers={"Content-Security-Policy": POLICY})


def _prose(text: str) -> str:
    """Returns a paragraph, with numbered points on lines of their own and code marked as such."""
    lines = re.sub(r"\n(?=\d\. )", "<br>", escape(text.strip())).replace("\n", " ")
    marked = re.sub(r"`([^`]+)`", r"<code>\1</code>", lines)
    return f"<p>{marked}</p>"


def _name(operation: dict[str, Any]) -> str:
    return str(operation["messages"][0]["$ref"].rpartition("/")[2])


def _messages(document: dict[str, Any], names: list[str]) -> str:
    links = " ".join(f'<a href="#{name}"><code>{name}</code></a>' for name in names)
    return f"<p>{links}</p>" + "".join(_message(document, name) for name in names)


def _message(document: dict[str, Any], name: str) -> str:
    message = document["components"]["messages"][name]
    schema = document["components"]["schemas"][message["payload"]["$ref"].rpartition("/")[2]]
    needed = schema.get("required", ())
    rows = "".join(_row(field, inner, must=field in needed) for field, inner in schema["properties"].items())
    shown = json.dumps(message["examples"][0]["payload"], indent=2, ensure_ascii=False)
    return (
        f'<section id="{name}"><h3><code>{name}</code></h3><p>{escape(message["summary"])}</p>'
        f"<table><thead><tr><th>field</th><th>type</th><th>must</th><th>meaning</th></tr></thead><tbody>{rows}</tbody>"
        f"</table><details><summary>Example</summary><pre>{escape(shown)}</pre></details></section>"
    )


def _row(field: str, schema: dict[str, Any], *, must: bool) -> str:
    cells = (
        f"<code>{field}</code>",
        escape(_kind(schema)),
        "yes" if must else "",
        escape(schema.get("description", "")),
    )
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _kind(schema: dict[str, Any]) -> str:
    """Returns a schema's type in words."""
    match schema:
        case {"$ref": ref}:
            return str(ref.rpartition("/")[2])
        case {"const": value}:
            return json.dumps(value)
        case {"enum": values}:
            return " | ".join(json.dumps(value) for value in values)
        case {"anyOf": choices} | {"oneOf": choices}:
            return " or ".join(dict.fromkeys(_kind(choice) for choice in choices))
        case {"type": "array", "items": items}:
            return f"list of {_kind(items)}"
    return str(schema.get("type", "any"))
