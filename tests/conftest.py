pytest_plugins = [
    "tests.fix_cluster",
    "tests.fix_database",
    "tests.fix_migrator",
    "tests.operator.fix_operator",
]
