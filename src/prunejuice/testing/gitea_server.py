"""A forge on the loopback interface that accepts pull requests and has issues, like Gitea's API."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from prunejuice.testing.forge import ForgeRequest, ForgeServer, split_draft

_DRAFT = "WIP: "
_OWNER = "shop"


class GiteaServer(ForgeServer):
    """A Gitea or Forgejo with the repository `shop/cart`; a remote below its `url` names it."""

    scheme = "token"

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that direct clients to this forge."""
        return {"GITEA_SERVER_URL": self.url, "GITEA_SERVER_TOKEN": self.token}

    def answer_allowed(self, request: ForgeRequest) -> tuple[int, Any]:
        """Return the status and body of the answer to a request with the right token."""
        path, _, query = request.path.partition("?")
        inner = path.removeprefix(f"/api/v1/repos/{_OWNER}/cart/")
        if inner == "pulls" and request.method == "POST":
            return self._open_pull_request(request.body)
        if inner == "pulls":
            is_first = dict(parse_qsl(query)).get("page", "1") == "1"
            return 200, [self._describe(pull) for pull in self._open] if is_first else []
        if issue := self.find_issue(inner):
            number, title, text = issue
            return 200, {"title": title, "body": text, "html_url": f"{self.url}/issues/{number}"}
        return 404, {"message": "not found"}

    def _open_pull_request(self, body: Mapping[str, Any]) -> tuple[int, Any]:
        head = str(body.get("head"))
        owner, _, branch = head.rpartition(":")
        if self.branches is not None and f"{owner or _OWNER}:{branch}" not in self.branches:
            return 404, {"message": "The target couldn't be found."}
        if any(pull["head"] == head for pull in self._open):
            return 409, {"message": "pull request already exists for these targets [id: 1]"}
        draft = split_draft(str(body.get("title")), _DRAFT)
        url = self.add_request(**draft, body=body.get("body"), head=head, base=body.get("base"))
        return 201, {"html_url": url}

    @staticmethod
    def _describe(pull: Mapping[str, Any]) -> dict[str, Any]:
        owner, _, branch = pull["head"].rpartition(":")
        repository = {"owner": {"login": owner or _OWNER}}
        return {
            "head": {"ref": branch, "repo": repository},
            "base": {"ref": pull["base"]},
            "html_url": pull["html_url"],
        }
