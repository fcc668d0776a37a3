"""A real Orca on one machine: compiled once, cached, and run for one test or one look.

What belongs here: the program, a server of it in a folder and a network of its
own, and the small proxy that it needs to speak to an older Docker engine. What
does not: anything of the product, and the engine itself.
"""
