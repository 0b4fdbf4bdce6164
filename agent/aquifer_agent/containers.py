"""Work in a container: by the command line of Docker or Podman, run under the shim like any other command.

The shim starts `docker run` (or `podman run`) attached, so output, exit code and stops go the same way as those of a
process. What differs is that the container is not below the shim: it is known by its name, and whoever ends the work
removes it by that name until the engine says that it is not there.
"""

import json
import os
import pwd
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aquifer_agent import cdi
from aquifer_agent import folder as f
from aquifer_agent.limits import MOST_PROCESSES
from aquifer_agent.orders import Refused

RUNTIMES = ("docker", "podman")
CHOICES = ("auto", "process", *RUNTIMES)
LABEL = "aquifer.io/agent-run"
# What the programs need of the agent's own environment; nothing of it reaches a container.
PASSED = ("DOCKER_HOST", "DOCKER_CONFIG", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY", "CONTAINER_HOST", "CONTAINERS_CONF",
          "CONTAINERS_STORAGE_CONF", "CONTAINERS_REGISTRIES_CONF", "XDG_RUNTIME_DIR", "HOME")  # fmt: skip
ENV_FILE = "container.env"
_LOOK_SECONDS = 10.0
_CDI_SINCE = {"docker": (25, 0), "podman": (4, 1)}


@dataclass(frozen=True, slots=True)
class Runtime:
    name: str
    program: str
    version: str

    @property
    def knows_cdi(self) -> bool:
        numbers = tuple(int(word) for word in self.version.split(".")[:2] if word.isdigit())
        return numbers >= _CDI_SINCE[self.name]


@dataclass(frozen=True, slots=True)
class Runtimes:
    """What this machine can run containers with, and the operator lets it."""

    found: tuple[Runtime, ...] = ()
    network: str = ""  # the engine's own choice otherwise

    def labels(self) -> dict[str, str]:
        names = ["process", *(runtime.name for runtime in self.found)]
        versions = {f"aquifer.io/{runtime.name}": runtime.version for runtime in self.found}
        return {"aquifer.io/runtimes": ",".join(names), **versions}

    def for_work(self, spec: Mapping[str, Any]) -> Runtime | None:
        """None: it runs as a process."""
        return self.found[0] if spec.get("image") and self.found else None


def detect(wanted: str = "auto", network: str = "") -> Runtimes:
    """Raises OSError when the one that is wanted does not answer here."""
    if wanted == "process":
        return Runtimes()
    found = [runtime for name in RUNTIMES if wanted in ("auto", name) and (runtime := _look(name))]
    if wanted != "auto" and not found:
        raise OSError(f"{wanted} does not answer here: is it installed and running, and may this user reach it?")
    return Runtimes(tuple(found), network)


def _look(name: str) -> Runtime | None:
    program = shutil.which(name)
    if program is None:
        return None
    which = "{{.Server.Version}}" if name == "docker" else "{{.Client.Version}}"
    done = call([program, "version", "--format", which], _LOOK_SECONDS)
    version = done.stdout.strip().splitlines()[-1:] if done and done.returncode == 0 else []
    return Runtime(name, program, version[0][:60]) if version and version[0][:1].isdigit() else None


def call(argv: Sequence[str], seconds: float = _LOOK_SECONDS) -> "subprocess.CompletedProcess[str] | None":
    """None when it did not answer in time, or could not be started."""
    try:
        return subprocess.run(  # noqa: S603 - the program that was found, a list of words and no shell
            argv, env=environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            timeout=seconds, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None


def environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in PASSED if name in os.environ}
    kept.setdefault("HOME", pwd.getpwuid(os.geteuid()).pw_dir)
    return {"PATH": os.environ.get("PATH", os.defpath), **kept}


# -- the order, as a command line --------------------------------------------------------------------------


def check(spec: Mapping[str, Any]) -> None:
    """Raises Refused for what no container could be asked for by a command line."""
    image = spec.get("image")
    if not isinstance(image, str) or not image or image.startswith("-") or not image.isprintable() or " " in image:
        raise Refused("InvalidSpec", "The image is no name of an image.")
    for name, value in (spec.get("env") or {}).items():
        if any(sign in f"{name}{value}" for sign in "\r\n") or name.startswith("#") or name.strip() != name:
            raise Refused("InvalidSpec", f"{name[:60]!r}: a variable of a container may have no line break.")


def plan(
    runtime: Runtime, ref: str, spec: Mapping[str, Any], *, run_as: str | None, network: str, folder: Path,
    cards: Sequence[Mapping[str, Any]], owner: str,
) -> dict[str, Any]:  # fmt: skip
    """All that is needed to start this container, to look at it and to remove it, whoever does."""
    name = f"aquifer-{ref}"
    words = [
        runtime.program, "run", f"--name={name}", f"--label={LABEL}={owner}", "--pull=never", "--restart=no",
        "--log-driver=none", f"--env-file={folder / ENV_FILE}", f"--pids-limit={MOST_PROCESSES}",
        "--security-opt=no-new-privileges",
    ]  # fmt: skip
    if runtime.name == "docker":  # Podman takes any limit of this kind for all of them, and then raises the others
        words.append("--ulimit=core=0:0")
    if cpu := int(spec.get("cpu_milli") or 0):
        words.append(f"--cpus={min(cpu / 1000, os.cpu_count() or 1):g}")
    if memory := int(spec.get("memory_mib") or 0):
        words += [f"--memory={memory}m", f"--memory-swap={memory}m"]
    if run_as:
        account = pwd.getpwnam(run_as)
        words.append(f"--user={account.pw_uid}:{account.pw_gid}")
    if network:
        words.append(f"--network={network}")
    handed = cdi.handing(cards, runtime.name, knows_cdi=runtime.knows_cdi)
    words += [*handed.words, str(spec["image"])]
    command = [str(word) for word in spec.get("command") or ()]
    if command:
        words = [*words[:-1], f"--entrypoint={command[0]}", words[-1], *command[1:]]
    return {"runtime": runtime.name, "program": runtime.program, "name": name, "argv": words, "env": handed.env}


def write_environment(folder: Path, plan: Mapping[str, Any]) -> None:
    """What the container sees, in a file: variables hold secrets, and command lines are read by all of a machine."""
    spec = plan["spec"]
    variables = {
        **{str(name): str(value) for name, value in (spec.get("env") or {}).items()},
        "AQUIFER_REF": str(plan["ref"]),
        f.MARK: str(folder),
        "AQUIFER_REPLICA": str(spec.get("replica") or 0),
        "AQUIFER_REPLICAS": str(spec.get("replicas") or 1),
        **plan["container"]["env"],
    }
    descriptor = os.open(folder / ENV_FILE, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.writelines(f"{name}={value}\n" for name, value in variables.items())


# -- looking and ending --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class State:
    """How a container is, or was when it ended."""

    has_started: bool
    is_running: bool
    exit_code: int
    ran_out_of_memory: bool
    error: str


def has_image(container: Mapping[str, Any], image: str) -> bool:
    done = call([container["program"], "image", "inspect", "--format", "{{.Id}}", image])
    return done is not None and done.returncode == 0


def look(container: Mapping[str, Any]) -> State | None:
    """None when there is none, or the engine does not answer."""
    done = call([container["program"], "container", "inspect", container["name"]])
    if done is None or done.returncode:
        return None
    try:
        state = json.loads(done.stdout)[0]["State"]
        began = str(state.get("StartedAt") or "")
        return State(
            not began.startswith("0001-"), bool(state.get("Running")), int(state["ExitCode"]),
            bool(state.get("OOMKilled")), str(state.get("Error") or "")[:900],
        )  # fmt: skip
    except (ValueError, KeyError, IndexError, TypeError):
        return None


def remove(container: Mapping[str, Any]) -> bool:
    """SIGKILL, and nothing of it is left. True only when the engine has said so."""
    done = call([container["program"], "rm", "--force", "--volumes", container["name"]])
    if done is None:
        return False
    return done.returncode == 0 or "no such container" in (done.stderr + done.stdout).lower()


def strays(runtimes: Runtimes, known: Sequence[str], owner: str) -> list[str]:
    """Removes containers of runs of this agent that it does not know any more; their names."""
    gone = []
    for runtime in runtimes.found:
        done = call([runtime.program, "ps", "--all", f"--filter=label={LABEL}={owner}", "--format={{.Names}}"])
        for name in done.stdout.split() if done is not None and done.returncode == 0 else ():
            if name.removeprefix("aquifer-") not in known and remove({"program": runtime.program, "name": name}):
                gone.append(name)
    return gone
