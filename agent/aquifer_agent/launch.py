"""From the shim to the command: fork, wait for the word, give up rights, run. No shell in between."""

import errno
import os
import pwd
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aquifer_agent import containers, processes
from aquifer_agent import folder as f
from aquifer_agent.limits import Group

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
COMMAND_NOT_FOUND, COMMAND_NOT_RUNNABLE, COULD_NOT_START = 127, 126, 125


@dataclass(frozen=True, slots=True)
class Child:
    """The forked process, still waiting for `go`."""

    pid: int
    output: int  # read end of its stdout and stderr
    _go: int
    _complaint: int

    def go(self) -> tuple[int, str, str] | None:
        """Let it run the command. (exit code, reason, message) when that was not possible."""
        os.write(self._go, b"g")
        os.close(self._go)
        said = b""
        while piece := os.read(self._complaint, 4096):
            said += piece
        os.close(self._complaint)
        if not said:
            return None
        number, _, message = said.decode(errors="replace").partition(" ")
        code = int(number)
        if code == errno.ENOENT:
            return COMMAND_NOT_FOUND, "CommandNotFound", message
        if code in (errno.EACCES, errno.ENOEXEC, errno.EISDIR, errno.ENOTDIR):
            return COMMAND_NOT_RUNNABLE, "CommandNotRunnable", message
        return COULD_NOT_START, "CouldNotStart", message


def environment(plan: dict[str, Any], home: Path) -> dict[str, str]:
    """All that the command gets to see: nothing of the agent's own environment."""
    spec = plan["spec"]
    granted = ",".join(str(device["uuid"]) for device in spec.get("devices") or ())
    return {
        "PATH": DEFAULT_PATH,
        "HOME": str(home),
        "LANG": "C.UTF-8",
        **{str(name): str(value) for name, value in (spec.get("env") or {}).items()},
        "AQUIFER_REF": str(plan["ref"]),
        f.MARK: str(home.parent),
        "AQUIFER_REPLICA": str(spec.get("replica") or 0),
        "AQUIFER_REPLICAS": str(spec.get("replicas") or 1),
        "NVIDIA_VISIBLE_DEVICES": granted,
        "CUDA_VISIBLE_DEVICES": granted,
    }


def make_home(folder: Path, user: str | None) -> Path:
    home = folder / f.HOME
    home.mkdir(mode=0o700, exist_ok=True)
    if user:
        account = pwd.getpwnam(user)
        os.chown(home, account.pw_uid, account.pw_gid)
    return home


def fork(plan: dict[str, Any], home: Path, group: Group) -> Child:
    """A process in its own session that runs the command once `go` is called, and dies with us before that."""
    output_read, output_write = os.pipe()
    go_read, go_write = os.pipe()
    complaint_read, complaint_write = os.pipe()
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(go_write)
            os.close(output_read)
            _become(plan, home, group, parent, output_write, go_read)
        except OSError as error:
            words = (plan.get("container") or {}).get("argv") or plan["spec"]["command"]
            where = error.filename if isinstance(error.filename, str) else words[0]
            os.write(complaint_write, f"{error.errno or 0} {where}: {error.strerror}".encode()[:4000])
        except BaseException as error:
            os.write(complaint_write, f"0 {type(error).__name__}: {error}".encode()[:4000])
        finally:
            os._exit(COULD_NOT_START)
    for fd in (output_write, go_read, complaint_write):
        os.close(fd)
    os.set_blocking(output_read, False)
    return Child(pid, output_read, go_write, complaint_read)


def _become(plan: dict[str, Any], home: Path, group: Group, parent: int, output: int, go: int) -> None:
    """Everything between fork and exec, in the order that rights allow. The command never sees our descriptors."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    os.setsid()
    spec = plan["spec"]
    if not plan.get("container"):  # its limits are the engine's to keep
        group.enter()
    os.chdir(home)  # while we may: folders above it can be closed to the user
    container = plan.get("container")
    if (user := plan.get("run_as")) and not container:  # the engine makes a container's user of it
        account = pwd.getpwnam(user)
        os.initgroups(user, account.pw_gid)
        os.setgid(account.pw_gid)
        os.setuid(account.pw_uid)
    processes.take_no_privileges()
    processes.die_with_parent()
    if os.getppid() != parent:
        os._exit(COULD_NOT_START)
    os.umask(0o022)
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    if os.read(go, 1) != b"g":  # the shim is gone: this run has not begun
        os._exit(COULD_NOT_START)
    if container:
        os.execvpe(container["program"], container["argv"], containers.environment())  # noqa: S606 - a list of words
    variables = environment(plan, home)
    command = [str(word) for word in spec["command"]]
    group.limit_this_process(int(spec.get("memory_mib") or 0), has_devices=bool(spec.get("devices")))
    os.execvpe(command[0], command, variables)  # noqa: S606 - a list of words and no shell is the point
