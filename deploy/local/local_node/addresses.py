"""Who has which address, and the link between this machine and a site."""

from __future__ import annotations

import dataclasses
import secrets
from typing import Final

from local_kubernetes import network
from local_kubernetes.network import BLOCK, ip
from local_node.errors import LocalNodeError

_NODES: Final = 3
"""A network of 256 addresses has a quarter for the link and one for each node's pods."""


@dataclasses.dataclass(frozen=True, slots=True)
class Addresses:
    """The addresses of one site.

    Attributes:
        number: of its network in the block.
        link: the name of this machine's end of the link.
    """

    number: int
    link: str

    @property
    def peer(self) -> str:
        """The name of the site's end of the link."""
        return f"{self.link}p"

    @property
    def here(self) -> str:
        """This machine's address on the link: the API server's."""
        return f"{BLOCK}.{self.number}.1"

    def node(self, index: int) -> str:
        """The address of a node.

        Args:
            index: from 0.
        """
        return f"{BLOCK}.{self.number}.{index + 2}"

    def pods(self, index: int) -> str:
        """The addresses of a node's pods, as a network.

        Args:
            index: the node's, from 0.
        """
        return f"{BLOCK}.{self.number}.{(index + 1) * 64}/26"


def claim(nodes: int) -> Addresses:
    """Make the link, with a network that nobody here uses yet.

    Args:
        nodes: how many there will be.

    Raises:
        LocalNodeError: there are too many.
        LocalKubernetesError: the link can't be made.
    """
    if nodes > _NODES:
        raise LocalNodeError(f"a site has at most {_NODES} nodes")
    chosen = Addresses(network.free(), f"site{secrets.token_hex(4)}")
    ip("link", "add", chosen.link, "type", "veth", "peer", "name", chosen.peer)
    try:
        ip("address", "add", f"{chosen.here}/26", "dev", chosen.link)
        ip("link", "set", chosen.link, "up")
        for index in range(nodes):
            ip("route", "add", chosen.pods(index), "via", chosen.node(0), "dev", chosen.link)
    except BaseException:
        ip("link", "delete", chosen.link)
        raise
    return chosen


def hand_over(addresses: Addresses, process: int) -> None:
    """Move the site's end of the link into the network namespace of a process.

    The link goes with that namespace.

    Raises:
        LocalKubernetesError: it can't be moved.
    """
    ip("link", "set", addresses.peer, "netns", str(process))
