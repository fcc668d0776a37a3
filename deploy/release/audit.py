"""Asks for known vulnerabilities of what the requirement files pin: ``make audit``.

pip-audit does the asking. It calls a package that the advisory source does not
know "skipped" and then finds no vulnerability in it; where every answer is that
one, nothing was audited, and that must not look like a clean bill.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
FILES: Final = ("migrator", "operator", "build")
"""What is in the images, and what makes them."""

VULNERABLE: Final = 1
UNKNOWN: Final = 3
"""Exit codes: something is known; nothing could be learned of a part or all."""


def main() -> int:
    """Audits each file.

    Returns:
        0; VULNERABLE; or UNKNOWN if not all could be asked for.
    """
    parser = argparse.ArgumentParser(prog="audit", description="Known vulnerabilities.")
    parser.add_argument("--osv-url", help="ask this OSV service in place of PyPI's own advisories")
    parsed = parser.parse_args()
    source = ["--vulnerability-service", "osv", "--osv-url", parsed.osv_url]
    answers: dict[str, dict[str, Any]] = {}
    for name in FILES:
        answers |= _ask(name, source if parsed.osv_url else [])
    asked = {name for name, answer in answers.items() if "vulns" in answer}
    found = [
        f"{name} {answer['version']}: {one['id']}, {_mended(one)}"
        for name, answer in sorted(answers.items())
        for one in answer.get("vulns", ())
    ]
    for line in found:
        print(line)
    if found:
        return VULNERABLE
    if not asked:
        print("audit: no advisory source answered; nothing was audited", file=sys.stderr)
        return UNKNOWN
    if missing := sorted(answers.keys() - asked):
        print(f"audit: not audited: {', '.join(missing)}", file=sys.stderr)
        return UNKNOWN
    print(f"{len(asked)} packages, nothing known against them")
    return 0


def _ask(name: str, source: list[str]) -> dict[str, dict[str, Any]]:
    """Return pip-audit's answer for each package of a file, or one for the file itself."""
    command = [sys.executable, "-m", "pip_audit", "--format", "json", "--progress-spinner", "off"]
    pinned = ["--require-hashes", "--disable-pip", "--requirement", f"requirements/{name}.txt"]
    ended = subprocess.run(
        [*command, "--desc", "off", *source, *pinned],
        cwd=ROOT,
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    try:
        answer: dict[str, Any] = json.loads(ended.stdout)
    except ValueError:
        return {f"requirements/{name}.txt": {}}  # it ends with a traceback where the network does
    return {each["name"]: each for each in answer["dependencies"]}


def _mended(vulnerability: dict[str, Any]) -> str:
    versions = vulnerability["fix_versions"]
    return f"mended in {', '.join(versions)}" if versions else "not mended in any version yet"


if __name__ == "__main__":
    raise SystemExit(main())
