"""Settings, each with where it came from. The only reader of environment variables.

environment > the trusted project's `.prj/config.yaml` > the user's `config.yaml` > default
"""

import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from prunejuice import shellconfig
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
    """What can be set, with its defaults.

    `grace` is seconds between TERM and KILL, `setup_timeout` seconds; `log_limit` is bytes kept of one
    step's output; `trash_days` is how long what was removed can be brought back; `apply` brings changes
    to the disk at once instead of letting them wait; `model` is who is asked, as `provider:name`;
    `script` is a file of answers that stands in for every model; `daily_cost` is US dollars (0: no limit).
    `agent` is how it is asked; `agent_env` are names of variables that programs which are agents get too.
    """

    home: Path
    grace: float = 10.0
    log_limit: int = 100_000_000
    tmux_socket: str = ""
    worktree_parent: str = ""
    branch_pattern: str = "pj-{command}-{date}-{run}"
    snapshots: bool = True
    setup: str = ""
    setup_inputs: tuple[str, ...] = ()
    setup_timeout: float = 1800.0
    check: str = ""
    trash_days: int = 14
    apply: bool = False
    model: str = ""
    script: str = ""
    daily_cost: float = 0.0
    agent: str = ""
    agent_env: tuple[str, ...] = ()
    sources: Mapping[str, Source] = {}


NAMES: Mapping[str, type] = {
    "grace": float,
    "log_limit": int,
    "tmux_socket": str,
    "worktree_parent": str,
    "branch_pattern": str,
    "snapshots": bool,
    "setup": str,
    "setup_inputs": tuple,
    "setup_timeout": float,
    "check": str,
    "trash_days": int,
    "apply": bool,
    "model": str,
    "script": str,
    "daily_cost": float,
    "agent": str,
    "agent_env": tuple,
}


def environment() -> Mapping[str, str]:
    """The caller's environment."""
    return os.environ


def hand_over(path: Path) -> None:
    """Keep the caller's environment in a file that only its user can read, for another process of ours."""
    keep_private(path, dict(os.environ))


def keep_private(path: Path, data: Mapping[str, Any]) -> None:
    """Write data as JSON into a new file that only its user can read."""
    import json  # noqa: PLC0415 - only here

    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w") as file:
        json.dump(data, file)


def take_over(path: Path) -> None:
    """Go on in the environment that was handed over; the terminal stays our own."""
    import json  # noqa: PLC0415 - only here

    own = {name: value for name, value in os.environ.items() if name in {"TERM", "TMUX", "TMUX_PANE"}}
    given = json.loads(path.read_text())
    path.unlink()
    os.environ.clear()
    os.environ.update({**given, **own})


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
    kind = NAMES[key]
    try:
        typed = _READERS.get(kind, kind)(value)
    except (TypeError, ValueError) as error:
        name = f"of type {kind.__name__}" if kind not in _READERS else _KINDS[kind]
        raise UsageError(f"{place} must be {name}") from error
    if isinstance(typed, int | float) and not 0 <= typed < math.inf:
        raise UsageError(f"{place} must be a number that is not negative")
    return typed


def _switch(value: Any) -> bool:
    words = {
        "true": True,
        "1": True,
        "yes": True,
        "on": True,
        "false": False,
        "0": False,
        "no": False,
        "off": False,
    }
    text = str(value).lower()
    if text not in words:
        raise ValueError(text)
    return words[text]


def _words(value: Any) -> tuple[str, ...]:
    """A list, or its words with commas between them."""
    if isinstance(value, list):
        return tuple(str(each) for each in value)
    return tuple(word.strip() for word in str(value).split(",") if word.strip())


_READERS: Mapping[Any, Callable[[Any], Any]] = {bool: _switch, tuple: _words}
_KINDS: Mapping[Any, str] = {bool: "true or false", tuple: "a list"}


def shell_tools(environ: Mapping[str, str], tool: str) -> dict[str, str | list[str]]:
    """What the shell tools `plum` and `pots` were set to: their file, and the environment above it."""
    user = Path(environ.get("HOME", "/"))
    named = environ.get(f"{tool.upper()}_CONFIG_FILE", "")
    older = {"plum": ".worktree-config", "pots": ".pots-config"}[tool]
    places = (Path(named), user / older, user / ".config" / tool / "config")
    found: dict[str, str | list[str]] = {}
    path = next((each for each in places if str(each) != "." and each.is_file()), None)
    if path is not None:
        found = shellconfig.parse(path.read_text(errors="replace"), environ)
    names = (f"{tool.upper()}_", "WORKTREE_NAME_PREFIX", "GITHUB_USERNAME")
    listed = {key for key, value in found.items() if isinstance(value, list)}
    own = {k: v for k, v in environ.items() if k.startswith(names)}
    return found | {k: v.split() if k in listed | {"PLUM_FILES_TO_COPY"} else v for k, v in own.items()}


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
