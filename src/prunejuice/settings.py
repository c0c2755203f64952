"""Settings, each with where it came from. The only reader of environment variables.

environment > the trusted project's `.prj/config.yaml` > the user's `config.yaml` > default
"""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from prunejuice.errors import DefinitionError, Problem, UsageError
from prunejuice.text import nearest

Source = Literal["default", "user", "project", "environment"]

# What every step may know of the caller's environment. Anything else must be named by the command.
PASSED = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "TERM", "TMPDIR", "SHELL", "TZ")
# A project's .env never sets these: they decide what our own tools load and run.
_REFUSED = (
    "PATH",
    "ENV",
    "BASH_ENV",
    "IFS",
    "SHELLOPTS",
    "BASHOPTS",
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONSTARTUP",
    "NODE_OPTIONS",
    "PERL5OPT",
    "RUBYOPT",
)
_REFUSED_PREFIXES = ("LD_", "DYLD_", "GIT_", "PRUNEJUICE_")


class Settings(NamedTuple):
    """`grace` is seconds between TERM and KILL; `log_limit` is bytes kept of one step's output."""

    home: Path
    grace: float = 10.0
    log_limit: int = 100_000_000
    tmux_socket: str = ""
    worktree_parent: str = ""
    sources: Mapping[str, Source] = {}


NAMES: Mapping[str, type] = {
    "grace": float,
    "log_limit": int,
    "tmux_socket": str,
    "worktree_parent": str,
}


def environment() -> Mapping[str, str]:
    """The caller's environment."""
    return os.environ


def home(environ: Mapping[str, str]) -> Path:
    """The state directory: `PRUNEJUICE_HOME`, or the user's state directory of this system."""
    if given := environ.get("PRUNEJUICE_HOME"):
        return Path(given).absolute()
    import platformdirs

    return platformdirs.user_state_path("prunejuice", appauthor=False)


def config_directory(environ: Mapping[str, str]) -> Path:
    """Where the user's own commands and `config.yaml` are."""
    if given := environ.get("PRUNEJUICE_CONFIG"):
        return Path(given).absolute()
    import platformdirs

    return platformdirs.user_config_path("prunejuice", appauthor=False)


def load(environ: Mapping[str, str], project_config: Path | None = None) -> Settings:
    """The settings; `project_config` is given only for a project that is trusted.

    Raises:
        UsageError: a setting is unknown or of the wrong type; names the file and line.
    """
    found: dict[str, tuple[Any, Source]] = {}
    user_config = config_directory(environ) / "config.yaml"
    layers: list[tuple[Path | None, Source]] = [(user_config, "user"), (project_config, "project")]
    for path, source in layers:
        if path is not None and path.is_file():
            found.update({key: (value, source) for key, value in _from_file(path).items()})
    for key in NAMES:
        if (text := environ.get(f"PRUNEJUICE_{key.upper()}")) is not None:
            found[key] = (_typed(f"PRUNEJUICE_{key.upper()}", key, text), "environment")
    if environ.get("PRUNEJUICE_HOME"):
        found["home"] = (home(environ), "environment")
    values = {key: value for key, (value, _) in found.items()}
    return Settings(
        **{"home": home(environ), **values}, sources={k: source for k, (_, source) in found.items()}
    )


def _from_file(path: Path) -> dict[str, Any]:
    from prunejuice import document  # noqa: PLC0415 - YAML costs more than all else here

    read = document.parse(path.read_bytes(), str(path))
    data = read.data or {}
    if not isinstance(data, dict):
        raise DefinitionError((Problem(str(path), 1, "", "must be keys and values"),))
    problems = tuple(
        Problem(str(path), read.line((key,)), key, "is not a setting", nearest(key, NAMES))
        for key in data
        if key not in NAMES
    )
    if problems:
        raise DefinitionError(problems)
    return {key: _typed(f"{path}: {key}", key, value) for key, value in data.items()}


def _typed(place: str, key: str, value: Any) -> Any:
    try:
        typed = NAMES[key](value)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{place} must be of type {NAMES[key].__name__}") from error
    if isinstance(typed, int | float) and not 0 <= typed < math.inf:
        raise UsageError(f"{place} must be a number that is not negative")
    return typed


def passed_on(environ: Mapping[str, str]) -> dict[str, str]:
    """The part of the caller's environment that every step gets."""
    return {k: v for k, v in environ.items() if k in PASSED or k.startswith("LC_")}


def dotenv(path: Path) -> dict[str, str]:
    """The project's `.env`, for steps only; nothing that steers how programs are found or loaded."""
    if not path.is_file() or path.is_symlink():
        return {}
    from dotenv import dotenv_values

    try:
        values = dotenv_values(path, interpolate=False)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error
    return {k: v for k, v in values.items() if v is not None and k.isidentifier() and not _steers(k)}


def _steers(name: str) -> bool:
    return name in _REFUSED + PASSED or name.startswith(_REFUSED_PREFIXES)
