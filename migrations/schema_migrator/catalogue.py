"""What a database holds, as definitions in PostgreSQL's own words.

Two databases with the same catalogue have the same schema: no object ids, no
order but that of columns and enum labels. Contents and sequences' values are no
part of it, and neither is what belongs to the system or to an extension.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import psycopg

    from schema_migrator.history import Names

Catalogue = frozenset[tuple[str, str]]
"""Pairs of a kind and a definition."""

_COMMON: Final = """
WITH schemas AS (
    SELECT * FROM pg_namespace n
    WHERE n.nspname !~ '^(pg_|information_schema$)' AND NOT EXISTS (
        SELECT FROM pg_depend d
        WHERE d.classid = 'pg_namespace'::regclass AND d.objid = n.oid AND d.deptype = 'e')
), bookkeeping AS (
    SELECT c.oid FROM pg_class c JOIN schemas n ON n.oid = c.relnamespace
    WHERE n.nspname = %(schema)s AND c.relname IN (%(versions)s, %(history)s)
), left_out AS (
    SELECT objid AS oid FROM pg_depend WHERE deptype = 'e'
    UNION SELECT oid FROM bookkeeping
    UNION SELECT d.objid FROM pg_depend d JOIN bookkeeping b ON b.oid = d.refobjid
    UNION SELECT i.indexrelid FROM pg_index i JOIN bookkeeping b ON b.oid = i.indrelid
), relations AS (
    SELECT n.nspname, c.* FROM pg_class c JOIN schemas n ON n.oid = c.relnamespace
    WHERE c.oid NOT IN (SELECT oid FROM left_out)
)
"""
"""What all queries begin with."""

_QUERIES: Final[dict[str, str]] = {
    "schema": "SELECT format('%%s rights %%s', nspname, nspacl) FROM schemas",
    "relation": """
        SELECT format('%%s.%%s kind %%s persistence %%s options %%s rights %%s row security %%s %%s partition %%s',
            c.nspname, c.relname, c.relkind, c.relpersistence, c.reloptions, c.relacl, c.relrowsecurity,
            c.relforcerowsecurity, pg_get_expr(c.relpartbound, c.oid))
        FROM relations c WHERE c.relkind NOT IN ('i', 'I')
    """,
    "column": """
        SELECT format('%%s.%%s column %%s %%s %%s not null %%s identity %%s generated %%s collation %%s default %%s',
            c.nspname, c.relname,
            -- Its place among those that are there: a dropped one leaves a gap in the numbers.
            (SELECT count(*) FROM pg_attribute o WHERE o.attrelid = a.attrelid AND NOT o.attisdropped
                AND o.attnum BETWEEN 1 AND a.attnum),
            a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated,
            l.collname, pg_get_expr(d.adbin, d.adrelid))
        FROM pg_attribute a JOIN relations c ON c.oid = a.attrelid
        LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        LEFT JOIN pg_collation l ON l.oid = a.attcollation
        WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c')
    """,
    "constraint": """
        SELECT format('%%s on %%s: %%s valid %%s', k.conname,
            coalesce(c.oid::regclass::text, k.contypid::regtype::text), pg_get_constraintdef(k.oid), k.convalidated)
        FROM pg_constraint k LEFT JOIN relations c ON c.oid = k.conrelid
        WHERE k.contype <> 'n' AND (c.oid IS NOT NULL OR k.conrelid = 0)
            AND k.connamespace IN (SELECT oid FROM schemas)
    """,
    "index": """
        SELECT format('%%s valid %%s', pg_get_indexdef(i.indexrelid), i.indisvalid)
        FROM pg_index i JOIN relations c ON c.oid = i.indexrelid
    """,
    "view": """
        SELECT format('%%s.%%s: %%s', c.nspname, c.relname, pg_get_viewdef(c.oid))
        FROM relations c WHERE c.relkind IN ('v', 'm')
    """,
    "sequence": """
        SELECT format('%%s.%%s %%s from %%s by %%s between %%s and %%s cycle %%s', c.nspname, c.relname,
            format_type(s.seqtypid, NULL), s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcycle)
        FROM pg_sequence s JOIN relations c ON c.oid = s.seqrelid
    """,
    "trigger": """
        SELECT format('%%s enabled %%s', pg_get_triggerdef(t.oid), t.tgenabled)
        FROM pg_trigger t JOIN relations c ON c.oid = t.tgrelid WHERE NOT t.tgisinternal
    """,
    "policy": """
        SELECT format('%%s on %%s for %%s to %%s using %%s check %%s', p.polname, c.oid::regclass, p.polcmd,
            (SELECT array_agg(r.rolname ORDER BY 1) FROM pg_roles r WHERE r.oid = ANY (p.polroles)),
            pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
        FROM pg_policy p JOIN relations c ON c.oid = p.polrelid
    """,
    "function": """
        SELECT format('%%s rights %%s', CASE WHEN p.prokind = 'a' THEN p.oid::regprocedure::text
            ELSE pg_get_functiondef(p.oid) END, p.proacl)
        FROM pg_proc p JOIN schemas n ON n.oid = p.pronamespace WHERE p.oid NOT IN (SELECT oid FROM left_out)
    """,
    "type": """
        SELECT format('%%s.%%s kind %%s of %%s labels %%s default %%s', n.nspname, t.typname, t.typtype,
            CASE WHEN t.typbasetype <> 0 THEN format_type(t.typbasetype, t.typtypmod) END,
            (SELECT array_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid),
            t.typdefault)
        FROM pg_type t JOIN schemas n ON n.oid = t.typnamespace
        WHERE t.typtype IN ('e', 'd', 'r') AND t.oid NOT IN (SELECT oid FROM left_out)
    """,
    "comment": """
        SELECT format('%%s: %%s', pg_describe_object(d.classoid, d.objoid, d.objsubid), d.description)
        FROM pg_description d JOIN relations c ON c.oid = d.objoid AND d.classoid = 'pg_class'::regclass
    """,
    "extension": "SELECT format('%%s %%s', extname, extversion) FROM pg_extension",
}


def read(connection: psycopg.Connection[Any], names: Names) -> Catalogue:
    """Return what a database holds, without the bookkeeping.

    Args:
        connection: any session, outside a transaction.
        names: where the bookkeeping is.
    """
    parameters = {
        "schema": names.schema,
        "versions": names.version_table,
        "history": names.history_table,
    }
    found: set[tuple[str, str]] = set()
    with connection.transaction():
        # Names that the search path finds are written without their schema: here none is found.
        connection.execute("SET LOCAL search_path = pg_catalog")
        for kind, query in _QUERIES.items():
            rows = connection.execute((_COMMON + query).encode(), parameters)
            found |= {(kind, str(row[0])) for row in rows}
    return frozenset(found)


def is_empty(connection: psycopg.Connection[Any]) -> bool:
    """Tell whether every relation is the system's or an extension's."""
    row = connection.execute(
        "SELECT NOT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname !~ '^(pg_|information_schema$)' AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d"
        " WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'))"
    ).fetchone()
    return row is not None and bool(row[0])
