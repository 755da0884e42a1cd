"""What describes the API, for whom it does not run: made from its routes and models alone.

`agentrooms postman --out docs/postman/agentrooms.json` writes the committed collection anew.
"""

from __future__ import annotations

import json
from typing import Any

from agentrooms.api import asyncapi, openapi, postman
from agentrooms.api.app import rest_app

PUBLIC_URL = "http://127.0.0.1:8000"  # where an API of this machine is


def openapi_document(public_url: str = PUBLIC_URL) -> dict[str, Any]:
    """Returns the OpenAPI document of an API at an origin."""
    return openapi.document(rest_app(None).routes, public_url)


def asyncapi_document(public_url: str = PUBLIC_URL) -> dict[str, Any]:
    """Returns the AsyncAPI document of an API at an origin."""
    return asyncapi.document(public_url)


def postman_collection(public_url: str = PUBLIC_URL) -> dict[str, Any]:
    """Returns the Postman collection of an API at an origin."""
    return postman.collection(openapi_document(public_url))


def text_of(description: dict[str, Any]) -> str:
    """Returns a description as it is written to files."""
    return json.dumps(description, indent=2, ensure_ascii=False) + "\n"
