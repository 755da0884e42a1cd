"""The deployment files have the form their tools ask for, and name only commands that exist."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from functools import cache
from importlib import metadata
from typing import Any

import jsonschema
import pytest

from agentrooms.services.ray import HEAD, HEAD_UNITS
from agentrooms.services.settings import Settings
from tests.services.deployment import ROOT, commands, compose, containers, kuberay, ray_cluster, schema

COMMANDS = sorted(commands())


def test_the_compose_file_has_the_form_of_the_specification() -> None:
    jsonschema.Draft202012Validator(schema("compose-spec.json")).validate(compose())


def test_compose_brings_all_parts_and_refers_only_to_what_it_has() -> None:
    parts = compose()["services"]
    assert set(parts) == {"postgres", "redis", "ray-head", "ray-worker", "app", "api"}
    assert parts["postgres"]["image"] == "postgres:16"
    assert parts["redis"]["image"] == "redis:7"
    for part in parts.values():
        for needed in part.get("depends_on", {}):
            assert "healthcheck" in parts[needed]  # or waiting for its health would never end
    known = {name.upper() for name in Settings.model_fields} | {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN"}
    assert set(parts["app"]["environment"]) | set(parts["api"]["environment"]) <= known
    assert [name for name, part in parts.items() if "ports" in part] == ["api"], "nothing else is reached from outside"


def test_the_launchers_file_passes_rays_own_check() -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    validate_config(prepare_config(ray_cluster()))


def test_the_manifest_has_the_form_of_its_kinds() -> None:
    validator = jsonschema.Draft202012Validator(schema("kuberay.json"))
    documents = kuberay()
    assert [document["kind"] for document in documents] == ["RayCluster", "Deployment", "PersistentVolumeClaim"]
    for document in documents:
        validator.validate(document)


@pytest.mark.parametrize("field", ["enableInTreeAutoscalling", "rayversion", "suspended"])
def test_a_field_that_does_not_exist_is_found(field: str) -> None:
    cluster = kuberay()[0]
    cluster["spec"][field] = True
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(cluster, schema("kuberay.json"))


def test_the_manifest_names_the_versions_that_are_installed() -> None:
    cluster, app, claim = kuberay()
    assert cluster["spec"]["rayVersion"] == metadata.version("ray")
    images = {container["image"] for document in (cluster, app) for container in containers(document)}
    assert images == {f"agentrooms:{metadata.version('agentrooms')}"}
    volumes = app["spec"]["template"]["spec"]["volumes"]
    assert claim["metadata"]["name"] in [volume.get("persistentVolumeClaim", {}).get("claimName") for volume in volumes]
    assert app["spec"]["selector"]["matchLabels"] == app["spec"]["template"]["metadata"]["labels"]


def test_each_cluster_has_a_head_without_cpus() -> None:
    heads = [
        words for words in COMMANDS if f"--resources={json.dumps({HEAD: HEAD_UNITS})}".replace(" ", "") in _dense(words)
    ]
    assert len(heads) == 3  # compose, launcher and operator
    assert all("--num-cpus=0" in words for words in heads)


def _dense(words: tuple[str, ...]) -> list[str]:
    return [word.replace(" ", "") for word in words]


@pytest.mark.parametrize("words", [words for words in COMMANDS if words[0] in {"ray", "agentrooms"}], ids=" ".join)
def test_a_command_of_click_parses(words: tuple[str, ...]) -> None:
    if words[0] == "ray":
        from ray.scripts.scripts import cli as group
    else:
        from agentrooms.cli.app import command

        group = command()
    found: Any = group.commands[words[1]]
    found.make_context(words[1], list(words[2:]))  # parses and checks; runs nothing


@cache
def shown_help(*path: str) -> str:
    return subprocess.run([sys.executable, *path, "--help"], check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("words", [words for words in COMMANDS if words[0].startswith("python")], ids=" ".join)
def test_a_command_of_python_knows_its_options(words: tuple[str, ...]) -> None:
    shown = shown_help(*(word for word in words[1:4] if word in {"-m", "pip", "venv", "install"}))
    options = [word.split("=")[0] for word in words if word.startswith("--")]
    assert [option for option in options if not re.search(rf"{option}\b", shown)] == []


def test_the_image_holds_what_it_copies_and_runs_as_a_normal_user() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    copied = [word for line in re.findall(r"^COPY (.+)$", text, re.MULTILINE) for word in line.split()[:-1]]
    allowed = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert all((ROOT / name).exists() for name in copied)
    assert [name for name in copied if f"!{name}" not in allowed] == []
    assert text.index("USER agentrooms") < text.index("CMD")
    assert "--require-hashes" in text
