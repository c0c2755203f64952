"""What agent programs need of the home folder: settings, login, and their conversations."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from prunejuice.system.private import make_private_folder

_MAX_BYTES = 32 << 20


class OwnFiles(NamedTuple):
    """Paths of a program, relative to the home folder, and the hosts of its models.

    `folder_variable` names another folder for those that begin with `folder`. `given` files are copied: the
    program may write to its copy. `write` paths are the real ones, `read` paths are read-only.
    """

    folder: str
    folder_variable: str = ""
    given: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()


_ROWS: Mapping[str, OwnFiles] = {
    "claude": OwnFiles(
        ".claude",
        "CLAUDE_CONFIG_DIR",
        given=(".claude.json", ".claude/settings.json", ".claude/.claude.json"),
        write=(".claude/projects", ".claude/.credentials.json"),
        read=(".claude/CLAUDE.md", ".claude/agents", ".claude/commands", ".claude/skills"),
        hosts=("api.anthropic.com", "console.anthropic.com", "platform.claude.com", "claude.ai"),
    ),
    "codex": OwnFiles(
        ".codex",
        "CODEX_HOME",
        given=(".codex/config.toml",),
        write=(".codex/sessions", ".codex/auth.json"),
        read=(".codex/AGENTS.md", ".codex/prompts", ".codex/skills"),
        hosts=("api.openai.com", "chatgpt.com", "auth.openai.com"),
    ),
    "gemini": OwnFiles(
        ".gemini",
        given=(".gemini/settings.json", ".gemini/installation_id", ".gemini/google_accounts.json"),
        write=(".gemini/tmp", ".gemini/oauth_creds.json"),
        read=(".gemini/GEMINI.md",),
        hosts=("*.googleapis.com", "accounts.google.com"),
    ),
    "opencode": OwnFiles(
        ".local/share/opencode",
        write=(".local/share/opencode/storage", ".local/share/opencode/auth.json"),
        read=(".config/opencode",),
        hosts=("models.dev", "api.anthropic.com", "api.openai.com", "opencode.ai"),
    ),
    "goose": OwnFiles(".config/goose", read=(".config/goose",), write=(".local/share/goose",)),
}


class HomeAccess(NamedTuple):
    """Existing paths of a program that it may write to or read, copies to give to it, and its hosts."""

    write: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    given: tuple[tuple[str, bytes], ...] = ()
    hosts: tuple[str, ...] = ()


def find_home_access(agent: str, environ: Mapping[str, str]) -> HomeAccess:
    """Return what an agent, such as `claude` or `interactive:codex`, needs of the home folder of its user.

    The folders of conversations are made if they are missing, so that a conversation can be resumed.
    """
    name = agent.rpartition(":")[2].split(" ")[0]
    row = _ROWS.get("claude" if name in {"claudesdk", "interactive"} else name)
    if row is None:
        return HomeAccess()
    home = environ.get("HOME", "/")
    own = environ.get(row.folder_variable, "") if row.folder_variable else ""

    def locate(path: str) -> str:
        is_own = own and (path == row.folder or path.startswith(f"{row.folder}/"))
        return f"{own}{path.removeprefix(row.folder)}" if is_own else f"{home}/{path}"

    write = tuple(map(locate, row.write))
    for path in write:
        if not Path(path).suffix:
            make_private_folder(Path(path))
    return HomeAccess(
        write,
        tuple(map(locate, row.read)),
        tuple(_read_given(map(locate, row.given))),
        (*row.hosts, *_named_hosts(environ)),
    )


def _read_given(paths: Iterator[str]) -> Iterator[tuple[str, bytes]]:
    for path in paths:
        file = Path(path)
        if file.is_file() and file.stat().st_size <= _MAX_BYTES:
            yield path, file.read_bytes()


def _named_hosts(environ: Mapping[str, str]) -> Iterator[str]:
    """Yield the hosts of other models that the user's variables name."""
    for name, value in environ.items():
        if (
            name.endswith("_BASE_URL")
            and value.startswith("https://")
            and (host := urlsplit(value).hostname)
        ):
            yield host
