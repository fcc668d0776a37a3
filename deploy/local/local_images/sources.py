"""Where this machine gets packages from: asked at run time, written down nowhere."""

from __future__ import annotations

import ast
import os
import platform
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Final

from local_images.errors import BuildError

CERTIFICATES: Final = "/etc/ssl/certs/ca-certificates.crt"
"""Where Debian, and so the base image, keeps the authorities that it trusts."""

_PIP_SETTINGS: Final = ("index-url", "extra-index-url", "trusted-host", "default-timeout", "proxy")
_PROXIES: Final = ("http_proxy", "https_proxy", "no_proxy")
_CERTIFICATE_VARIABLES: Final = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")


def release() -> str:
    """Return the code name of this machine's Debian, such as ``bookworm``.

    Raises:
        BuildError: this is no Debian, nor anything like it.
    """
    try:
        name = platform.freedesktop_os_release().get("VERSION_CODENAME")
    except OSError:
        name = None
    if not name:
        raise BuildError(
            "the base image is made from Debian's packages, and this machine has no release of"
            " Debian's: name another image to build on by --base"
        )
    return name


def mirror() -> str:
    """Return the address that apt gets this machine's packages from.

    Raises:
        BuildError: apt knows none.
    """
    wanted = release()
    try:
        listed = subprocess.run(
            ["apt-get", "indextargets", "--format", "$(RELEASE) $(REPO_URI)"],  # noqa: S607
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise BuildError("apt-get, which knows where packages come from, is not there") from error
    for line in listed.splitlines():
        name, _, address = line.partition(" ")
        if name == wanted:
            return address
    raise BuildError(f"apt knows no mirror of {wanted}: see /etc/apt, then call apt-get update")


def certificates() -> Path | None:
    """Return the file of the authorities that this machine trusts, its own ones too."""
    named = [os.environ.get(name) for name in _CERTIFICATE_VARIABLES]
    places = [*named, CERTIFICATES, ssl.get_default_verify_paths().cafile]
    return next((Path(place) for place in places if place and Path(place).is_file()), None)


def build_variables() -> dict[str, str]:
    """Return what a build on the base image needs to reach the package index as this machine does.

    An address may hold a password, so these go to the build by environment and
    never stand in a command line.
    """
    variables = {"PIP_CERT": CERTIFICATES} if certificates() else {}
    for name, value in _pip_settings().items():
        variables["PIP_" + name.upper().replace("-", "_")] = value
    for name in _PROXIES:
        for spelling in (name, name.upper()):
            if spelling in os.environ:
                variables[spelling] = os.environ[spelling]
    return variables


def _pip_settings() -> dict[str, str]:
    """Return what pip's files and its environment say; the environment comes last, and wins."""
    ended = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"],
        capture_output=True,
        text=True,
        check=False,
    )
    settings: dict[str, dict[str, str]] = {}
    for line in ended.stdout.splitlines():
        key, _, value = line.partition("=")
        section, _, name = key.rpartition(".")
        if name in _PIP_SETTINGS:
            settings.setdefault(section, {})[name] = str(ast.literal_eval(value))
    return {
        **settings.get("global", {}),
        **settings.get("install", {}),
        **settings.get(":env:", {}),
    }
