"""A node that is a program: it takes pods and runs their commands as local processes.

What belongs here: what a kubelet says to the API server, and when. What does
not: anything that a container runtime does. There is no image, no isolation, no
network and no volume; ``deploy/local/README.md`` lists what that means.
"""
