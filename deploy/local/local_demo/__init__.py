"""The product on one machine, to look at: ``make demo``.

A real Kubernetes, a real PostgreSQL and the operator as its own ServiceAccount,
all below one folder, with the example applied. Nothing here is shipped.
"""
