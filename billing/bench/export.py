"""How fast rows of FOCUS are written, and in how much memory: made up as they go, or read from a ledger."""

import shutil
import tempfile
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from billing.bench import charges, ledger
from billing.exports.focus.cost_and_usage import COST_AND_USAGE_1_2, COST_AND_USAGE_1_4
from billing.exports.focus.export import Layout, Snapshot, export
from billing.exports.focus.formats import Format
from billing.exports.targets.folder import Folder
from federation.bench.figures import Clock, memory_mib

HELP = "Write made-up rows of FOCUS into a folder that goes again, in chunks."


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--format", choices=[form.value for form in Format], default="parquet")
    parser.add_argument("--focus", choices=["1.2", "1.4"], default="1.4", help="version of FOCUS (1.4)")
    parser.add_argument("--rows-per-chunk", type=int, default=1_000_000)
    parser.add_argument("--from-ledger", action="store_true", help="rows of a ledger, in a database made for it")
    parser.add_argument("--folder", type=Path, help="where to write; needs room (a folder for temporary files)")


def run(options: dict[str, Any]) -> dict[str, Any]:
    count = options["rows"]
    if options["from_ledger"]:
        return ledger.run(options)
    dataset = COST_AND_USAGE_1_2 if options["focus"] == "1.2" else COST_AND_USAGE_1_4
    layout = Layout(Format(options["format"]), rows_per_chunk=options["rows_per_chunk"])
    snapshot = Snapshot(f"bench-{count}", dataset, lambda after: charges.rows(count, after))
    folder = Path(tempfile.mkdtemp(prefix="aquifer-bench-", dir=options["folder"]))
    before, sample = memory_mib(), min(count, 20_000)
    try:
        with Clock() as making:
            for _ in charges.rows(sample):
                pass
        with Clock() as clock:
            manifest = export(snapshot, layout, Folder(folder))
    finally:
        shutil.rmtree(folder)
    return {
        "rows": manifest.rows,
        "format": layout.format.value,
        "focus_version": dataset.version,
        "columns": len(dataset.columns),
        "chunks": len(manifest.chunks),
        "seconds": round(clock.seconds, 2),
        "cpu_seconds": round(clock.cpu, 2),
        "rows_per_second": round(manifest.rows / clock.seconds),
        "cpu_seconds_of_making_rows": round(making.cpu / max(1, sample) * count, 2),
        "megabytes": round(sum(chunk.bytes for chunk in manifest.chunks) / 1e6, 1),
        "rss_before_mib": before,
        "rss_peak_mib": memory_mib("VmHWM"),
        "billed_cost": manifest.sums["CNY"]["BilledCost"] if count else "0.00",
    }
