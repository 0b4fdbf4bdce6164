"""What the repository promises about itself: README, CI, compose file, locks, and a start without secrets."""

import base64
import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from portal import vault

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
CI = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
LONG_RUNNING = sorted(set(SERVICES) - {"migrate"})


# -- README and CI ---------------------------------------------------------------------------------


def commands(text: str) -> list[str]:
    """The shell blocks of a document, line by line."""
    blocks = re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL)
    return [line.split("#")[0].strip() for block in blocks for line in block.splitlines() if line.strip()]


def test_readme_begins_with_the_two_commands_and_nothing_before_them() -> None:
    assert commands(README)[:2] == ["./run", "./run test"]


def test_ci_runs_the_readmes_own_test_command() -> None:
    lines = [line.strip() for line in CI.splitlines() if not line.strip().startswith("#")]
    calls = [re.sub(r'^part "[^"]*" ', "", line) for line in lines if "./run" in line]
    assert "./run test" in calls
    assert len(calls) == 2  # the other one: on servers of the system
    assert "DATABASE_URL" in CI
    assert "REDIS_URL" in CI


@pytest.mark.parametrize("name", ["run", ".ci/run", "deploy/entrypoint", "deploy/make-secrets", "manage.py"])
def test_scripts_can_be_executed(name: str) -> None:
    assert (ROOT / name).stat().st_mode & stat.S_IXUSR


@pytest.mark.parametrize(
    "name", [".ci/run", "deploy/entrypoint", "deploy/make-secrets", "deploy/stand-ins/postgres-entrypoint"]
)
def test_shell_scripts_parse(name: str) -> None:
    shell = "bash" if "bash" in (ROOT / name).read_text().splitlines()[0] else "sh"
    subprocess.run([shell, "-n", str(ROOT / name)], check=True)


def test_licence_is_apache_2() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
    assert text.rstrip().endswith("limitations under the License.")


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "docs/operations.md"])
def test_links_lead_somewhere(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)", text):
        if "://" not in target:
            assert ((ROOT / document).parent / target).exists(), target


# -- locks -------------------------------------------------------------------------------------------


def pins(name: str) -> dict[str, str]:
    """Requirement (with its marker) -> version."""
    text = (ROOT / "requirements" / f"{name}.lock").read_text(encoding="utf-8")
    found = re.findall(r"^([a-z0-9._-]+)==([^ ;\\]+)([^\\\n]*)", text, flags=re.MULTILINE)
    return {project + marker.strip(): version for project, version, marker in found}


@pytest.mark.parametrize(
    "name", ["production", "run", "dev", "agent", "frontend", "uv", "focus-toolkit", "focus-validator"]
)
def test_every_locked_package_has_its_hashes(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.lock").read_text(encoding="utf-8")
    blocks = re.split(r"\n(?=\S)", text.strip())
    assert blocks
    for block in blocks:
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", block), block.splitlines()[0]


def test_what_tests_install_contains_what_running_and_production_install() -> None:
    dev = pins("dev").items()
    assert pins("run").items() <= dev
    assert pins("production").items() <= pins("run").items()


def test_the_image_of_the_agent_has_no_other_versions_than_the_hub() -> None:
    assert pins("agent").items() <= pins("production").items()


# -- compose -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LONG_RUNNING)
def test_every_service_has_a_health_check_and_comes_back(name: str) -> None:
    service = SERVICES[name]
    assert service["healthcheck"]["test"]
    assert service["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_no_service_runs_as_root_or_may_become_it(name: str) -> None:
    service = SERVICES[name]
    if service["image"].startswith("${AQUIFER_IMAGE"):
        last_stage = (ROOT / "deploy" / "Dockerfile").read_text().rsplit("\nFROM ", 1)[1]
        assert re.search(r"^USER 10001:10001$", last_stage, flags=re.MULTILINE)
    else:
        assert service["user"] not in {"", "root", "0", 0}
    assert service["cap_drop"] == ["ALL"]
    assert service["read_only"] is True
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_secrets_come_from_files_that_are_not_in_the_repository() -> None:
    for name, secret in COMPOSE["secrets"].items():
        assert secret == {"file": f"./deploy/secrets/{name}"}
    tracked = subprocess.run(
        ["git", "ls-files", "deploy/secrets"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert tracked == ["deploy/secrets/.gitignore"]


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_no_secret_is_written_into_an_environment(name: str) -> None:
    for key, value in SERVICES[name].get("environment", {}).items():
        if re.search(r"KEY|PASSWORD|SECRET|TOKEN|DATABASE_URL|REDIS_URL", key):
            assert key.endswith("_FILE"), key
            assert str(value).startswith("/run/secrets/")
            assert str(value).removeprefix("/run/secrets/") in SERVICES[name]["secrets"]


def test_only_the_entry_is_published_and_on_loopback_unless_told_otherwise() -> None:
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["entry"]
    assert SERVICES["entry"]["ports"] == ["${AQUIFER_LISTEN:-127.0.0.1}:${AQUIFER_PORT:-8080}:8080"]


def test_database_and_broker_have_no_way_out() -> None:
    assert COMPOSE["networks"]["stores"]["internal"] is True
    assert SERVICES["db"]["networks"] == SERVICES["valkey"]["networks"] == ["stores"]
    assert "stores" not in SERVICES["entry"]["networks"]


@pytest.mark.parametrize("name", ["web", "worker", "beat", "watcher", "planner"])
def test_ours_waits_for_migrations_database_and_broker(name: str) -> None:
    assert SERVICES[name]["depends_on"] == {
        "migrate": {"condition": "service_completed_successfully"},
        "db": {"condition": "service_healthy"},
        "valkey": {"condition": "service_healthy"},
    }


@pytest.mark.parametrize("name", ["web", "worker"])
def test_what_is_scaled_has_no_name_or_port_of_its_own(name: str) -> None:
    assert not {"container_name", "ports", "hostname"} & set(SERVICES[name])


def test_images_and_base_image_are_settings() -> None:
    for name, service in SERVICES.items():
        assert service["image"].startswith("${"), name
    assert SERVICES["migrate"]["build"]["args"]["BASE_IMAGE"] == "${BASE_IMAGE:-debian:12}"
    assert (ROOT / "deploy" / "Dockerfile").read_text().count("FROM ${BASE_IMAGE}") == 2


def test_secrets_are_made_once_closed_to_others_and_fit_together(tmp_path: Path) -> None:
    deploy = tmp_path / "deploy"
    (deploy / "secrets").mkdir(parents=True)
    script = deploy / "make-secrets"
    script.write_text((ROOT / "deploy" / "make-secrets").read_text())
    for _ in range(2):
        subprocess.run(["sh", str(script)], check=True, capture_output=True)
        made = {file.name: file.read_text().strip() for file in (deploy / "secrets").iterdir()}
        first = locals().get("first", made)
        assert made == first
    assert sorted(made) == sorted(COMPOSE["secrets"])
    assert (deploy / "secrets").stat().st_mode & 0o777 == 0o700
    assert len(made["secret_key"]) == 64
    assert len(vault.read_keys(made["credential_keys"])) == 1
    assert f":{made['postgres_password']}@db:5432/" in made["database_url"]
    password = made["redis_url"].removeprefix("redis://:").split("@")[0]
    assert f"requirepass {password}" in made["valkey_conf"].splitlines()
    assert len({made["secret_key"], made["postgres_password"], password, made["credential_keys"]}) == 4


# -- production refuses --------------------------------------------------------------------------------

COMPLETE = {
    "AQUIFER_MODE": "production",
    "AQUIFER_SECRET_KEY": "k" * 50,
    "AQUIFER_CREDENTIAL_KEYS": base64.b64encode(b"c" * 32).decode(),
    "DATABASE_URL": "postgresql://aquifer@db/aquifer",
    "REDIS_URL": "redis://valkey:6379/0",
    "AQUIFER_ALLOWED_HOSTS": "aquifer.example.org",
}


def settings(env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "import portal.settings as s; print(s.SECRET_KEY, s.DATABASES['default']['HOST'])"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **env},
        capture_output=True,
        text=True,
        check=False,
    )


def test_production_starts_with_all_it_needs() -> None:
    done = settings(COMPLETE)
    assert done.stdout.split() == ["k" * 50, "db"], done.stderr


@pytest.mark.parametrize(
    "missing",
    ["AQUIFER_SECRET_KEY", "AQUIFER_CREDENTIAL_KEYS", "DATABASE_URL", "REDIS_URL", "AQUIFER_ALLOWED_HOSTS"],
)
@pytest.mark.parametrize("mode", [{"AQUIFER_MODE": "production"}, {}], ids=["production", "unset"])
def test_production_refuses_to_start_without(missing: str, mode: dict[str, str]) -> None:
    env = {name: value for name, value in COMPLETE.items() if name not in {missing, "AQUIFER_MODE"}}
    done = settings(env | mode)
    assert done.returncode != 0
    assert "ImproperlyConfigured" in done.stderr
    assert missing in done.stderr.splitlines()[-1]


def test_production_refuses_a_short_key() -> None:
    assert "shorter than 32" in settings(COMPLETE | {"AQUIFER_SECRET_KEY": "short"}).stderr


@pytest.mark.parametrize("keys", ["", " , ", "no base64", "c2hvcnQ=", "{}", "{0},{0}", "{0},c2hvcnQ="])
def test_production_refuses_credential_keys_that_are_none(keys: str) -> None:
    said = settings(COMPLETE | {"AQUIFER_CREDENTIAL_KEYS": keys.format(COMPLETE["AQUIFER_CREDENTIAL_KEYS"])})
    assert (said.returncode == 0) == (keys == "{}")
    if keys != "{}":
        assert "AQUIFER_CREDENTIAL_KEYS" in said.stderr.splitlines()[-1]
        assert "c2hvcnQ" not in said.stderr
        assert COMPLETE["AQUIFER_CREDENTIAL_KEYS"] not in said.stderr


def test_networks_of_sites_that_are_none_are_refused() -> None:
    assert settings(COMPLETE | {"AQUIFER_SITE_NETWORKS": "10.8.0.0/16, fd12::/48"}).returncode == 0
    said = settings(COMPLETE | {"AQUIFER_SITE_NETWORKS": "10.8.0.1/16"})
    assert "AQUIFER_SITE_NETWORKS" in said.stderr.splitlines()[-1]


def test_secrets_are_read_from_files(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("f" * 40 + "\n")
    env = {**COMPLETE, "AQUIFER_SECRET_KEY_FILE": str(tmp_path / "key")}
    del env["AQUIFER_SECRET_KEY"]
    assert settings(env).stdout.split()[0] == "f" * 40
    missing = settings(env | {"AQUIFER_SECRET_KEY_FILE": str(tmp_path / "none")})
    assert "cannot be read" in missing.stderr.splitlines()[-1]
