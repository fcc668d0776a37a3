"""Everything that a database's catalogue says of the objects that are not PostgreSQL's own.

Two databases with the same catalogue have the same schema: no object ids, no
order, only definitions as PostgreSQL itself writes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psycopg

# Each query gives one text a line. Objects of extensions and of the system are
# left out by their schema.
_OURS = "n.nspname !~ '^(pg_|information_schema$)'"

_QUERIES = {
    "schema": f"""
        SELECT format('%s %s', n.nspname, obj_description(n.oid, 'pg_namespace'))
        FROM pg_namespace n WHERE {_OURS}
    """,
    "relation": f"""
        SELECT format('%s.%s %s %s %s %s %s', n.nspname, c.relname, c.relkind,
                      c.relpersistence, c.reloptions, c.relacl,
                      obj_description(c.oid, 'pg_class'))
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {_OURS}
    """,
    "column": f"""
        SELECT format('%s.%s %s %s %s %s %s %s %s %s %s', n.nspname, c.relname, a.attnum,
                      a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
                      a.attidentity, a.attgenerated, l.collname,
                      pg_get_expr(d.adbin, d.adrelid), col_description(c.oid, a.attnum))
        FROM pg_attribute a
        JOIN pg_class c ON c.oid = a.attrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        LEFT JOIN pg_collation l ON l.oid = a.attcollation
        WHERE a.attnum > 0 AND NOT a.attisdropped AND {_OURS}
    """,
    "constraint": f"""
        SELECT format('%s %s %s %s %s', n.nspname, k.conrelid::regclass, k.conname,
                      pg_get_constraintdef(k.oid), obj_description(k.oid, 'pg_constraint'))
        FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace WHERE {_OURS}
    """,
    "index": f"""
        SELECT format('%s %s %s', pg_get_indexdef(i.indexrelid), i.indisvalid,
                      obj_description(i.indexrelid, 'pg_class'))
        FROM pg_index i
        JOIN pg_class c ON c.oid = i.indexrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {_OURS}
    """,
    "trigger": f"""
        SELECT format('%s %s %s', pg_get_triggerdef(t.oid), t.tgenabled,
                      obj_description(t.oid, 'pg_trigger'))
        FROM pg_trigger t
        JOIN pg_class c ON c.oid = t.tgrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace WHERE NOT t.tgisinternal AND {_OURS}
    """,
    "function": f"""
        SELECT format('%s %s', pg_get_functiondef(p.oid), obj_description(p.oid, 'pg_proc'))
        FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE p.prokind <> 'a' AND {_OURS}
    """,
    "type": f"""
        SELECT format('%s.%s %s %s %s', n.nspname, t.typname, t.typtype,
                      (SELECT array_agg(e.enumlabel ORDER BY e.enumsortorder)
                       FROM pg_enum e WHERE e.enumtypid = t.oid),
                      obj_description(t.oid, 'pg_type'))
        FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE {_OURS}
    """,
    "extension": "SELECT format('%s %s', extname, extversion) FROM pg_extension",
}


def read(connection: psycopg.Connection) -> frozenset[tuple[str, str]]:
    """Return the catalogue as pairs of a kind and a definition."""
    return frozenset(
        (kind, str(row[0])) for kind, query in _QUERIES.items() for row in connection.execute(query)
    )


def enums(connection: psycopg.Connection) -> dict[str, list[str]]:
    """Return the labels of every enum type, in their order."""
    rows = connection.execute(
        """
        SELECT t.typname, array_agg(e.enumlabel::text ORDER BY e.enumsortorder)
        FROM pg_enum e JOIN pg_type t ON t.oid = e.enumtypid GROUP BY t.typname
        """
    )
    return dict(rows.fetchall())
