"""Files as they would be after some changes, without touching any."""

from collections.abc import Callable

from prunejuice import pathname
from prunejuice.errors import ConflictError
from prunejuice.hunk import Difference, Version
from prunejuice.text import safe_line

NOTHING = Version(None)


class Overlay:
    """A tree under change: `see` says what is at a path before, and is asked once for each."""

    def __init__(self, see: Callable[[str], Version]) -> None:
        self._see = see
        self._before: dict[str, Version] = {}
        self._now: dict[str, Version] = {}
        self._origin: dict[str, str] = {}

    def get(self, path: str) -> Version:
        """What is at a path by now.

        Raises:
            DeniedError: no change may name it.
        """
        if path not in self._now:
            self._before[path] = self._now[path] = self._see(pathname.checked(path))
        return self._now[path]

    def before(self, path: str) -> Version:
        """What was at a path in the beginning."""
        self.get(path)
        return self._before[path]

    def put(self, path: str, version: Version) -> None:
        """Let a path be something else; nothing there takes it away."""
        self.get(path)
        self._now[path] = version
        if version.data is None:
            self._origin.pop(path, None)

    def rename(self, path: str, to: str) -> None:
        """Give a file another name.

        Raises:
            ConflictError: there is no such file, or the name is taken.
        """
        version = self.get(path)
        if version.data is None:
            what = f"there is no file {safe_line(path, 120)}"
            raise ConflictError(what, "nothing was changed", (path,))
        if self.get(to).data is not None and to != path:
            what = f"there is a file {safe_line(to, 120)} already"
            raise ConflictError(what, "nothing was changed", (to,))
        origin = self._origin.pop(path, path)
        self._now[path] = NOTHING
        self._now[to] = version
        if to != origin:
            self._origin[to] = origin

    def differences(self) -> list[Difference]:
        """Every file that became another; one that only moved is there once, with both its names."""
        moved = {origin: to for to, origin in self._origin.items() if self._has_moved(origin, to)}
        found = []
        for path, old in self._before.items():
            if path in moved:
                found.append(Difference(path, old, self._now[moved[path]], moved[path]))
            elif path not in moved.values() and self._now[path] != old:
                found.append(Difference(path, old, self._now[path]))
        return found

    def _has_moved(self, origin: str, to: str) -> bool:
        old, place = self._before[origin], self._before[to]
        return old.data is not None and place.data is None and self._now[origin].data is None
