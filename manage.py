#!/usr/bin/env python3
"""Django's command line for Aquifer: `./run` is the friendlier front door."""

import os
import sys


def main() -> None:
    from portal.supervise.attach import attach

    attach()  # when `./run` is up in this folder, its database and settings
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
