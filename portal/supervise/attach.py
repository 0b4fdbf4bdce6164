"""Lets `manage.py` in a terminal speak to the Aquifer that `./run` has running in this folder."""

import json
import os
from urllib.parse import quote

from portal.supervise.environment import LOCAL


def attach() -> None:
    """Take the running product's settings, unless the environment says what to use. No effect when none runs."""
    if "AQUIFER_MODE" in os.environ or "DATABASE_URL" in os.environ:
        return
    try:
        url = json.loads((LOCAL / "run.lock").read_text())["url"]
        key = (LOCAL / "secret-key").read_text().strip()
        os.kill(json.loads((LOCAL / "run.lock").read_text())["pid"], 0)
    except (OSError, ValueError, KeyError):
        return
    os.environ.update(
        AQUIFER_MODE="local",
        AQUIFER_DATA_DIR=str(LOCAL),
        AQUIFER_SECRET_KEY=key,
        AQUIFER_PUBLIC_URL=url,
        DATABASE_URL=f"postgresql://postgres@/aquifer?host={quote(str(LOCAL / 'pg'), safe='')}",
    )
