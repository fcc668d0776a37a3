"""For each application its own command, and what the migrator's prelude is for it.

Called in the application's environment, by the name of the module.
"""
