"""Bring the database up to date, fill it, and hand out the keys; in one process, since each start costs a second.

Answers go line by line to a file that only the owner can read, `name value`: two of them are secrets, which
have no place in a log. Everything printed is for the log.
"""

import argparse
import io
import os
from pathlib import Path

import django
from django.core.management import call_command, get_commands


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("answers", type=Path)
    parser.add_argument("agent_state", type=Path)
    parser.add_argument("--no-demo", action="store_true")
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    django.setup()
    known = get_commands()

    def tell(name: str, value: str = "") -> None:
        with options.answers.open("a", encoding="utf-8") as file:
            file.write(f"{name} {value}\n")

    call_command("migrate", interactive=False, verbosity=0)
    tell("migrated")
    if not options.no_demo and "seed_demo" in known:
        call_command("seed_demo")
    tell("seeded")
    if "enrol_this_machine" in known:
        # An agent without its state, after `--reset` on a database of one's own, has to join anew.
        again = [] if any(options.agent_state.iterdir()) else ["--again"]
        tell("join", _printed("enrol_this_machine", "--print-join-token", *again))
    if "one_time_login" in known:
        tell("login", _printed("one_time_login"))
    tell("ready")


def _printed(*command: str) -> str:
    said = io.StringIO()
    call_command(*command, stdout=said)
    return said.getvalue().strip()


if __name__ == "__main__":
    main()
