"""Requests to the API of a forge, and the errors of its refusals."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from prunejuice.errors import PublishError, UsageError
from prunejuice.forges.forge import Issue
from prunejuice.text import safe_line

_TIMEOUT = 30.0
IssueKeys = tuple[str, str, str]


class RestApi(NamedTuple):
    """The API at a base URL; `headers` have the login. `title` names the repository in messages."""

    url: str
    title: str
    headers: Mapping[str, str] = {}
    login_fix: str = ""

    def request(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Return the status and the answer of a request, as plain data.

        Raises:
            PublishError: the forge is unreachable.
        """
        import httpx2  # noqa: PLC0415 - slow to import

        headers = {"User-Agent": "prunejuice", "Accept": "application/json", **self.headers}
        try:
            url = f"{self.url}/{path}"
            response = httpx2.request(method, url, json=body, headers=headers, timeout=_TIMEOUT)
            return response.status_code, response.json() if response.content else {}
        except (httpx2.HTTPError, ValueError, httpx2.InvalidURL) as error:
            fix = "check the network connection and try again; nothing was lost"
            problem = f"could not reach {self.url}: {safe_line(str(error), 200)}"
            raise PublishError(problem, fix) from error

    def refusal_error(self, status: int, message: str) -> Exception:
        """Return the error for a refused request."""
        if status in {401, 403}:
            problem = f"{self.url} rejected the token for {self.title}: {message}"
            return UsageError(problem, self.login_fix)
        if status == 404:
            problem = f"{self.url} did not find {self.title}, or the token has no access to it"
            return UsageError(problem, self.login_fix)
        problem = f"{self.url} refused the request ({status}): {message}"
        return PublishError(problem, "fix the problem and try again")

    def fetch_issue(self, path: str, number: int, keys: IssueKeys, explain: Callable[[Any], str]) -> Issue:
        """Return the issue at a path of the API; `keys` name its title, text and URL in the answer.

        `explain` returns the message of a refusal.

        Raises:
            UsageError: the issue does not exist, or the token has no access to it.
            PublishError: the forge refused, or is unreachable.
        """
        status, answer = self.request("GET", f"{path}/{number}")
        if status == 404:
            problem = f"issue {number} not found in {self.title}, or the token has no access to it"
            raise UsageError(problem, "check the number of the issue")
        if status != 200:
            raise self.refusal_error(status, explain(answer))
        return Issue(number, *(str(answer.get(key) or "") for key in keys))
