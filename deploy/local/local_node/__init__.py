"""Real nodes for the control plane of ``local_kubernetes``: containers, limits, addresses.

A site is some kubelets with a containerd each, in namespaces of their own for
processes, mounts and the network: the kernel removes all of it with the site's
first process. What is in a module:

- ``programs`` finds or builds kubelet, containerd, its shim, ctr and the sandbox's program;
- ``sandbox`` packs the image that holds a pod's namespaces open;
- ``addresses`` is who has which, and the link between this machine and the site;
- ``groups`` makes the control group that bounds it;
- ``configuration`` is what kubelet, containerd and the network plug-in are told;
- ``inside`` is the site's first process, which starts the others;
- ``site`` starts all of it with a control plane, and ends it.

It needs root, Debian's ``runc``, ``containernetworking-plugins`` and ``iptables``.
``python -m local_node --help`` is for people and for make.
"""
