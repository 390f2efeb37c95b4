"""Landing files into the tables: batches, transactions, the ledger and the quarantine."""
