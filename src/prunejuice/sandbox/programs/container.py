"""Sandboxes of containers: Docker or Podman runs the processes in an image, with the tree mounted."""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence

from prunejuice.errors import UsageError
from prunejuice.sandbox.policy import Mount, Policy, ResourceLimits
from prunejuice.sandbox.programs.protocol import NetworkKind, Workplace
from prunejuice.system import process, settings
from prunejuice.system.process import ProcessSpec
from prunejuice.text import safe_line

_ENGINES = ("podman", "docker")
_TRY_SECONDS = 30
_RIGHTS = ("--cap-drop=ALL", "--security-opt=no-new-privileges", "--init")


class Container:
    """The first engine that answers, with the image of the setting `sandbox_image`."""

    name = "container"
    network: NetworkKind = "own"
    reports_pid = False

    def __init__(self, engine: str = "", image: str = "") -> None:
        self._engine, self._image = engine, image
        self._problem: tuple[str, str] | None = None

    def find_problem(self, environ: Mapping[str, str]) -> tuple[str, str]:
        """Return why no sandbox can be made here, found by trying, and the fix; both empty if one can."""
        if self._problem is None:
            self._image = self._image or settings.load(environ).sandbox_image
            self._problem = self._try_engines(environ)
        return self._problem

    def _try_engines(self, environ: Mapping[str, str]) -> tuple[str, str]:
        if not self._image:
            return "no image is set", "set `sandbox_image` in your config.yaml"
        reason = "neither podman nor docker is installed"
        for name in _ENGINES:
            engine = shutil.which(name, path=environ.get("PATH"))
            if engine is None:
                continue
            call = ProcessSpec([engine, "version"], "/", environ, _TRY_SECONDS)
            ended = process.capture_output(call)
            if not ended.code:
                self._engine = engine
                return "", ""
            reason = f"{name} does not answer: {safe_line(ended.stderr.strip(), 200)}"
        return reason, "start the engine, or use another `sandbox_program`"

    def wrap(self, argv: Sequence[str], policy: Policy, workplace: Workplace) -> list[str]:
        """Return the arguments of the engine that run a program under a policy.

        Only what the policy names is mounted; the rest of the machine is not there.

        Raises:
            UsageError: the policy lets in hosts or ports, which a container without a network cannot have.
        """
        if policy.hosts or policy.ports:
            named = [*map(str, policy.hosts or ()), *map(str, policy.ports)]
            raise UsageError(
                f"a container reaches no chosen hosts: {named[0]}",
                "use `sandbox_program: bwrap`, or allow none",
            )
        network = ["--network=host"] if policy.hosts is None else ["--network=none"]
        user = f"--user={os.getuid()}:{os.getgid()}"
        names = [word for name in workplace.env for word in ("--env", name)]
        mounts = [word for mount in policy.list_mounts() for word in _mount_options(mount)]
        return [
            self._engine or "docker",
            *("run", "--rm", "--interactive", user, *_RIGHTS, *network, *_limit_options(policy.limits)),
            *mounts,
            *("--workdir", workplace.directory, *names, self._image, *argv),
        ]


def _mount_options(mount: Mount) -> Iterator[str]:
    if mount.kind == "hidden":
        return
    access = "" if mount.is_writable else ",readonly"
    yield "--mount"
    yield f"type=bind,source={mount.source},target={mount.target}{access}"


def _limit_options(limits: ResourceLimits) -> Iterator[str]:
    if limits.memory:
        yield f"--memory={limits.memory}"
    if limits.processes:
        yield f"--pids-limit={limits.processes}"
    if limits.cpu:
        yield f"--ulimit=cpu={limits.cpu}"
    if limits.disk:
        yield f"--ulimit=fsize={limits.disk}"
