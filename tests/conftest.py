pytest_plugins = ["tests.fix_database", "tests.fix_migrator"]
