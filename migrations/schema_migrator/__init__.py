"""The migration engine and the command ``migrate``.

What belongs here: everything between a tree of revisions and one PostgreSQL
database. What does not: Kubernetes. The program is the same for a person, an
init container, a Job and a CI step; it is told all it knows by options, the
environment and the database.
"""
