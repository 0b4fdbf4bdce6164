"""Exports in FOCUS, the FinOps Open Cost and Usage Specification. Pure: neither Django nor models.

    ledger -> Charge -> row -> chunk of CSV, JSON lines or Parquet -> manifest -> folder or bucket

How a ledger is connected:

1. Turn each of its lines into a `charges.Charge`. One that contradicts itself raises `InvalidCharge`. The eight kinds
   are `ChargeKind`; a correction is a charge of any kind with `corrects`.
2. Give an `export.Snapshot`: an id that names the state of the ledger (the same id promises the same rows), the
   dataset, and `rows(n)`, which yields `rows.cost_and_usage(charge)` from the n-th charge on. Lines need one order for
   good (by period and id), and are read by a server-side cursor or page by page, so that memory stays flat:

       def rows(after: int) -> Iterator[Row]:
           lines = Line.objects.filter(period=period).order_by("id")[after:]
           return (cost_and_usage(as_charge(line)) for line in lines.iterator(chunk_size=10_000))

3. Run `export.export(snapshot, layout, target)` from a task. It may die and be called again: it goes on with the chunk
   after the last one that was published. `targets.folder.Folder` and `targets.s3.S3` are where it can go; each export
   gets a folder or prefix of its own.
4. For FOCUS 1.4 also export the rows of `reference_rows`: billing periods, lines of invoices, reservations. Lines of
   invoices carry the sum of `BilledCost` of their charges, and these name them by `invoice_line_id`.
5. Whose rows a caller may have is decided before: what comes in here goes out.

What is payable is rounded once per invoice, and the difference is a charge of kind ADJUSTMENT: so BilledCost adds up to
the invoice. `manage.py check_focus` (module `check`) looks at all of it again, from the files.
"""
