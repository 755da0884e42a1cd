"""The files that deploy the program, and every command that stands in them."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = Path(__file__).parent / "schemas"
_AND = re.compile(r"\s*(?:&&|;)\s*")


def compose() -> dict[str, Any]:
    return _yaml("docker-compose.yml")[0]


def ray_cluster() -> dict[str, Any]:
    return _yaml("ray-cluster.yaml")[0]


def kuberay() -> list[dict[str, Any]]:
    return _yaml("deploy/kuberay.yaml")


def schema(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((SCHEMAS / name).read_text(encoding="utf-8"))
    return loaded


def containers(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the containers of a manifest's pods."""
    spec = document["spec"]
    templates = [spec.get("template"), spec.get("headGroupSpec", {}).get("template")]
    templates += [group["template"] for group in spec.get("workerGroupSpecs", [])]
    return [container for template in templates if template for container in template["spec"]["containers"]]


def commands() -> set[tuple[str, ...]]:
    """Returns each command of the program, of Ray or of Python in the files, as words."""
    found = [*_dockerfile(), *_compose(), *_launcher(), *_kuberay()]
    ours = {"agentrooms", "ray", "python", "python3.11"}
    return {(Path(words[0]).name, *words[1:]) for words in found if Path(words[0]).name in ours}


def _yaml(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((ROOT / name).read_text(encoding="utf-8")))


def _script(text: str) -> Iterator[list[str]]:
    """Yields the simple commands of a shell line, without `exec` and settings of variables."""
    for part in _AND.split(text):
        words = shlex.split(part)
        while words and (words[0] == "exec" or re.fullmatch(r"[A-Z_]+=.*", words[0])):
            del words[0]
        if words:
            yield words


def _command(words: list[str]) -> Iterator[list[str]]:
    yield from _script(words[2]) if words[:2] == ["sh", "-c"] else [words]


def _dockerfile() -> Iterator[list[str]]:
    for line in (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines():
        if line.startswith("RUN "):
            yield from _script(line.removeprefix("RUN "))
        if line.startswith("CMD "):
            yield from _command(json.loads(line.removeprefix("CMD ")))


def _compose() -> Iterator[list[str]]:
    for service in compose()["services"].values():
        yield from _command(service.get("command", ["none"]))
        yield from _command(service.get("healthcheck", {}).get("test", ["CMD", "none"])[1:])


def _launcher() -> Iterator[list[str]]:
    for key, lines in ray_cluster().items():
        if key.endswith("_commands"):
            for line in lines:
                yield from _script(line)


def _kuberay() -> Iterator[list[str]]:
    for document in kuberay():
        for container in containers(document):
            yield from _command([*container.get("command", ["none"]), *container.get("args", [])])
        spec = document["spec"]
        for group in [*([spec["headGroupSpec"]] if "headGroupSpec" in spec else []), *spec.get("workerGroupSpecs", [])]:
            # The operator makes the command of these; a flag has the value "true", a quoted value is unquoted by its shell.
            flags = [
                f"--{name}" if value == "true" else f"--{name}={shlex.split(value)[0]}"
                for name, value in group["rayStartParams"].items()
            ]
            yield ["ray", "start", *flags]
