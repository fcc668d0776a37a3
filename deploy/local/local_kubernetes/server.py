"""Questions to an API server that need no client library.

The second ``up`` must be quick, and importing a Kubernetes client takes longer
than asking.
"""

from __future__ import annotations

import http.client
import json
import ssl
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from pathlib import Path

_TIMEOUT_SECONDS: Final = 2.0


def ask(
    url: str, path: str, authority: Path, credential: tuple[Path, Path] | None = None
) -> tuple[int, str]:
    """One GET.

    Args:
        url: the API server's address.
        path: such as ``/readyz``.
        authority: a file with the certificate that the server is checked by.
        credential: files with a client's certificate and key; None: nobody.

    Returns:
        Status and body; status 0 and the reason when there was no answer.
    """
    parts = urlsplit(url)
    context = ssl.create_default_context(cafile=str(authority))
    if credential is not None:
        context.load_cert_chain(*credential)
    connection = http.client.HTTPSConnection(
        parts.hostname or "",
        parts.port,
        timeout=_TIMEOUT_SECONDS,
        context=context,
    )
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    except OSError as error:
        return 0, str(error)
    except http.client.HTTPException as error:
        return 0, repr(error)
    finally:
        connection.close()


def is_ready(url: str, authority: Path) -> bool:
    """Whether the server says that it serves.

    Args:
        url: the API server's address.
        authority: a file with the certificate that the server is checked by.
    """
    return ask(url, "/readyz", authority)[0] == http.client.OK


def version(url: str, authority: Path) -> str:
    """What the server says it is.

    Args:
        url: the API server's address.
        authority: a file with the certificate that the server is checked by.

    Returns:
        For example ``v1.36.3``; ``unknown`` without an answer.
    """
    status, body = ask(url, "/version", authority)
    if status != http.client.OK:
        return "unknown"
    document: dict[str, Any] = json.loads(body)
    return str(document["gitVersion"])
