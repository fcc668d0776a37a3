"""The controller of SchemaMigration resources.

What belongs here: everything between the Kubernetes API and one migrator pod.
What does not: a connection to a database, a Secret's value, or SQL. Of the
migrator only its result module is known here.
"""
