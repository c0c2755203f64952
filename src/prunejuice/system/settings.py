"""Settings and their sources. Environment variables are read only here.

Precedence, highest first:

environment > the trusted project's `.prj/config.yaml` > the user's `config.yaml` > default
"""

import io
import math
import os
import re
from collections.abc import Callable, Mapping, MutableMapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from prunejuice.errors import DefinitionError, Problem, UsageError
from prunejuice.system import shell_config
from prunejuice.system.grace_period import DEFAULT_GRACE
from prunejuice.text import spelling_hint

Source = Literal["default", "user", "project", "environment"]

# Every step inherits these variables. A command must name any other variable that its steps need.
INHERITED_VARIABLES = (
    *("PATH", "HOME", "USER", "LOGNAME", "LANG", "TERM", "TMPDIR", "SHELL", "TZ"),
    *("VIRTUAL_ENV", "CONDA_PREFIX"),
)
_TOOL_VARIABLES = re.compile(
    r"(?:https?|no|all)_proxy|SSL_CERT_(?:FILE|DIR)|(?:REQUESTS_CA|CURL_CA|AWS_CA)_BUNDLE|NODE_EXTRA_CA_CERTS"
    r"|(?:UV|PIP|PIPX|POETRY|PDM|HATCH|NPM_CONFIG|PNPM|YARN|BUN|COREPACK|CARGO|RUSTUP)_\w+"
    r"|GO(?:PROXY|NOPROXY|SUMDB|NOSUMDB|PRIVATE|FLAGS|PATH|CACHE|MODCACHE|TOOLCHAIN|ROOT)|XDG_CACHE_HOME",
    re.IGNORECASE,
)
"""Variables of package tools and of the network, inherited too unless their value has a password."""
_URL_PASSWORD = re.compile(r"://[^/@\s]*@")
# A project's .env must not set these: they control what our own tools load and run.
_PROTECTED_VARIABLES = (
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
_PROTECTED_PREFIXES = ("LD_", "DYLD_", "GIT_", "PRUNEJUICE_")


class Settings(NamedTuple):
    """The settings and their defaults.

    `grace` is the number of seconds between TERM and KILL; `setup_timeout` is in seconds. `services`
    runs in the worktree of a run beside its steps, which begin when `services_ready` succeeds, for which it
    has `services_timeout` seconds. `overlay` lets
    checks of copies run at the path of the checkout, where the system allows it. `log_limit` is
    the number of bytes kept of a step's output. `trash_days` is how many days deleted work can be restored.
    `apply` writes changes to disk immediately instead of leaving them pending. `model` is the model to use,
    as `provider:name`. `script` is a file of prepared answers that replaces every model. `daily_cost` is a
    limit in US dollars, `max_cost` that of one agent step which has no limit of cost or tokens of its own,
    where its cost is known (0: no limit). `agent` is the kind of agent. `agent_env` names additional
    variables that agent programs inherit. `output_tokens` limits one answer of a model (0: its own).
    `secret_names` are further names of variables and arguments whose values are masked; `*` stands for any
    part. `gates` are gates of other packages that every change must pass. `notify` is a shell command
    that runs when a run waits, failed or ended; no project can set it. `sources` maps each setting that
    is not a default to its source. `sandbox` is what contains steps, checks and agents: `off`, `files` or
    `files+net`; without it, only checks are contained, in `files`, where the system can. `allow` is what a
    sandbox lets in: lists named write, read, hosts and services. `limits` bounds the memory (`2GiB`), the
    processes, the CPU seconds (`cpu`) and the size of files (`disk`) of each contained process tree.
    `sandbox_program` makes the sandboxes: bwrap, srt, container or one of another package. `sandbox_image`
    is the image of containers.
    """

    home: Path
    grace: float = DEFAULT_GRACE
    log_limit: int = 100_000_000
    tmux_socket: str = ""
    worktree_parent: str = ""
    branch_pattern: str = "pj-{command}-{date}-{run}"
    snapshots: bool = True
    setup: str = ""
    setup_inputs: tuple[str, ...] = ()
    setup_timeout: float = 1800.0
    services: str = ""
    services_ready: str = ""
    services_timeout: float = 60.0
    overlay: bool = True
    check: str = ""
    trash_days: int = 14
    apply: bool = False
    model: str = ""
    script: str = ""
    daily_cost: float = 0.0
    max_cost: float = 10.0
    agent: str = ""
    agent_env: tuple[str, ...] = ()
    output_tokens: int = 0
    secret_names: tuple[str, ...] = ()
    gates: tuple[str, ...] = ()
    notify: str = ""
    sandbox: str = ""
    allow: Mapping[str, tuple[str, ...]] = {}
    limits: Mapping[str, tuple[str, ...]] = {}
    sandbox_program: str = ""
    sandbox_image: str = ""
    sources: Mapping[str, Source] = {}


USER_SETTINGS = frozenset({"notify", "sandbox_program"})
"""Settings that a project cannot set: they act for the user, outside of every run."""
_SMALLEST_SETTINGS = frozenset({"max_cost", "daily_cost"})
"""Limits of the user that a project can only lower."""
SANDBOX_MODES = ("", "off", "files", "files+net")
"""What the setting `sandbox` can be, from the weakest to the strongest."""
SETTING_TYPES: Mapping[str, type] = {
    name: type(default) for name, default in Settings._field_defaults.items() if name != "sources"
}
"""The type of each setting, by that of its default."""


def prepare_pager() -> bool:
    """Let `less` show colours and end by itself if the text fits, as git does, unless LESS is set.

    Return whether it was not set.
    """
    is_unset = "LESS" not in os.environ
    os.environ.setdefault("LESS", "-FRX")
    return is_unset


def environment() -> MutableMapping[str, str]:
    """Return the environment of this process."""
    return os.environ


def save_environment(path: Path) -> None:
    """Save the environment, for a process that continues this one, in a file only its owner can read."""
    write_private_json(path, dict(os.environ))


def write_private_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write data as JSON to a new file that only its owner can read.

    Raises:
        FileExistsError: the file already exists.
    """
    import json  # noqa: PLC0415 - only here

    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w") as file:
        json.dump(data, file)


def restore_environment(path: Path) -> None:
    """Replace the environment by a saved one, except for the terminal variables, and delete the file."""
    import json  # noqa: PLC0415 - only here

    terminal = {name: value for name, value in os.environ.items() if name in {"TERM", "TMUX", "TMUX_PANE"}}
    saved = json.loads(path.read_text())
    path.unlink()
    os.environ.clear()
    os.environ.update({**saved, **terminal})


def state_directory(environ: Mapping[str, str]) -> Path:
    """Return the state directory: `PRUNEJUICE_HOME`, or the default of the operating system."""
    if path := environ.get("PRUNEJUICE_HOME"):
        return Path(path).absolute()
    import platformdirs

    return platformdirs.user_state_path("prunejuice", appauthor=False)


def config_directory(environ: Mapping[str, str]) -> Path:
    """Return the directory of the user's commands and `config.yaml`, or `PRUNEJUICE_CONFIG` if set."""
    if path := environ.get("PRUNEJUICE_CONFIG"):
        return Path(path).absolute()
    import platformdirs

    return platformdirs.user_config_path("prunejuice", appauthor=False)


def user_config_path(environ: Mapping[str, str]) -> Path:
    """Return the path of the user's `config.yaml`, whether or not it exists."""
    return config_directory(environ) / "config.yaml"


def load(
    environ: Mapping[str, str], project_config: Path | None = None, project_content: bytes = b""
) -> Settings:
    """Load the settings. Pass `project_config` only for a trusted project, with the bytes that are trusted.

    Raises:
        UsageError: a setting is unknown or has the wrong type. The message names the file and line.
    """
    sourced: dict[str, tuple[Any, Source]] = {}
    user_config = user_config_path(environ)
    if user_config.is_file():
        values = _parse_config(user_config.read_bytes(), user_config)
        sourced.update({key: (value, "user") for key, value in values.items()})
    if project_config is not None:
        values = _parse_config(project_content, project_config)
        if refused := sorted(USER_SETTINGS & values.keys()):
            fix = f"move it to your own {user_config}"
            raise UsageError(f"{project_config}: a project cannot set {refused[0]}", fix)
        sourced.update(_accept_from_project(values, sourced))
    for key in SETTING_TYPES:
        if (text := environ.get(f"PRUNEJUICE_{key.upper()}")) is not None:
            sourced[key] = (convert_value(f"PRUNEJUICE_{key.upper()}", key, text), "environment")
    if environ.get("PRUNEJUICE_HOME"):
        sourced["home"] = (state_directory(environ), "environment")
    values = {key: value for key, (value, _) in sourced.items()}
    return Settings(
        **{"home": state_directory(environ), **values},
        sources={key: source for key, (_, source) in sourced.items()},
    )


def _accept_from_project(
    values: Mapping[str, Any], sourced: Mapping[str, tuple[Any, Source]]
) -> dict[str, tuple[Any, Source]]:
    """Return the settings of a project that count: it may lower what its user may spend, not raise it."""
    accepted: dict[str, tuple[Any, Source]] = {}
    for key, value in values.items():
        own = sourced[key][0] if key in sourced else None
        if key == "sandbox" and SANDBOX_MODES.index(value) <= SANDBOX_MODES.index(own or "off"):
            continue
        if not (key in _SMALLEST_SETTINGS and own and not 0 < value <= own):
            accepted[key] = (_join_lists(own or {}, value) if key == "allow" else value, "project")
    return accepted


def _join_lists(
    first: Mapping[str, tuple[str, ...]], second: Mapping[str, tuple[str, ...]]
) -> Mapping[str, tuple[str, ...]]:
    """Return the lists of both mappings by name."""
    names = dict.fromkeys((*first, *second))
    return {name: tuple(dict.fromkeys((*first.get(name, ()), *second.get(name, ())))) for name in names}


def _parse_config(content: bytes, path: Path) -> dict[str, Any]:
    from prunejuice.system import yaml_reader  # noqa: PLC0415 - importing YAML is slow

    document = yaml_reader.parse(content, str(path))
    data = document.data or {}
    if not isinstance(data, dict):
        raise DefinitionError((Problem(str(path), 1, "", "must be a mapping"),))
    problems = tuple(
        Problem(
            str(path), document.line_of((key,)), key, "unknown setting", spelling_hint(key, SETTING_TYPES)
        )
        for key in data
        if key not in SETTING_TYPES
    )
    if problems:
        raise DefinitionError(problems)
    return {key: convert_value(f"{path}: {key}", key, value) for key, value in data.items()}


def convert_value(place: str, key: str, value: Any) -> Any:
    """Return a value of a file or of the environment as the type of a setting; `place` is for the message.

    Raises:
        UsageError: the value has the wrong type.
    """
    kind = SETTING_TYPES[key]
    try:
        typed = _PARSERS.get(kind, kind)(value)
    except (TypeError, ValueError) as error:
        name = f"of type {kind.__name__}" if kind not in _PARSERS else _TYPE_DESCRIPTIONS[kind]
        raise UsageError(f"{place} must be {name}") from error
    if key == "sandbox" and typed not in SANDBOX_MODES:
        hint = spelling_hint(str(typed), SANDBOX_MODES[1:])
        raise UsageError(f"{place} must be one of {', '.join(SANDBOX_MODES[1:])}", hint)
    if isinstance(typed, int | float) and not 0 <= typed < math.inf:
        raise UsageError(f"{place} must be a non-negative number")
    return typed


def _parse_boolean(value: Any) -> bool:
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


def _parse_list(value: Any) -> tuple[str, ...]:
    """Return the items of a list, or of a text with commas between them."""
    if isinstance(value, list):
        return tuple(str(item) for item in value)
    return tuple(word.strip() for word in str(value).split(",") if word.strip())


def _parse_text(value: Any) -> str:
    """Return a value as text; the word `off` is a boolean in YAML."""
    return "off" if value is False else str(value)


def _parse_lists(value: Any) -> Mapping[str, tuple[str, ...]]:
    """Return a mapping of lists, or that of a text such as `{hosts: [example.org]}`."""
    if isinstance(value, str):
        from prunejuice.system import yaml_reader  # noqa: PLC0415 - importing YAML is slow

        value = yaml_reader.parse(value.encode(), "the value").data or {}
    if not isinstance(value, Mapping):
        raise TypeError
    return {
        str(name): _parse_list(items if isinstance(items, list) else [items])
        for name, items in value.items()
    }


_PARSERS: Mapping[Any, Callable[[Any], Any]] = {
    bool: _parse_boolean,
    tuple: _parse_list,
    str: _parse_text,
    dict: _parse_lists,
}
_TYPE_DESCRIPTIONS: Mapping[Any, str] = {
    bool: "true or false",
    tuple: "a list",
    dict: "a mapping of lists, such as {hosts: [example.org]}",
}


def load_shell_tool_settings(environ: Mapping[str, str], tool: str) -> dict[str, str | list[str]]:
    """Return the settings of the shell tool `plum` or `pots`: its file, overridden by the environment."""
    home = Path(environ.get("HOME", "/"))
    override = environ.get(f"{tool.upper()}_CONFIG_FILE", "")
    legacy = {"plum": ".worktree-config", "pots": ".pots-config"}[tool]
    paths = (Path(override), home / legacy, home / ".config" / tool / "config")
    values: dict[str, str | list[str]] = {}
    # An empty override becomes `Path(".")`, which is not a file to read.
    config = next((path for path in paths if str(path) != "." and path.is_file()), None)
    if config is not None:
        values = shell_config.parse(config.read_text(errors="replace"), environ)
    prefixes = (f"{tool.upper()}_", "WORKTREE_NAME_PREFIX", "GITHUB_USERNAME")
    # An environment variable cannot hold a list, so one that replaces a list is split at spaces.
    lists = {key for key, value in values.items() if isinstance(value, list)} | {"PLUM_FILES_TO_COPY"}
    overrides = {key: value for key, value in environ.items() if key.startswith(prefixes)}
    return values | {key: value.split() if key in lists else value for key, value in overrides.items()}


def inherited_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of the caller that every step inherits."""
    return {
        name: value
        for name, value in environ.items()
        if name in INHERITED_VARIABLES or name.startswith("LC_") or _is_tool_variable(name, value)
    }


def _is_tool_variable(name: str, value: str) -> bool:
    if not _TOOL_VARIABLES.fullmatch(name):
        return False
    from prunejuice.system.secret_forms import is_secret_name  # noqa: PLC0415 - slow to import

    return not (is_secret_name(name) or _URL_PASSWORD.search(value))


def read_dotenv(path: Path) -> dict[str, str]:
    """Return the variables of a `.env` that need not be trusted, to hide them; none if it is unreadable."""
    try:
        return parse_dotenv(path.read_bytes(), path)
    except (OSError, UsageError):
        return {}


def parse_dotenv(content: bytes, path: Path) -> dict[str, str]:
    """Return the variables of a project's `.env`, without those that control how programs are loaded.

    Raises:
        UsageError: the file is not UTF-8.
    """
    from dotenv import dotenv_values

    try:
        values = dotenv_values(stream=io.StringIO(content.decode()), interpolate=False)
    except ValueError as error:
        raise UsageError(f"could not read {path}: {error}") from error
    return {
        k: v
        for k, v in values.items()
        if v is not None and k.isidentifier() and not _is_protected_variable(k)
    }


def _is_protected_variable(name: str) -> bool:
    return name in _PROTECTED_VARIABLES + INHERITED_VARIABLES or name.startswith(_PROTECTED_PREFIXES)
