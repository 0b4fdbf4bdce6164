"""Runs the official validator of FOCUS 1.2 on files, and ends with a code that means something, as its own does not.

It also holds names to ASCII where FOCUS asks for Unicode, which no Chinese organisation could pass.

This runs in the validator's environment, not in ours: `python gate.py [--criteria ALL] FILE...`. It prints one JSON
line a file: how many rules were looked at, how many skipped, and what failed that is not known to be its own mistake.
"""

import argparse
import contextlib
import io
import json
import logging
import os
import pathlib
import re
import sys

import focus_validator
from focus_validator.validator import Validator

# Rules that fail on right files; tests/billing/focus/test_meanings.py holds us to what they mean.
UPSTREAM = {
    "InvoiceId-C-003-C",  # an OR of the two below over the whole file: fails where some charges have an invoice yet
    "InvoiceId-C-004-C",  # under an OR with C-005: one of the two always fails
    "InvoiceId-C-005-C",
    "CommitmentDiscountStatus-C-004-C",  # contradicts C-003: FOCUS_Spec issue 2393
    "CommitmentDiscountStatus-C-005-M",  # its model asks for Active, Expired or Pending; FOCUS for Used or Unused
    "CapacityReservationStatus-C-004-C",  # its condition is not looked at: focus_validator issue 142
    "CapacityReservationStatus-C-003-C",  # nor is this one's
}


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--criteria", default="ALL")
    parser.add_argument("files", nargs="+", type=pathlib.Path)
    options = parser.parse_args()
    files = [file.resolve() for file in options.files]
    logging.disable(logging.CRITICAL)
    # It opens a list of currencies relative to the current folder.
    os.chdir(pathlib.Path(focus_validator.__file__).parent.parent)
    failed = False
    for file in files:
        found = gate(file, options.criteria)
        failed = failed or bool(found["failed"]) or found["rules"] < 500
        print(json.dumps({"file": file.name, **found}), flush=True)
    return int(failed)


def gate(file: pathlib.Path, criteria: str) -> dict:
    with contextlib.redirect_stdout(io.StringIO()):
        validator = Validator(
            data_filename=str(file),
            output_destination=None,
            output_type="console",
            rules_version="1.2",
            rules_block_remote_download=True,
            focus_dataset="CostAndUsage",
            applicability_criteria=criteria,
        )
        validator.load()
        rules = validator.validate().by_rule_id
    skipped = [name for name, rule in rules.items() if rule["details"].get("skipped")]
    wrong = {
        name: str(rule["details"].get("message", ""))
        for name, rule in rules.items()
        if not rule["ok"] and not rule["details"].get("skipped")
    }
    failed = {name: message for name, message in wrong.items() if not is_known(name, message)}
    return {
        "rules": len(rules),
        "skipped": len(skipped),
        "known": sorted(wrong.keys() - failed.keys()),
        "failed": failed,
    }


def is_known(name: str, message: str) -> bool:
    if name in UPSTREAM or "failed child rules" in message:  # the latter only sums up others
        return True
    if name.endswith("-C-002-M") and message.endswith("MUST contain only ASCII characters."):
        return True
    because = re.search(r"\[Upstream dependency failed: (.*)\]$", message)
    return because is not None and set(because[1].split(", ")) <= UPSTREAM


if __name__ == "__main__":
    sys.exit(main())
