"""Argo CD's scripts, run as Argo CD runs them: Lua 5.1 without the libraries that it leaves out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from lupa import lua51

MANIFEST = Path(__file__).parents[2] / "deploy" / "argocd" / "argocd-cm.yaml"
_NAME = "migrations.tenant-registry.dev_SchemaMigration"

_SANDBOX = """
getmetatable("").__index = nil  -- else texts keep their methods when the library is gone
for _, name in ipairs({
  "string", "math", "io", "os", "debug", "coroutine", "package", "require", "module",
  "dofile", "loadfile", "load", "loadstring", "python"
}) do
  _G[name] = nil
end
"""


def data() -> dict[str, str]:
    """What is added to Argo CD's ConfigMap."""
    found: dict[str, str] = yaml.safe_load(MANIFEST.read_text())["data"]
    return found


def health_script() -> str:
    """What decides a SchemaMigration's health, from the manifest that is applied."""
    return str(data()[f"resource.customizations.health.{_NAME}"])


def discovery_script() -> str:
    """What decides which actions are offered."""
    return str(_actions()["discovery.lua"])


def action_script(name: str) -> str:
    """What an action does."""
    (script,) = (one["action.lua"] for one in _actions()["definitions"] if one["name"] == name)
    return str(script)


def run(script: str, resource: dict[str, Any]) -> dict[str, Any]:
    """What a script returns for a resource, as it stands on the API server.

    Raises:
        lupa.lua51.LuaError: the script failed.
    """
    runtime = lua51.LuaRuntime(register_eval=False, register_builtins=False)
    runtime.execute(_SANDBOX)
    runtime.globals()["obj"] = runtime.table_from(resource, recursive=True)
    found: dict[str, Any] = _python(runtime.execute(script))
    return found


def _python(value: Any) -> Any:
    if lua51.lua_type(value) != "table":
        return value
    items = dict(value.items())
    if items and all(isinstance(key, int) for key in items):
        return [_python(items[key]) for key in sorted(items)]
    return {key: _python(one) for key, one in items.items()}


def _actions() -> dict[str, Any]:
    actions: dict[str, Any] = yaml.safe_load(data()[f"resource.customizations.actions.{_NAME}"])
    return actions
