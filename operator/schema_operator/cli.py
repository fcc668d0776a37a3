"""The command ``schema-operator``: flags and environment to options."""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib.metadata
import logging
import os
import re
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from schema_operator import duration, errors, journal
from schema_operator.options import LogFormat, Options, PodDefaults

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

log = logging.getLogger(__name__)

_VARIABLES: Final = "SCHEMA_OPERATOR_"

_PODS: Final = PodDefaults()
_QUANTITY: Final = re.compile(r"[0-9]+(\.[0-9]+)?(m|k|[KMGTPE]i?)?")
"""An amount as Kubernetes writes it, of what a pod can ask for."""

USAGE: Final = 2
"""The exit code for flags or an environment that can't be used."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    try:
        options = parse(sys.argv[1:] if arguments is None else arguments, os.environ)
    except errors.OptionsError as error:
        sys.stderr.write(f"schema-operator: {error}\n")
        return USAGE
    journal.set_up(options.log_format, verbose=options.verbose)
    return _run(options)


def _run(options: Options) -> int:
    # The framework and its client take a while to load; --help and a wrong flag do not wait.
    import uvloop  # noqa: PLC0415

    from schema_operator import program  # noqa: PLC0415

    # What was loaded stays: the garbage collector need not look at it again.
    gc.freeze()
    try:
        uvloop.run(program.run(options))
    except errors.OptionsError as error:
        sys.stderr.write(f"schema-operator: {error}\n")
        return USAGE
    except (asyncio.CancelledError, KeyboardInterrupt):
        return 0  # told to stop before there was anything to stop
    except errors.OperatorError as error:
        log.critical("the operator ends: %s", error)
        return 1
    except Exception:
        log.critical("the operator ends; this is a bug of it", exc_info=True)
        return 1
    return 0


def parse(arguments: Sequence[str], environment: Mapping[str, str]) -> Options:
    """Return the options that flags and environment say; a flag wins.

    Raises:
        OptionsError: a value in the environment can't be used.
        SystemExit: a flag can't be used, or help was asked for.
    """
    parser = _parser()
    given = vars(parser.parse_args(arguments))

    def value(name: str) -> str | None:
        flag = given.get(name)
        return flag if flag is not None else environment.get(_VARIABLES + name.upper()) or None

    namespaces = given["namespace"] or _words(environment.get(f"{_VARIABLES}NAMESPACE", ""))
    everywhere = given["all_namespaces"] or _truth(
        environment.get(f"{_VARIABLES}ALL_NAMESPACES", ""), "ALL_NAMESPACES"
    )
    if bool(namespaces) == everywhere:
        raise errors.OptionsError("give either --namespace, once for each, or --all-namespaces")
    kubeconfig = value("kubeconfig")
    listen = value("health_listen")
    return Options(
        namespaces=tuple(namespaces),
        kubeconfig=None if kubeconfig is None else Path(kubeconfig),
        workers=_number(value("workers") or "16", "workers"),
        maximum_runs=_number(value("maximum_runs") or "100", "maximum-runs"),
        allowed_images=tuple(
            given["allowed_image"] or _words(environment.get(f"{_VARIABLES}ALLOWED_IMAGE", ""))
        ),
        pods=PodDefaults(
            start_allowance=_duration(value("start_allowance") or "1h", "start-allowance"),
            requests=_quantities(value("default_requests"), _PODS.requests, "default-requests"),
            limits=_quantities(value("default_limits"), _PODS.limits, "default-limits"),
        ),
        resync=_duration(value("resync") or "10m", "resync"),
        health_listen=None if listen is None else _address(listen),
        lease_namespace=value("lease_namespace"),
        lease_name=value("lease_name") or "schema-operator",
        lease_duration=_duration(value("lease_duration") or "15s", "lease-duration"),
        log_format=_log_format(value("log_format") or "json"),
        verbose=given["verbose"] or _truth(environment.get(f"{_VARIABLES}VERBOSE", ""), "VERBOSE"),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="schema-operator",
        description="Keeps PostgreSQL schemas at a revision, as SchemaMigration resources say.",
        epilog="Each flag can be given by environment too: --maximum-runs is"
        " SCHEMA_OPERATOR_MAXIMUM_RUNS, and so on.",
    )
    parser.add_argument(
        "--version",
        action="version",
        version=f"%(prog)s {importlib.metadata.version('schema-operator')}",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="run the operator until SIGTERM")
    run.add_argument(
        "-n",
        "--namespace",
        action="append",
        metavar="NAMESPACE",
        help="look after this namespace; can be given several times",
    )
    run.add_argument(
        "-A", "--all-namespaces", action="store_true", help="look after the whole cluster"
    )
    run.add_argument(
        "--kubeconfig", metavar="FILE", help="how to reach the API server; default: as a pod does"
    )
    run.add_argument(
        "--workers", metavar="N", help="resources looked after at the same moment; default 16"
    )
    run.add_argument(
        "--maximum-runs", metavar="N", help="migrators at work at the same moment; default 100"
    )
    run.add_argument(
        "--allowed-image",
        action="append",
        metavar="PATTERN",
        help="run images that match this, as registry.example/team/*; can be given several times;"
        " default: all",
    )
    run.add_argument(
        "--start-allowance",
        metavar="DURATION",
        help="how long a pod may take to start its migrator; default 1h",
    )
    run.add_argument(
        "--default-requests",
        metavar="RESOURCE=QUANTITY,…",
        help="what of a node is set aside for a migrator whose resource says nothing of it;"
        " none: nothing; default cpu=50m,memory=64Mi",
    )
    run.add_argument(
        "--default-limits",
        metavar="RESOURCE=QUANTITY,…",
        help="the most that it may take; none: no limit; default memory=256Mi",
    )
    run.add_argument(
        "--resync",
        metavar="DURATION",
        help="how often what is known is compared with what exists; default 10m",
    )
    run.add_argument(
        "--health-listen",
        metavar="ADDRESS:PORT",
        help="where /healthz, /readyz and /metrics are served; default: nowhere",
    )
    run.add_argument(
        "--lease-namespace",
        metavar="NAMESPACE",
        help="where the Lease is that keeps to one operator at work; default: no election",
    )
    run.add_argument(
        "--lease-name", metavar="NAME", help="the name of that Lease; default schema-operator"
    )
    run.add_argument(
        "--lease-duration",
        metavar="DURATION",
        help="how long it lasts unless it is renewed; default 15s",
    )
    run.add_argument("--log-format", metavar="json|text", help="default json")
    run.add_argument("--verbose", action="store_true", help="log what only a developer needs")
    return parser


def _words(text: str) -> list[str]:
    return text.replace(",", " ").split()


def _truth(text: str, name: str) -> bool:
    match text.strip().lower():
        case "" | "0" | "false" | "no":
            return False
        case "1" | "true" | "yes":
            return True
        case _:
            raise errors.OptionsError(f"{_VARIABLES}{name} is {text!r}: write true or false")


def _number(text: str, name: str) -> int:
    if text.isascii() and text.isdigit() and 0 < int(text) <= 10_000:  # noqa: PLR2004 - as the text says
        return int(text)
    raise errors.OptionsError(f"--{name} is {text!r}: write a number from 1 to 10000")


def _duration(text: str, name: str) -> timedelta:
    try:
        parsed = duration.parse(text)
    except errors.DurationError as error:
        raise errors.OptionsError(f"--{name}: {error}") from error
    if parsed <= timedelta(0):
        raise errors.OptionsError(f"--{name} is {text!r}: write more than 0s")
    return parsed


def _quantities(text: str | None, default: Mapping[str, str], name: str) -> Mapping[str, str]:
    """Return what ``cpu=50m,memory=64Mi`` says, as `kubectl set resources` reads it."""
    if text is None:
        return default
    found: dict[str, str] = {}
    for word in () if text == "none" else text.split(","):
        resource, _, quantity = word.partition("=")
        if not resource or _QUANTITY.fullmatch(quantity) is None:
            raise errors.OptionsError(
                f"--{name} has {word!r}: write RESOURCE=QUANTITY, as cpu=50m,memory=64Mi, or none"
            )
        found[resource] = quantity
    return found


def _address(text: str) -> tuple[str, int]:
    address, colon, port = text.rpartition(":")
    if colon and port.isascii() and port.isdigit() and int(port) < 65536:  # noqa: PLR2004 - TCP's
        return address.strip("[]") or "0.0.0.0", int(port)  # noqa: S104 - what :PORT means everywhere
    raise errors.OptionsError(f"--health-listen is {text!r}: write ADDRESS:PORT or :PORT")


def _log_format(text: str) -> LogFormat:
    try:
        return LogFormat(text)
    except ValueError as error:
        raise errors.OptionsError(f"--log-format is {text!r}: write json or text") from error
