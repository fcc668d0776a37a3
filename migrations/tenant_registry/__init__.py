"""The schema of the tenant registry, as a tree of revisions.

Revisions are in ``versions``, named by number. Each has an upgrade and a
downgrade that leaves nothing of it.
"""
