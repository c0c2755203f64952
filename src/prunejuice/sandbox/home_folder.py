"""Choose what of this machine and of a user's home folder a sandbox shows, and what it hides."""

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from prunejuice.sandbox.policy import is_below

_TOOLS = (
    # Version managers and toolchains: programs and libraries, without settings and tokens.
    ".asdf", ".bun", ".cargo/bin", ".cargo/env", ".conda", ".deno", ".dotnet", ".elan", ".fnm", ".ghcup",
    ".goenv", ".jdks", ".juliaup", ".linuxbrew", ".local/bin", ".local/lib", ".local/pipx/venvs",
    ".local/share/fnm", ".local/share/mise", ".local/share/pipx", ".local/share/rtx", ".local/share/uv",
    ".local/share/virtualenvs", ".nix-profile", ".nodenv", ".nvm", ".opam", ".pyenv", ".rbenv", ".rustup",
    ".rvm", ".sdkman/candidates", ".stack", ".virtualenvs", ".volta", ".cache/pypoetry/virtualenvs",
    "anaconda3", "mambaforge", "miniconda3", "miniforge3", "opt",
)  # fmt: skip
"""Folders below the home folder that programs need to run and to build."""
_CACHES = (
    ".cache/go-build", ".cache/ms-playwright", ".cache/node/corepack", ".cache/pip", ".cache/pre-commit",
    ".cache/uv", ".cache/yarn", ".cargo/git", ".cargo/registry", ".gem", ".gradle/caches",
    ".gradle/wrapper", ".ivy2/cache", ".local/share/uv", ".cache/pypoetry/virtualenvs",
    ".local/share/virtualenvs",
    ".local/share/pnpm", ".m2/repository", ".npm/_cacache", ".nuget/packages", "go",
)  # fmt: skip
"""Folders of packages that were downloaded and of what was built; tools write to them, too."""
_CACHE_VARIABLES = ("GOPATH", "GOMODCACHE", "GOCACHE", "UV_CACHE_DIR", "UV_TOOL_DIR", "PIP_CACHE_DIR")
_TOOL_VARIABLES = (
    "VIRTUAL_ENV", "CONDA_PREFIX", "PYENV_ROOT", "NVM_DIR", "RUSTUP_HOME", "GOROOT",
    "JAVA_HOME", "SDKMAN_DIR", "VOLTA_HOME", "ASDF_DIR", "ASDF_DATA_DIR", "DENO_DIR", "BUN_INSTALL",
    "UV_PYTHON_INSTALL_DIR", "UV_TOOL_DIR", "PNPM_HOME", "RBENV_ROOT", "GEM_HOME", "DOTNET_ROOT",
)  # fmt: skip
"""Variables that name such a folder elsewhere."""
_SECRET_FILES = (
    "/etc/shadow", "/etc/shadow-", "/etc/gshadow", "/etc/gshadow-", "/etc/sudoers", "/etc/sudoers.d",
    "/etc/ssl/private", "/etc/docker", "/etc/kubernetes", "/etc/rancher", "/etc/wireguard",
    "/etc/NetworkManager/system-connections", "/var/lib/docker", "/var/lib/containerd", "/var/lib/kubelet",
    "/var/spool/cron", "/var/mail", "/var/backups", "/boot",
)  # fmt: skip
"""Paths of the system that root alone can read, and that a process of root must not."""
_OTHER_FOLDERS = ("/home", "/root", "/run", "/mnt", "/media", "/Users", "/Volumes")
"""Folders of other users, sockets of services, and other disks."""


def list_hidden(own_folders: Iterable[str]) -> list[str]:
    """Return the paths to hide, as real paths: `own_folders` are the state and settings of prunejuice."""
    paths = (*_OTHER_FOLDERS, *_SECRET_FILES, *_host_keys(), *own_folders, *_list_sockets())
    found = [os.path.realpath(path) for path in paths if path and os.path.lexists(path)]
    return list(dict.fromkeys(path for path in found if path != "/" and os.access(path, os.F_OK)))


def list_tools(home: str, environ: Mapping[str, str]) -> list[str]:
    """Return the existing paths below hidden folders that programs need, as real paths."""
    named = (environ.get(name, "").split(os.pathsep)[0] for name in _TOOL_VARIABLES)
    programs = (entry for entry in environ.get("PATH", "").split(os.pathsep) if entry.startswith("/"))
    ours = (sys.prefix, sys.base_prefix, str(Path(__file__).parents[1]), "/etc/resolv.conf")
    return _find_below(home, (*(f"{home}/{name}" for name in _TOOLS), *named, *programs, *ours))


def list_caches(home: str, environ: Mapping[str, str]) -> list[str]:
    """Return the existing folders of caches, as real paths: what is written to them is thrown away."""
    named = (environ.get(name, "") for name in _CACHE_VARIABLES)
    cargo = environ.get("CARGO_HOME", "")
    of_cargo = (f"{cargo}/registry", f"{cargo}/git") if cargo else ()
    return _find_below(home, (*(f"{home}/{name}" for name in _CACHES), *named, *of_cargo))


def _find_below(home: str, everything: Iterable[str]) -> list[str]:
    """Return the real paths of those that exist, without folders that hold the home folder."""
    # A path of somebody else's home folder cannot even be looked at.
    there = (path for path in everything if path.startswith("/") and os.access(path, os.F_OK))
    real = map(os.path.realpath, there)
    return list(dict.fromkeys(path for path in real if not is_below(home, path)))


def _host_keys() -> Iterator[str]:
    folder = Path("/etc/ssh")
    if folder.is_dir():
        yield from map(str, folder.glob("ssh_host_*_key"))


def _list_sockets() -> list[str]:
    """Return the sockets in the file system: a read-only mount does not keep processes from using them."""
    try:
        lines = Path("/proc/net/unix").read_text(errors="surrogateescape").splitlines()[1:]
    except OSError:
        return []
    fields = (line.split(None, 7) for line in lines)
    return [words[7] for words in fields if len(words) > 7 and words[7].startswith("/")]
