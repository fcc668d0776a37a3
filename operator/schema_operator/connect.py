"""How to reach the API server: from a kubeconfig, or as a pod does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml
from kubernetes.aio import client, config

from schema_operator import errors

if TYPE_CHECKING:
    from pathlib import Path


async def configuration(kubeconfig: Path | None) -> client.Configuration:
    """Return the connection, with a token read just now.

    Args:
        kubeconfig: the file; None: the ServiceAccount of this pod.

    Raises:
        OptionsError: there is no such file, or this is no pod.
    """
    chosen = client.Configuration()
    try:
        if kubeconfig is None:
            config.load_incluster_config(chosen)  # type: ignore[no-untyped-call]  # publishes no types
        else:
            await config.load_kube_config(  # type: ignore[no-untyped-call]  # publishes no types
                config_file=str(kubeconfig), client_configuration=chosen, persist_config=False
            )
    except (config.ConfigException, OSError, yaml.YAMLError) as error:
        where = "the pod's ServiceAccount" if kubeconfig is None else str(kubeconfig)
        hint = "; outside a pod, give --kubeconfig" if kubeconfig is None else ""
        raise errors.OptionsError(f"no connection from {where}: {error}{hint}") from error
    return chosen
