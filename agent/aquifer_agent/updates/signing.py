"""The operator's side, on the operator's own machine: `aquifer-agent sign-release`.

The private key is used by openssl alone, so that it may as well lie in a token or be made elsewhere; we never read it.
"""

import argparse
import base64
import hashlib
import json
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aquifer_agent.updates import ed25519
from aquifer_agent.updates import manifest as m

FAILED = 1


class CannotSign(Exception):
    """Said to the user as it is."""


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    sign = commands.add_parser("sign-release", help="for operators: say what a release of the agent is, and sign it")
    sign.add_argument("pyz", type=Path, help="the release, aquifer-agent.pyz")
    sign.add_argument("--key", required=True, type=Path, metavar="FILE", help="private Ed25519 key (PEM, for openssl)")
    sign.add_argument("--serial", required=True, type=int, help="higher than that of every release signed before")
    sign.add_argument("--minimum-version", default="0.0.0", metavar="VERSION", help="of agents that may take it")
    sign.add_argument("--days", type=int, default=90, help="how long agents may take it (90)")
    sign.add_argument("--not-before", metavar="TIME", help="ISO 8601 with offset (now)")
    sign.add_argument("--out", type=Path, metavar="DIR", help="where the two files go (beside the release)")
    sign.set_defaults(call=_sign)
    show = commands.add_parser("release-key", help="for operators: the public line that agents are given")
    show.add_argument("--key", required=True, type=Path, metavar="FILE", help="private Ed25519 key (PEM)")
    show.add_argument("--whose", default="", help="a word on whose key it is")
    show.set_defaults(call=_show_key)


def _show_key(options: argparse.Namespace) -> int:
    try:
        print(m.key_line(public_key(options.key), options.whose))
    except CannotSign as error:
        print(f"aquifer-agent: {error}", file=sys.stderr)
        return FAILED
    return 0


def _sign(options: argparse.Namespace) -> int:
    try:
        text = text_of(options)
        signature = sign(text, options.key)
        m.opened(text, signature, [public_key(options.key)])  # what agents will do
    except (CannotSign, m.Refusal) as error:
        print(f"aquifer-agent: {error}", file=sys.stderr)
        return FAILED
    folder = options.out or options.pyz.resolve().parent
    folder.mkdir(parents=True, exist_ok=True)
    manifest, signed = folder / f"{options.pyz.name}.manifest", folder / f"{options.pyz.name}.sig"
    manifest.write_text(text, encoding="utf-8")
    signed.write_text(signature + "\n", encoding="ascii")
    print(f"{manifest}\n{signed}")
    return 0


def text_of(options: argparse.Namespace) -> str:
    data = options.pyz.read_bytes()
    try:
        begins = datetime.fromisoformat(options.not_before) if options.not_before else datetime.now(UTC)
    except ValueError as error:
        raise CannotSign(f"--not-before: {error}.") from None
    said = {
        "format": m.FORMAT,
        "version": version_of(options.pyz),
        "minimum_version": options.minimum_version,
        "serial": options.serial,
        "size": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "not_before": begins.replace(microsecond=0).isoformat(),
        "expires": (begins.replace(microsecond=0) + timedelta(days=options.days)).isoformat(),
    }
    text = json.dumps(said, indent=1) + "\n"
    m.parsed(text)
    return text


def version_of(pyz: Path) -> str:
    """As the release itself says: nobody types a version that it does not have."""
    words = [sys.executable, "-I", str(pyz), "--version"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotSign(f"{pyz} cannot be asked for its version: {error}.") from None
    if done.returncode:
        raise CannotSign(f"{pyz} is no release of the agent: {done.stderr.strip()[-300:]}")
    return done.stdout.strip()


def sign(text: str, key: Path) -> str:
    with tempfile.NamedTemporaryFile() as message:
        message.write(text.encode())
        message.flush()
        signature = _openssl("pkeyutl", "-sign", "-inkey", str(key), "-rawin", "-in", message.name)
    if len(signature) != ed25519.SIGNATURE_BYTES:
        raise CannotSign(f"{key} is not an Ed25519 key. Make one: openssl genpkey -algorithm ed25519 -out {key}")
    return base64.b64encode(signature).decode()


def public_key(key: Path) -> bytes:
    der = _openssl("pkey", "-in", str(key), "-pubout", "-outform", "DER")
    if len(der) != 44:  # 12 bytes that say what follows (RFC 8410), and the key
        raise CannotSign(f"{key} is not an Ed25519 key. Make one: openssl genpkey -algorithm ed25519 -out {key}")
    return der[-ed25519.KEY_BYTES :]


def _openssl(*words: str) -> bytes:
    try:
        done = subprocess.run(["openssl", *words], capture_output=True, timeout=60, check=False)  # noqa: S603, S607
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotSign(f"openssl is needed to sign, and cannot be used: {error}.") from None
    if done.returncode:
        raise CannotSign(f"openssl {words[0]}: {done.stderr.decode(errors='replace').strip()[-300:]}")
    return done.stdout
