"""The product's images on a machine that can pull none.

A Docker engine of one's own, a base image made from Debian's packages, and on it
the targets of the Dockerfile. What is in a module:

- ``sources`` finds out where this machine gets packages from;
- ``base`` makes the image that the others are built on;
- ``engine`` starts dockerd, or finds the one that answers, and ends it with all it started;
- ``context`` says what an image is made of, and so when it must be built again;
- ``images`` builds, keeps and measures the images, each as an archive;
- ``postgresql`` makes an image of PostgreSQL of the wheels' programs, for tests;
- ``cache`` is where what was made is kept;
- ``leftovers`` removes what the kernel does not.

``python -m local_images --help`` is for people and for make.
"""
