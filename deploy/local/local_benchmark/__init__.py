"""What the migrator costs, beside programs that do the same: ``python -m local_benchmark migrator``.

Every figure is a ratio of medians from one call, on one server, taken in turns:
what the machine does besides hits all of them alike. The budgets stand beside
the figures that they bound.
"""
