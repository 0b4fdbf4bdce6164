"""What things cost, for whoever reads: sums over the ledger and over capacity. Nothing in here writes."""
