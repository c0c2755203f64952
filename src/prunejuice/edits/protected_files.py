"""Files that decide what runs on a machine, or what agents are told: a change to them needs a grant."""

import re
from collections.abc import Iterable
from fnmatch import translate
from typing import Literal

from prunejuice.edits.path_rules import collision_key

Protection = Literal["", "shown", "granted"]

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


def protection_level(name: str) -> Protection:
    """Return how a file is protected because it decides what runs.

    "granted" files change only with an explicit grant, "shown" files are pointed out for review.
    """
    key = collision_key(name)
    generated = next(
        (key.removeprefix(folder) for folder in _GENERATED_FOLDERS if key.startswith(folder)), ""
    )
    if generated and not _PROTECTED_SET.covers(generated):
        return ""
    if _PROTECTED_SET.covers(key):
        return "granted"
    return "shown" if _SENSITIVE_SET.covers(key) else ""


def is_protected(name: str) -> bool:
    """Return whether a change to the file needs a grant; False for an empty name."""
    return bool(name) and protection_level(name) == "granted"


class _PatternSet:
    """Patterns of file names; most are plain names, which are looked up.

    A pattern without a slash matches at any depth, one with a slash from the top.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        patterns = tuple(patterns)
        wild = [pattern for pattern in patterns if _WILDCARD.search(pattern)]
        self._plain = frozenset(patterns) - frozenset(wild)
        self._names = _compile(pattern for pattern in wild if "/" not in pattern)
        self._paths = _compile(pattern for pattern in wild if "/" in pattern)

    def covers(self, key: str) -> bool:
        """Return whether a path or one of its folders matches a pattern."""
        parts = key.split("/")
        full_paths = ["/".join(parts[:count]) for count in range(2, len(parts) + 1)]
        if not self._plain.isdisjoint(parts) or not self._plain.isdisjoint(full_paths):
            return True
        return any(map(self._names.fullmatch, parts)) or any(map(self._paths.fullmatch, full_paths))


def _compile(patterns: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(map(translate, patterns)) or r"(?!)")


_WILDCARD = re.compile(r"[*?\[]")
_PROTECTED_SET, _SENSITIVE_SET = _PatternSet(_PROTECTED), _PatternSet(_SENSITIVE)
