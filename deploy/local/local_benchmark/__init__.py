"""What migrator and operator cost, beside programs that do the same: ``python -m local_benchmark``.

Every figure stands beside another's from the same call, taken in turns on the
same servers: what the machine does besides hits both alike. The budgets stand
beside the figures that they bound.
"""
