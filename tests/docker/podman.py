"""A real Podman on this machine, with storage of its own, that leaves nothing behind. It has no daemon."""

import json
import os
import subprocess
import sys
from types import TracebackType
from typing import Self

from tests.docker.engine import IMAGE, missing
from tests.kube.container import make_images
from tests.kube.keeper import Keeper

PACKAGES = ("podman", "crun", "busybox-static")
_PROGRAMS = ("podman", "conmon", "busybox")


def why_not() -> str:
    return missing(_PROGRAMS, PACKAGES)


class Podman:
    def __init__(self) -> None:
        self.keeper = Keeper("podman")
        self.folder = self.keeper.folder

    @property
    def variables(self) -> dict[str, str]:
        """By which its command line finds this storage and no other."""
        return {
            "CONTAINERS_STORAGE_CONF": str(self.folder / "storage.conf"),
            "CONTAINERS_CONF": str(self.folder / "containers.conf"),
            "CONTAINERS_REGISTRIES_CONF": str(self.folder / "registries.conf"),
        }

    def __enter__(self) -> Self:
        try:
            self._write()
            # Containers that were made with this storage go by its own means, and take their mounts along.
            end = f"podman rm --all --force >/dev/null; umount -l {self.folder}/graph/overlay"
            words = [f"{name}={value}" for name, value in self.variables.items()]
            self.keeper.undo(["run", "/usr/bin/env", *words, "/bin/sh", "-c", f"{end} 2>/dev/null; true"])
            self._run("load", "--quiet", "--input", str(make_images(self.folder)))
            self._run("image", "inspect", IMAGE)
        except BaseException:
            self.keeper.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.keeper.close()

    def _write(self) -> None:
        (self.folder / "storage.conf").write_text(
            f'[storage]\ndriver = "vfs"\ngraphroot = "{self.folder}/graph"\nrunroot = "{self.folder}/run"\n'
        )
        (self.folder / "containers.conf").write_text(
            '[engine]\ncgroup_manager = "cgroupfs"\nruntime = "runc"\nevents_logger = "file"\n'
            f'tmp_dir = "{self.folder}/tmp"\n\n[containers]\n'
            'default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]\n'  # without CAP_SYS_RESOURCE none is raised
            f'[network]\nnetwork_config_dir = "{self.folder}/net"\n'
        )
        (self.folder / "registries.conf").write_text('[[registry]]\nlocation = "127.0.0.1:9"\ninsecure = true\n')
        (self.folder / "policy.json").write_text(json.dumps({"default": [{"type": "insecureAcceptAnything"}]}))

    def _run(self, *words: str) -> str:
        done = subprocess.run(
            ["podman", *words], env={**os.environ, **self.variables}, capture_output=True, text=True, timeout=120
        )
        if done.returncode:
            print(done.stderr, file=sys.stderr)
            done.check_returncode()
        return done.stdout
