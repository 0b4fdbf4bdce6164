"""The agent as one file and as a Debian package: the same bytes each time, and they run."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from agentsite import PACKAGE, Site
from aquifer_agent import VERSION
from fakehub import FakeHub

sys.path.append(str(PACKAGE / "packaging"))
SECRETS = (b"identity.json", b"agent_token", b"join-")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    done = subprocess.run(
        [sys.executable, "-I", str(PACKAGE / "packaging" / "build.py"), "--out", str(out)],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert len(done.stdout.splitlines()) == 2
    return out


@pytest.fixture
def deb(built: Path) -> Path:
    if not shutil.which("dpkg-deb"):
        pytest.skip("dpkg is not installed here")
    return next(built.glob("*.deb"))


def test_the_same_sources_give_the_same_bytes_wherever_and_whenever(built: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere"
    for name in ("aquifer_agent", "packaging"):
        shutil.copytree(PACKAGE / name, copy / "agent" / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PACKAGE.parent / "LICENSE", copy)
    for file in copy.rglob("*"):
        os.utime(file, (1, 1))
        file.chmod(0o700)
    words = [sys.executable, "-I", str(copy / "agent" / "packaging" / "build.py"), "--out", str(tmp_path / "again")]
    subprocess.run(words, check=True, capture_output=True, timeout=60, env={"TZ": "Asia/Shanghai", "LANG": "C"})
    for file in built.iterdir():
        again = tmp_path / "again" / file.name
        assert hashlib.sha256(again.read_bytes()).hexdigest() == hashlib.sha256(file.read_bytes()).hexdigest()


def test_the_one_file_needs_nothing_beside_it_and_runs_work(
    built: Path, hub: FakeHub, site: Site, tmp_path: Path
) -> None:
    alone = tmp_path / "bin" / "agent.pyz"
    alone.parent.mkdir()
    shutil.copy(built / "aquifer-agent.pyz", alone)

    def call(*words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-I", str(alone), *words], env={"PATH": os.environ["PATH"], "JOIN": "join-0123456789"},
            cwd="/", capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip

    assert call("--version").stdout == f"{VERSION}\n"
    joined = call("enrol", "--hub", hub.url, "--join-token-env", "JOIN", "--state-dir", str(site.state_dir))
    assert joined.returncode == 0, joined.stderr
    assert call("run-cluster", "--hub", hub.url).returncode == 2, "that comes as an image"
    hub.want("job", "sh", "-c", "echo from one file")
    agent = subprocess.Popen([sys.executable, "-I", str(alone), "run", "--state-dir", str(site.state_dir)], cwd="/")
    site.agents.append(agent)
    hub.wait_state("job", "succeeded")
    hub.wait(lambda: hub.logs.get("job") == "from one file\n")


def test_the_package_holds_what_it_should_and_no_secret(deb: Path, tmp_path: Path) -> None:
    fields = subprocess.run(["dpkg-deb", "-f", str(deb)], capture_output=True, text=True, check=True).stdout
    assert f"Package: aquifer-agent\nVersion: {VERSION}\n" in fields
    subprocess.run(["dpkg-deb", "-R", str(deb), str(tmp_path / "x")], check=True)
    files = {str(file.relative_to(tmp_path / "x")) for file in (tmp_path / "x").rglob("*") if file.is_file()}
    assert {
        "usr/bin/aquifer-agent", "usr/lib/aquifer-agent/aquifer-agent.pyz", "etc/aquifer-agent/agent.conf",
        "usr/lib/systemd/system/aquifer-agent.service", "etc/aquifer-agent/release-keys", "DEBIAN/conffiles",
    } <= files  # fmt: skip
    for conffile in (tmp_path / "x" / "DEBIAN" / "conffiles").read_text().split():
        assert conffile.lstrip("/") in files
    keys = tmp_path / "x" / "etc" / "aquifer-agent" / "release-keys"
    assert all(line.startswith("#") for line in keys.read_text().splitlines()), "whose releases: the owner says"
    for name in ("postinst", "prerm", "postrm", "conffiles"):
        text = (tmp_path / "x" / "DEBIAN" / name).read_bytes()
        assert not any(secret in text for secret in SECRETS)
    sums = subprocess.run(["md5sum", "-c", "DEBIAN/md5sums"], cwd=tmp_path / "x", capture_output=True, check=False)
    assert sums.returncode == 0


def test_lintian_has_nothing_to_say(deb: Path) -> None:
    if not shutil.which("lintian"):
        pytest.skip("lintian is not installed here")
    words = ["lintian", "--allow-root", "--fail-on", "error,warning", "--tag-display-limit", "0", str(deb)]
    said = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    assert (said.returncode, said.stdout) == (0, "")


def test_systemd_understands_the_unit(deb: Path, tmp_path: Path) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd is not installed here")
    subprocess.run(["dpkg-deb", "-x", str(deb), str(tmp_path / "root")], check=True)
    unit = tmp_path / "aquifer-agent.service"
    text = (tmp_path / "root" / "usr/lib/systemd/system/aquifer-agent.service").read_text()
    command = "/usr/bin/aquifer-agent"
    assert f"ExecStart={command} run " in text
    unit.write_text(text.replace(f"ExecStart={command}", f"ExecStart={tmp_path}/root{command}"))
    words = ["systemd-analyze", "verify", "--man=no", str(unit)]
    said = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert (said.returncode, said.stderr) == (0, "")
    for line in ("KillMode=process", "Delegate=yes", "NoNewPrivileges=yes", "RestartPreventExitStatus=2 3"):
        assert f"\n{line}\n" in text


INSTALL = """
set -e
mount -t tmpfs tmpfs {place}
mkdir {place}/up {place}/work {place}/root
mount -t overlay overlay -o lowerdir=/,upperdir={place}/up,workdir={place}/work {place}/root || exit 77
cp {deb} {place}/root/agent.deb
mount -t tmpfs tmpfs {place}/root/run
chroot {place}/root sh -ec '
    mount -t proc proc /proc
    dpkg -i /agent.deb
    aquifer-agent --version
    id -u aquifer
    stat -c "%a %U" /var/lib/aquifer-agent
    touch /var/lib/aquifer-agent/identity.json
    echo "# mine" >> /etc/aquifer-agent/agent.conf
    dpkg -i /agent.deb
    tail -1 /etc/aquifer-agent/agent.conf
    dpkg -r aquifer-agent
    ls /var/lib/aquifer-agent
    dpkg -P aquifer-agent
    ls /var/lib/aquifer-agent /etc/aquifer-agent /usr/lib/aquifer-agent 2>&1 | wc -l
    rm /agent.deb
'
"""


def test_it_installs_upgrades_and_goes_on_a_debian_that_is_only_ours(deb: Path, tmp_path: Path) -> None:
    """In a view of this machine of its own: what is written there is gone with it."""
    if os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip("needs root, to make a view of the machine of its own")
    if subprocess.run(["dpkg", "-s", "adduser", "init-system-helpers"], capture_output=True, check=False).returncode:
        pytest.skip("adduser or init-system-helpers is not installed here")
    place = tmp_path / "place"
    place.mkdir()
    done = subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "sh", "-c", INSTALL.format(place=place, deb=deb)],
        capture_output=True, text=True, check=False, timeout=200,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive"},
    )  # fmt: skip
    if done.returncode == 77 or "unshare failed" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"no view of the machine can be made here: {done.stderr.strip()[-200:]}")
    assert done.returncode == 0, done.stdout + done.stderr
    dpkg_says = ("(Reading", "Preparing", "Unpacking", "Setting", "Selecting", "Removing", "Purging", "Processing")
    said = [line for line in done.stdout.splitlines() if not line.startswith(dpkg_says)]
    assert said[0] == VERSION
    assert int(said[1]) < 1000, "a user of the system's"
    assert said[2] == "711 root"
    assert "# mine" in said, "what the owner has written stays"
    assert "identity.json" in said, "removed, but not purged, it still knows who it is"
    assert said[-1] == "3", "purged, nothing is left"
    assert not Path("/var/lib/aquifer-agent").exists() and not Path("/usr/lib/aquifer-agent").exists()
