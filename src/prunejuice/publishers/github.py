"""GitHub's API, also that of a server of one's own: pull requests and issues."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

from prunejuice import process
from prunejuice.errors import MissingToolError, PublishError, UsageError
from prunejuice.git import Git
from prunejuice.publishers import branch
from prunejuice.text import safe_line

_URL = re.compile(
    r"^(?:https?://(?:[^@/]*@)?|ssh://(?:[^@/]*@)?|[\w.-]+@)([\w.-]+)(?::\d+)?[:/](.+?)(?:\.git)?/?$"
)
_GITHUB = "https://api.github.com"
_TOKENS = ("GH_TOKEN", "GITHUB_TOKEN", "GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN")
"""What `gh` would say whatever host it is asked for."""
_SECONDS = 30.0
_LOGIN = "set GH_TOKEN to a token that may write to the repository, or log in: gh auth login"


class Place(NamedTuple):
    """A repository at a forge: where its API is, and its owner and name."""

    api: str
    owner: str
    name: str


class Issue(NamedTuple):
    """An issue as people wrote it."""

    number: int
    title: str
    body: str
    url: str

    @property
    def text(self) -> str:
        """All of it, as Markdown."""
        return f"# Issue {self.number}: {self.title}\n\n{self.url}\n\n{self.body.strip()}\n"


def place(url: str, environ: Mapping[str, str]) -> Place | None:
    """The repository that a remote's address means; GITHUB_REPOSITORY and GITHUB_API_URL go first."""
    named = environ.get("GITHUB_REPOSITORY", "")
    found = _URL.match(url)
    path = named or (found[2] if found else "")
    owner, _, name = path.partition("/")
    if not (owner and name) or "/" in name:
        return None
    host = found[1] if found else "github.com"
    usual = _GITHUB if host == "github.com" else f"https://{host}/api/v3"
    return Place(environ.get("GITHUB_API_URL", "").rstrip("/") or usual, owner, name)


def token(where: Place, environ: Mapping[str, str]) -> str:
    """The token to log in with at a place, and at no other; empty when there is none.

    Which host a repository names is not to be trusted, so what is meant for one host goes to that one.
    """
    host = _host(where.api)
    theirs = ("GH_ENTERPRISE_TOKEN",) if host == environ.get("GH_HOST") else ()
    for name in ("GH_TOKEN", "GITHUB_TOKEN") if _is_usual(where, environ) else theirs:
        if environ.get(name):
            return environ[name]
    try:
        program = process.which("gh", environ.get("PATH"))
    except MissingToolError:
        return ""
    words = [program, "auth", "token", "--hostname", host]
    env = {name: value for name, value in environ.items() if name not in _TOKENS}
    done = process.capture(process.Call(words, "/", env, 20))
    return done.out.decode("utf-8", "replace").strip() if done.code == 0 else ""


def login(where: Place, environ: Mapping[str, str]) -> str:
    """How to have a token for a place."""
    if _is_usual(where, environ):
        return "set GH_TOKEN, or log in: gh auth login"
    host = safe_line(_host(where.api), 80)
    return f"gh auth login --hostname {host}, or set GH_HOST={host} and GH_ENTERPRISE_TOKEN"


def _is_usual(where: Place, environ: Mapping[str, str]) -> bool:
    """Whether it is the forge that tokens are for when nothing is said."""
    return where.api in {_GITHUB, environ.get("GITHUB_API_URL", "").rstrip("/")}


def _host(api: str) -> str:
    """The host whose API it is."""
    return "github.com" if api == _GITHUB else urlsplit(api).netloc


class GitHub(NamedTuple):
    """The API of one repository, with the token of whoever asks."""

    place: Place
    token: str

    def pull_request(self, head: str, base: str, title: str, body: str, *, draft: bool) -> str:
        """Open a pull request; its address. One that is open for the branch already is taken.

        Raises:
            PublishError: the forge refuses, or cannot be reached.
        """
        asked = {"title": title, "head": head, "base": base, "body": body, "draft": draft}
        status, said = self._asked("POST", "pulls", asked)
        if status == 201:
            return str(said.get("html_url"))
        if status == 422 and "already exists" in _message(said):
            _, open_ones = self._asked(
                "GET", f"pulls?state=open&head={quote(f'{self.place.owner}:{head}')}"
            )
            if isinstance(open_ones, list) and open_ones:
                return str(open_ones[0].get("html_url"))
        raise _refused(status, said, self.place)

    def issue(self, number: int) -> Issue:
        """An issue.

        Raises:
            PublishError: there is none, or the forge cannot be reached.
        """
        status, said = self._asked("GET", f"issues/{number}")
        if status == 404:
            what = f"there is no issue {number} in {self.place.owner}/{self.place.name}"
            raise UsageError(f"{what}, or the login may not see it", "name another: --issue")
        if status != 200:
            raise _refused(status, said, self.place)
        return Issue(number, str(said.get("title")), str(said.get("body") or ""), str(said.get("html_url")))

    def _asked(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        import httpx2  # noqa: PLC0415 - slow

        where = self.place
        headers = {"Accept": "application/vnd.github+json", "User-Agent": "prunejuice"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        url = f"{where.api}/repos/{quote(where.owner)}/{quote(where.name)}/{path}"
        try:
            answer = httpx2.request(method, url, json=body, headers=headers, timeout=_SECONDS)
            return answer.status_code, answer.json() if answer.content else {}
        except (httpx2.HTTPError, ValueError, httpx2.InvalidURL) as error:
            fix = "see to the network, and do it again; nothing was lost"
            raise PublishError(
                f"{where.api} cannot be reached: {safe_line(str(error), 200)}", fix
            ) from error


def of_repository(git: Git, environ: Mapping[str, str], remote: str = "") -> GitHub:
    """The forge of a repository's remote, with a login where there is one.

    Raises:
        UsageError: it has no remote, or one of no forge that is known.
    """
    try:
        url = branch.remote(git, remote).url
    except UsageError:
        if not environ.get("GITHUB_REPOSITORY"):
            raise
        url = ""
    where = place(url, environ)
    if where is None:
        what = f"{safe_line(branch.shown(url), 200)} is at no forge that is known"
        raise UsageError(what, "set GITHUB_REPOSITORY=owner/name")
    made = GitHub(where, token(where, environ))
    if not (made.token or _is_usual(where, environ)):
        what = f"{safe_line(branch.shown(url), 200)} is at no forge that you are logged in to"
        raise UsageError(what, login(where, environ))
    return made


def _message(said: Any) -> str:
    if not isinstance(said, Mapping):
        return ""
    more = [str(each.get("message", "")) for each in said.get("errors") or () if isinstance(each, Mapping)]
    return safe_line("; ".join(filter(None, [str(said.get("message", "")), *more])), 300)


def _refused(status: int, said: Any, where: Place) -> Exception:
    """What a refusal means, and what to do."""
    name, told = f"{where.owner}/{where.name}", _message(said)
    if status in {401, 403}:
        return UsageError(f"{where.api} does not accept the login for {name}: {told}", _LOGIN)
    if status == 404:
        return UsageError(
            f"{where.api} knows nothing of that in {name}, or the token may not see it", _LOGIN
        )
    return PublishError(f"{where.api} refuses ({status}): {told}", "see what it says, and do it again")
