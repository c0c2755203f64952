"""Commits in the name of the user, signed if the user signs commits."""

from prunejuice.errors import GitError
from prunejuice.worktrees.git import Git

_SIGNING_SETTINGS = r"^(commit\.gpgsign|user\.signingkey|gpg\..*)$"
_DEFAULTS = {
    "gpg.format": "openpgp",
    "gpg.program": "gpg",
    "gpg.ssh.program": "ssh-keygen",
    "gpg.ssh.defaultKeyCommand": "",
    "gpg.x509.program": "gpgsm",
}
"""Git's own values of the settings that name programs, in place of those of the repository."""


def commit_as_user(git: Git, tree: str, parents: tuple[str, ...], message: str) -> str:
    """Create a commit of a tree with the user's name and email, in no branch, and return it.

    It is signed if `commit.gpgSign` is set in the user's own configuration or that of the system. What the
    repository says of signing is not read: it could name a program to run.

    Raises:
        GitError: git failed, knows no name and email of the user, or could not sign.
    """
    settings = _read_own_settings(git)
    if settings.get("commit.gpgsign", "false").lower() not in {"true", "yes", "on", "1", ""}:
        return git.commit_tree(tree, parents, message, author=None)
    own = {name: value for name, value in settings.items() if name != "commit.gpgsign"}
    config = tuple({**_DEFAULTS, **own}.items())
    signer = git._replace(extra_config=(*git.extra_config, *config))
    try:
        return signer.commit_tree(tree, parents, message, author=None, sign=True)
    except GitError as error:
        if error.fix:
            raise
        fix = "unlock your signing key, or run `git config --global commit.gpgsign false`"
        raise GitError(f"the commit could not be signed: {error.message}", fix) from error


def _read_own_settings(git: Git) -> dict[str, str]:
    """Return the settings about signing in the configuration of the user and of the system."""
    output = git.try_run("config", "--show-scope", "-z", "--get-regexp", _SIGNING_SETTINGS).stdout
    fields = output.decode("utf-8", "surrogateescape").split("\0")
    settings: dict[str, str] = {}
    for scope, entry in zip(fields[::2], fields[1::2], strict=False):
        name, _, value = entry.partition("\n")
        if scope in {"system", "global"}:
            settings[name] = value
    return settings
