"""Was anything held, run or billed twice, lost or left over? Read off the rows, the ledger and the sites.

`books` replays and adds up; `sites` pairs what the sites hold with what we hold and bill; `history` compares
what callers were told with what is there. All return problems in words, and nothing when all is well.
Each of them has been seen red: tests/checker/test_checker.py and the control run in test_races.py.
"""
