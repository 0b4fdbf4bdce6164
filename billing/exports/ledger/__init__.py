"""The ledger as rows of exports. A snapshot is the ledger up to one transaction: what is in it never changes."""
