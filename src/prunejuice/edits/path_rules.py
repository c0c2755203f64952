"""Validation of the file paths that a change may name.

A valid path is relative to the root of the tree, uses forward slashes, and names the same file on every
system. This module checks the text of a path; `changes.dirfd` checks what the path leads to on disk.
"""

import re
import unicodedata
from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from prunejuice.errors import DeniedError, UsageError
from prunejuice.text import is_device_name, safe_line

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

MAX_PATH_BYTES = 4000
MAX_PART_BYTES = 255
MAX_GLOBSTARS = 4
"""The number of `**` in a glob; matching takes time exponential in it."""
Protection = Literal["", "shown", "granted"]

_FORBIDDEN = frozenset('\\<>:"|?*')
_INVISIBLE_CATEGORIES = {
    "Cc",
    "Cf",
    "Cs",
    "Co",
    "Cn",
    "Zl",
    "Zp",
}  # control, format, surrogate, private, unassigned
# `git~1` is the short name that Windows gives `.git`.
_GIT = re.compile(r"\.git([. ].*)?|git~[0-9]+|\.gitmodules")
_GENERATED_FOLDERS = (".codebot/summaries/", ".codebot/reports/")
# Files that decide which programs run, or what agents are told, on the machine of the next user.
_PROTECTED = (
    # Our own files, and those of agents: settings, hooks, tools and instructions.
    ".prj", ".codebot", ".claude", ".codex", ".cursor", ".gemini", ".opencode", ".goose", ".continue",
    ".windsurf", ".kiro", ".aider*", ".mcp.json", "mcp.json", ".mcp", ".clinerules", ".cline", ".roo",
    ".roomodes", ".roorules*", ".junie", ".amazonq", ".augment", ".trae", ".qwen", ".crush", "crush.json",
    ".crush.json", "opencode.json", "opencode.jsonc", ".goosehints", ".windsurfrules", ".codeium",
    ".tabnine", ".factory", ".warp", ".sourcegraph", ".cody", ".copilot", ".agents", ".github/copilot*",
    ".github/instructions", ".github/prompts", ".github/chatmodes", ".github/agents", ".claude.json",
    "claude_desktop_config.json", ".pi", ".amp", ".grok", ".kilocode*", ".void", ".zencoder", ".pearai",
    # Editors: tasks, start files and workspaces.
    ".vscode", ".idea", ".fleet", ".zed", ".devcontainer", ".devcontainer.json", ".dir-locals.el",
    ".dir-locals-2.el", ".exrc", ".nvimrc", ".nvim.lua", ".vimrc", ".gvimrc", ".lvimrc", ".vim", ".nvim",
    "*.code-workspace", "*.sublime-build", ".lapce", ".helix", ".kakrc", ".nova", ".vs", ".emacs*",
    ".projectile", ".ycm_extra_conf.py", ".clangd",
    # Shells and language start files.
    ".envrc", ".direnv", ".env.rc", ".rprofile", "rprofile.site", ".renviron", ".irbrc", ".pryrc",
    ".byebugrc", ".gdbinit", ".lldbinit", ".pdbrc", ".pdbrc.py", ".bashrc", ".bash_profile", ".profile",
    ".zshrc", ".zshenv", ".tmux.conf", ".inputrc", ".screenrc", ".pythonrc*", ".ghci", ".iex.exs",
    ".octaverc", ".psqlrc", ".sqliterc", ".autoenv*", ".mise.toml", "mise.toml", ".mise", ".rtx.toml",
    "mise.local.toml", ".mise.local.toml", ".config/mise*", "flake.nix", "shell.nix", "devenv.nix",
    "devbox.json", ".pylintrc", "pylintrc",
    # Hooks and their runners.
    ".husky", ".githooks", ".git-hooks", ".git_hooks", "githooks", "git-hooks", ".hooks",
    ".pre-commit-config.yaml", ".pre-commit-config.yml", ".pre-commit-hooks.yaml", "prek.toml", ".lefthook",
    ".lefthook.*", ".lefthook-local*", "lefthook.*", "lefthook-local.*", ".overcommit.yml", ".overcommit",
    ".huskyrc*", "husky.config.*", ".simple-git-hooks*", "simple-git-hooks.*", ".lintstagedrc*",
    "lint-staged.config.*", ".captainhook.json", "captainhook.json", "grumphp.yml", "grumphp.yml.dist",
    ".rusty-hook.toml", ".yorkie", ".talismanrc",
    # Continuous integration and delivery.
    ".github/workflows", ".github/actions", ".gitlab-ci*", ".gitlab", ".circleci", ".buildkite",
    "buildkite.yml", "buildkite.yaml", ".drone.*", "drone.yml", ".travis.yml", ".travis.yaml",
    ".woodpecker*", "azure-pipelines*", ".azure-pipelines", ".azuredevops", ".azure/pipelines",
    "bitbucket-pipelines.*", "jenkinsfile*", ".jenkins", "jenkins.yml", ".forgejo", ".gitea", ".cirrus.*",
    ".semaphore", "semaphore.yml", "appveyor.yml", ".appveyor.yml", "appveyor.yaml", "cloudbuild.*",
    "buildspec*.yml", "buildspec*.yaml", "appspec.yml", ".tekton", ".argo", ".builds", ".build.yml",
    ".builds.yml", "codemagic.yaml", "bitrise.yml", ".screwdriver.yaml", "screwdriver.yaml", "wercker.yml",
    "shippable.yml", ".shippable.yml", "codefresh.yml", ".codefresh", "codeship*.yml", "concourse.yml",
    ".concourse", ".teamcity", ".space.kts", ".harness", "google-cloud-build.yaml", "magnum-ci.yml",
    ".scrutinizer.yml", ".hound.yml", "zuul.yaml", ".zuul.yaml", ".zuul.d", "zuul.d", ".copr",
    ".packit.y*ml", ".onedev-buildspec.yml", "earthfile", ".dagger", "dagger.json", ".depot", ".vela.y*ml",
    ".renovaterc*", "renovate.json*", ".github/dependabot.y*ml", ".github/renovate.json*", ".mergify.yml",
    # Git itself.
    ".gitattributes", ".gitconfig", ".worktreeinclude", ".gitmodules",
)  # fmt: skip
# Files that can run code in a build or a test, but that ordinary changes often edit: shown, not blocked.
_SENSITIVE = (
    ".npmrc", ".yarnrc", ".yarnrc.yml", ".pypirc", "makefile", "gnumakefile", "justfile", "agents.md",
    "claude.md", "gemini.md", "conftest.py", "sitecustomize.py", "*.pth", "dockerfile", "package.json",
    "pyproject.toml", "setup.py", "build.rs", ".cursorrules", ".github",
)  # fmt: skip


def require_valid_path(name: str) -> str:
    """Return `name` unchanged if a change may name it.

    Raises:
        DeniedError: The path is invalid; the message gives the reason.
    """
    if reason := invalid_path_reason(name):
        raise DeniedError(
            f"{safe_line(name, 120)!r} {reason}", "use a path relative to the root of the tree"
        )
    return name


def invalid_path_reason(name: str) -> str:
    """Return the reason why a path is invalid, or an empty string if it is valid."""
    try:
        too_long = len(name.encode()) > MAX_PATH_BYTES
    except UnicodeEncodeError:
        return "is not valid Unicode"
    if not name or too_long:
        return f"is longer than {MAX_PATH_BYTES} bytes" if too_long else "is empty"
    if name.startswith(("/", "~")):
        return "is not a relative path"
    if reason := next((reason for part in name.split("/") if (reason := _invalid_part_reason(part))), ""):
        return reason
    # A folder with HEAD, objects and refs is a repository, whose config any call of git inside it runs.
    is_head = "/" in name and collision_key(name).endswith("/head")
    return "would make a git repository of its folder" if is_head else ""


def _invalid_part_reason(part: str) -> str:
    if part in {"", ".", ".."}:
        return "has an empty, '.' or '..' component"
    if len(part.encode()) > MAX_PART_BYTES:
        return f"has a component longer than {MAX_PART_BYTES} bytes"
    forbidden = next(
        (
            char
            for char in part
            if char in _FORBIDDEN or unicodedata.category(char) in _INVISIBLE_CATEGORIES
        ),
        "",
    )
    if forbidden:
        return f"contains the forbidden character U+{ord(forbidden):04X}"
    key = collision_key(part)
    if _GIT.fullmatch(key):
        return "belongs to git"
    # Windows drops trailing dots and spaces, and reserves device names whatever their suffix.
    if part[-1] in ". " or is_device_name(key):
        return "is not a valid name on every system"
    return ""


def collision_key(name: str) -> str:
    """Return a key that is equal for two names that may be the same file.

    Some file systems ignore case or normalize Unicode.
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKC", name).casefold())


def protection_level(name: str) -> Protection:
    """Return how a file is protected because it decides what runs.

    "granted" files change only with an explicit grant, "shown" files are pointed out for review.
    """
    key = collision_key(name)
    generated = next(
        (key.removeprefix(folder) for folder in _GENERATED_FOLDERS if key.startswith(folder)), ""
    )
    if generated and not _is_covered(generated, _PROTECTED):
        return ""
    if _is_covered(key, _PROTECTED):
        return "granted"
    return "shown" if _is_covered(key, _SENSITIVE) else ""


def is_protected(name: str) -> bool:
    """Return whether a change to the file needs a grant; False for an empty name."""
    return bool(name) and protection_level(name) == "granted"


def _is_covered(key: str, patterns: Iterable[str]) -> bool:
    """Return whether a path or one of its folders matches a pattern.

    A pattern without a slash matches at any depth.
    """
    parts = key.split("/")
    full_paths = [*parent_folders(key), key]
    for pattern in patterns:
        names = full_paths if "/" in pattern else parts
        if any(fnmatchcase(candidate, pattern) for candidate in names):
            return True
    return False


def matches_glob(name: str, pattern: str) -> bool:
    """Return whether a glob matches a path or a folder above it, by the rules of a gitignore file.

    `*` stays within a folder, `**/` matches any number of folders, and a glob without a slash matches at
    any depth.

    Raises:
        UsageError: The glob is invalid, or has more than `MAX_GLOBSTARS` `**`.
    """
    return bool(_compile_glob(pattern).match_file(name))


@lru_cache(maxsize=512)
def _compile_glob(pattern: str) -> "GitIgnoreSpec":
    from pathspec import GitIgnoreSpec  # noqa: PLC0415 - slow
    from pathspec.patterns.gitignore import GitIgnorePatternError  # noqa: PLC0415 - the same

    glob = re.sub(r"(?<![^/])(?:\*\*/)+", "**/", pattern)
    if glob.count("**") > MAX_GLOBSTARS:
        raise UsageError(
            f"the glob {safe_line(pattern, 60)!r} has more than {MAX_GLOBSTARS} '**'", "use fewer"
        )
    # A leading `!` or `#` has a meaning in a gitignore file only.
    line = f"\\{glob}" if glob[:1] in {"!", "#"} else glob
    try:
        return GitIgnoreSpec.from_lines([line])
    except GitIgnorePatternError as error:
        raise UsageError(
            f"invalid glob {safe_line(pattern, 60)!r}", "see the pattern format of gitignore"
        ) from error


def matches_any(name: str, patterns: Iterable[str]) -> bool:
    """Return whether one of the globs matches the path or a folder above it."""
    return any(matches_glob(name, pattern) for pattern in patterns)


def find_collision(names: Iterable[str]) -> tuple[str, str] | None:
    """Return two paths that cannot coexist on every system, or None.

    They differ only in case or accents, or one is a folder and the other a file.
    """
    first_spellings: dict[str, str] = {}
    for name in sorted(names):
        for path in (*parent_folders(name), name):
            first = first_spellings.setdefault(collision_key(path), path)
            if first != path:
                return first, path
    files = set(names)
    pairs = ((folder, name) for name in sorted(files) for folder in parent_folders(name) if folder in files)
    return next(pairs, None)


def parent_folders(name: str) -> list[str]:
    """Return the folders that contain a path, outermost first."""
    parts = name.split("/")[:-1]
    return ["/".join(parts[: end + 1]) for end in range(len(parts))]
