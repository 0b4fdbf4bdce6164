"""The small image from which cloud-init sets up a machine when it first starts (NoCloud)."""

import io
import json
import shlex
from collections.abc import Mapping
from importlib import import_module

from federation.drivers.base import Boot, Unavailable, WorkloadSpec

DONE = "aquifer-exit-code:"  # what the serial console says when a command has ended
_JOB = "/usr/local/sbin/aquifer-job"


def files_of(spec: WorkloadSpec, instance: str) -> Mapping[str, str]:
    """`user-data` is JSON, which is YAML; with words of the user's own it is two documents in one."""
    boot = spec.boot or Boot()
    ours: dict[str, object] = {"hostname": _host_name(spec.name), "preserve_hostname": False}
    if boot.ssh_keys:
        ours["ssh_authorized_keys"] = list(boot.ssh_keys)
    if spec.command:
        ours["write_files"] = [{"path": _JOB, "permissions": "0700", "content": job_of(spec)}]
        ours["runcmd"] = [[_JOB]]
    text = f"#cloud-config\n{json.dumps(ours, indent=1)}\n"
    if boot.user_data:
        text = _both(text, boot.user_data)
    meta = {"instance-id": instance, "local-hostname": ours["hostname"]}
    return {"user-data": text, "meta-data": json.dumps(meta) + "\n"}


def job_of(spec: WorkloadSpec) -> str:
    """Runs the command and says on the console how it ended. What is no server goes off then."""
    lines = ["#!/bin/sh", *(f"export {k}={shlex.quote(v)}" for k, v in sorted(spec.env.items()))]
    lines.append(f"{shlex.join(spec.command)} >/dev/ttyS0 2>&1")
    lines.append("code=$?")
    lines.append(f'echo "{DONE} $code" >/dev/ttyS0')
    if spec.kind in ("training", "batch"):
        lines.append("poweroff")
    return "\n".join(lines) + "\n"


def _host_name(name: str) -> str:
    found = "".join(c if c.isascii() and c.isalnum() else "-" for c in name.lower()).strip("-")
    return found[:63] or "aquifer"


def _both(ours: str, theirs: str) -> str:
    """cloud-init reads a MIME message of several parts, each of its own kind."""
    kind = "text/cloud-config" if theirs.startswith("#cloud-config") else "text/x-shellscript"
    if not theirs.startswith("#"):
        kind = "text/plain"
    mark = "==aquifer=="
    while mark in theirs:
        mark += "="
    merge = 'Merge-Type: "list(append)+dict(no_replace,recurse_list)+str()"\n'
    parts = [("text/cloud-config", ours), (kind, theirs)]
    body = "".join(f"--{mark}\nContent-Type: {k}\n{merge}\n{t.rstrip()}\n\n" for k, t in parts)
    return f'Content-Type: multipart/mixed; boundary="{mark}"\nMIME-Version: 1.0\n\n{body}--{mark}--\n'


def image_of(files: Mapping[str, str]) -> bytes:
    """An ISO 9660 image of the label that cloud-init looks for. Raises Unavailable without its library."""
    try:
        pycdlib = import_module("pycdlib")
    except ImportError:
        raise Unavailable(
            "The library pycdlib is not installed where this runs: install Aquifer with its extra kvm."
        ) from None
    image = pycdlib.PyCdlib()
    image.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident="cidata")
    for number, (name, text) in enumerate(files.items()):
        data = text.encode()
        image.add_fp(io.BytesIO(data), len(data), f"/FILE{number}.;1", rr_name=name, joliet_path=f"/{name}")
    out = io.BytesIO()
    image.write_fp(out)
    image.close()
    return out.getvalue()
