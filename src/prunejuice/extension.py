"""Commands written in Python: what users' own code defines, registers, runs and chains.

@register_command
class Shorten(Command):
    name = "shorten"
    prompt_template = "Split functions of more than 30 lines."
"""

import asyncio
import importlib.util
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from prunejuice import asking, change, settings, vocabulary
from prunejuice.agents.choice import Billed, Source, chosen
from prunejuice.asking import Answered, Means, Request
from prunejuice.change import CommandOutput, FileChange
from prunejuice.contexts.asked import Ask
from prunejuice.contexts.gather import Engine
from prunejuice.errors import DefinitionError, NotFoundError, Problem, UsageError
from prunejuice.project import Project
from prunejuice.protocols import STOP, Agent, Stop
from prunejuice.text import nearest
from prunejuice.verb import Verb, is_name
from prunejuice.working import Working
from prunejuice.workspaces import house as houses

T = TypeVar("T")
GROUP = "codebot.commands"
"""The entry points by which packages bring commands along."""


class ExecutionContext(Struct, frozen=True):
    """What a command is given: files, a difference, output; where it works, and what came before."""

    working_directory: str | Path = "."
    git_diff: str = ""
    clipboard: str = ""
    files: dict[str, str] = {}
    token_count: int = 0
    pending_changes: tuple[FileChange, ...] = ()
    previous_output: str = ""
    files_changed: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    prompt: str = ""
    model: str = ""


class Command:
    """A command as a class: its name, what an agent is told, and what it answers with.

    With `CommandOutput` as its `result_type` an agent answers with edits; any other is a Pydantic model
    that `post_process` makes an output of.
    """

    name: str = ""
    description: str = ""
    prompt_template: str = ""
    default_paths: Sequence[str] = ()
    result_type: type[Any] = CommandOutput
    metadata: Mapping[str, Any] = MappingProxyType({})

    def __init__(self, **given: Any) -> None:
        """Take what differs from the class.

        Raises:
            UsageError: it has no such field, or no name.
        """
        for key, value in given.items():
            if key not in Command.__annotations__:
                raise UsageError(f"a command has no {key!r}", nearest(key, Command.__annotations__))
            setattr(self, key, value)
        if not is_name(self.name):
            raise UsageError(f"{self.name!r} is no name of a command", "letters, digits and - will do")

    def verb(self) -> Verb:
        """The command as others see it."""
        said = (
            self.description or (self.__doc__ if type(self) is not Command else "") or self.prompt_template
        )
        first = " ".join(said.strip().split("\n")[0].split())[:200]
        return Verb(self.name, first, self.prompt_template, tuple(self.default_paths), source="python")

    def build_agent(self, model: str = "") -> Any:
        """A PydanticAI agent with what this command tells and expects."""
        from prunejuice.agents.oneshot import built  # noqa: PLC0415 - slow

        return built(model, self.prompt_template, self.result_type)

    async def execute(
        self, context: ExecutionContext | None = None, mode: str | None = None, **more: Any
    ) -> CommandOutput:
        """Ask an agent in a mode, and make an output of what it answers; nothing is written.

        Raises:
            AgentError, LimitError: the agent failed, or a limit was reached.
            ConflictError: its edits have no place.
        """
        given = context or ExecutionContext()
        return await self.answered(Asking(given, mode or "oneshot", more))

    async def answered(self, asked: "Asking") -> CommandOutput:
        """The output of one asking: what a subclass with needs of its own replaces."""
        if self.result_type is CommandOutput:
            return await asked.apart(Asking.changed, self.verb())
        result = await asked.apart(Asking.data, self.verb(), self.result_type)
        return await self.post_process(result)

    async def post_process(self, result: Any) -> CommandOutput:
        """An output of a result: the files of its fixes, its summary, and all of it as data."""
        fixes = [each for key in ("fixes_proposed", "changes") for each in getattr(result, key, ())]
        said = getattr(result, "root_cause_analysis", "") or getattr(result, "summary", "")
        return CommandOutput([each.change() for each in fixes], said, result.model_dump(mode="json"))


class Asking(NamedTuple):
    """One asking of an agent: on what, in which mode; `means` when the agent is there already."""

    context: ExecutionContext
    mode: str
    more: Mapping[str, Any]
    means: Means | None = None
    stop: Stop | None = None

    async def apart(self, do: "Callable[..., T]", *given: Any) -> T:
        """Do what takes long in a thread; here, where what it works with was made by this one."""
        if self.means is not None:
            return do(self, *given)
        stop, over = Stop(), threading.Event()

        def work() -> T:
            try:
                return do(self._replace(stop=stop), *given)
            finally:
                over.set()
                stop.close()

        try:
            return await asyncio.to_thread(work)
        except asyncio.CancelledError:
            if not over.is_set():
                stop.request(STOP)
            raise

    def request(self, verb: Verb) -> Request:
        """What is asked for a verb; files of the context that are on the disk are read there."""
        given, root = self.context, Path(self.context.working_directory)
        known = [path for path in given.files if (root / path).is_file()]
        shown = [f"==> {path} <==\n{text}" for path, text in given.files.items() if path not in known]
        told = [f"{name}: {value}" for name, value in self.more.items() if name not in {"model", "agent"}]
        before = f"What came before: {given.previous_output}" if given.previous_output else ""
        words = "\n\n".join(filter(None, [given.prompt, *told, before, *shown]))
        paths = (*known, *given.paths, *given.files_changed) or verb.paths
        model = str(self.more.get("model") or given.model or settings.load(settings.environment()).model)
        output = "\n\n".join(filter(None, [given.clipboard, given.git_diff]))
        return Request(verb, words, tuple(dict.fromkeys(paths)), output, model=model)

    def changed(self, verb: Verb) -> CommandOutput:
        """The edits of an agent's answer."""
        with self.opened(verb.name) as means:
            return output_of(asking.ask(self.request(verb), means))

    def data(self, verb: Verb, kind: type[Any]) -> Any:
        """The result of an agent, of some type."""
        wanted = verb._replace(result=kind.model_json_schema())
        with self.opened(verb.name) as means:
            found = asking.report(self.request(wanted), means, lambda data: _valid(kind, data))
        return kind.model_validate(found.output)

    @contextmanager
    def opened(self, command: str) -> Iterator[Means]:
        """What asking works with: what is there, or an agent of the mode."""
        if self.means is not None:
            yield self.means
            return
        environ, place = settings.environment(), Path(self.context.working_directory)
        found = settings.load(environ)
        agent = str(self.more["agent"]) if isinstance(self.more.get("agent"), str) else self.mode
        with tempfile.TemporaryDirectory(prefix="codebot-") as folder:

            def around(made: Agent) -> Agent:
                return Working(made, Path(folder).resolve(), environ)

            source = Source(script=found.script)
            with chosen(
                agent, source, Billed(command), settings=found, environ=environ, around=around
            ) as made:
                engine = Engine(place.absolute(), environ)
                yield Means(engine, houses.around(place.absolute(), environ), made, self.stop or Stop())


def _valid(kind: type[Any], data: Any) -> Any:
    kind.model_validate(data)  # its error is a ValueError, which is told to the agent
    return data


def output_of(answered: Answered) -> CommandOutput:
    """What an agent answered with edits, as an output."""
    taken, spent = answered.taken, answered.spent
    changes = list(change.of_differences(taken.differences)) if taken else []
    said = (taken.change_set.summary if taken else "") or answered.text.partition("<<<<<<<")[0].strip()
    known = {"rounds": answered.rounds, "tokens": spent.input + spent.output, "cost": spent.cost}
    return CommandOutput(changes, said[:2000], known)


# -- which commands there are -----------------------------------------------------------------------

_registered: dict[str, Command] = {}


def register_command(made: "type[Command] | Command") -> Any:
    """Let a command be found by its name; usable as a decorator of its class.

    Raises:
        UsageError: it is no command, or has no name.
    """
    command = made() if isinstance(made, type) else made
    if not isinstance(command, Command):
        raise UsageError(f"{made!r} is no command", "derive it from codebot.Command")
    _registered[command.name] = command
    return made


def registered(name: str) -> Command | None:
    """The command that Python code registered under a name."""
    return _registered.get(name)


def every() -> Mapping[str, Command]:
    """All that are registered, by name."""
    return dict(_registered)


def get_command(name: str) -> Command:
    """The command of a name: registered, or one of the verbs that can be called here.

    Raises:
        NotFoundError: there is none.
    """
    found = _registered.get(name) or _built_in(name)
    if found is None:
        from prunejuice import project  # noqa: PLC0415

        here = project.find(project.here())
        verb = vocabulary.find(name, here, settings.environment())
        found = _of_verb(verb)
    return found


def _of_verb(verb: Verb) -> Command:
    result = {"result_type": _Data} if verb.result is not None else {}
    made = Command(
        name=verb.name,
        description=verb.description,
        prompt_template=verb.prompt,
        default_paths=verb.paths,
        **result,
    )
    if verb.result is not None:
        made.result_type = type("Data", (_Data,), {"schema": verb.result})
    return made


class _Data:
    """A result by a JSON Schema alone."""

    schema: Mapping[str, Any] = {}

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.data = data
        self.summary = str(data.get("summary", ""))

    @classmethod
    def model_json_schema(cls) -> dict[str, Any]:
        return dict(cls.schema)

    @classmethod
    def model_validate(cls, data: Any) -> "_Data":
        return cls(data)

    def model_dump(self, **_: Any) -> dict[str, Any]:
        return dict(self.data)


_made: dict[str, Callable[[], Command]] = {}


def built_in(name: str) -> Callable[[type[Command]], type[Command]]:
    """A class of ours that stands for a verb."""

    def take(kind: type[Command]) -> type[Command]:
        _made[name] = kind
        return kind

    return take


def _built_in(name: str) -> Command | None:
    """A command of ours; the paths that it looks at by itself are those of its verb."""
    if name not in _made:
        return None
    made = _made[name]()
    if not made.default_paths and vocabulary.is_built_in(name):
        made.default_paths = vocabulary.built_in(name).paths
    return made


class _Commands(Mapping[str, Command]):
    """All commands by name, as they are when they are looked at."""

    def __getitem__(self, name: str) -> Command:
        try:
            return get_command(name)
        except NotFoundError:
            raise KeyError(name) from None

    def __iter__(self) -> Iterator[str]:
        from prunejuice import project  # noqa: PLC0415

        here = project.find(project.here())
        verbs = (verb.name for verb in vocabulary.every(here, settings.environment()))
        yield from sorted({*verbs, *_registered, *_made})

    def __len__(self) -> int:
        return sum(1 for _ in self)


COMMANDS = _Commands()
"""Every command, by name."""


def load(files: Iterable[Path]) -> None:
    """Run files that register commands, each once; one that fails keeps no other from being run.

    Raises:
        DefinitionError: some fail; names the files and the lines.
    """
    problems = []
    for path in files:
        name = f"codebot_commands_{abs(hash(path.resolve())):x}"
        if name in sys.modules:
            continue
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            continue
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except Exception as error:  # noqa: BLE001 - whatever it raises is told
            del sys.modules[name]
            line = _line(error, path)
            said = f"{type(error).__name__}: {error}"
            problems.append(Problem(str(path), line, "", said[:300]))
    if problems:
        raise DefinitionError(tuple(problems))


def _line(error: BaseException, path: Path) -> int:
    found, trace = getattr(error, "lineno", None) or 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            found = trace.tb_lineno
        trace = trace.tb_next
    return int(found)


def load_installed(name: str) -> None:
    """Register what installed packages bring along as entry points of a name.

    Raises:
        DefinitionError: it cannot be loaded.
    """
    for each in entry_points(group=GROUP, name=name):
        try:
            found = each.load()
        except Exception as error:
            of = each.dist.name if each.dist else each.value
            said = f"{of}: {type(error).__name__}: {error}"
            raise DefinitionError((Problem(each.value, 0, each.name, said[:300]),)) from error
        if isinstance(found, type) and issubclass(found, Command):
            register_command(found)


def files_of(project: Project) -> list[Path]:
    """The files of a project that may register commands."""
    return [path for path in sorted(project.commands.glob("*.py")) if not path.is_symlink()]


# -- by hand ----------------------------------------------------------------------------------------


async def execute_agent(
    prompt: str,
    context: Any = None,
    result_type: type[Any] = CommandOutput,
    mode: str | None = None,
    **more: Any,
) -> Any:
    """Ask an agent in a mode: the same input for each, and a result of the type.

    What a context that is a mapping says besides the fields of an `ExecutionContext` is told by its names.
    """
    given, told = context if isinstance(context, ExecutionContext) else ExecutionContext(), ""
    if given is not context:
        said = dict(context or {})
        given = ExecutionContext(**{name: said.pop(name) for name in _FIELDS & said.keys()})
        told = "\n".join(f"{name}: {value}" for name, value in said.items())
    asked = Asking(given, mode or "oneshot", more)
    verb = Verb("agent", "Do what is asked", f"{prompt}\n\n{told}".strip())
    if result_type is CommandOutput:
        return await asked.apart(Asking.changed, verb)
    return await asked.apart(Asking.data, verb, result_type)


class Gatherer:
    """Gathers what a command is shown, for a folder."""

    def __init__(self, directory: str | Path = ".") -> None:
        self._directory = Path(directory)

    def gather_context(self, paths: Sequence[str] = (), **asked: Any) -> ExecutionContext:
        """The code of paths, and what speaks for them, by file."""
        engine = Engine(self._directory.absolute(), settings.environment())
        bundle = engine.gather(Ask(paths=tuple(paths), **{"diff": "", **asked}))
        files = {item.path: item.text for item in bundle.items}
        return ExecutionContext(
            working_directory=self._directory,
            files=files,
            token_count=bundle.used,
            git_diff=bundle.diff,
            clipboard=bundle.given,
        )


async def chain_commands(*commands: tuple[str, Mapping[str, Any]]) -> list[CommandOutput]:
    """Run commands one after the other: each is told what the one before said, and which files it changed.

    `context` of a command's arguments are fields of its `ExecutionContext`; so are those that it has.
    """
    outputs: list[CommandOutput] = []
    context = ExecutionContext()
    for name, given in commands:
        fields = {**given.get("context", {}), **{k: v for k, v in given.items() if k in _FIELDS}}
        if "paths" in fields:
            fields["paths"] = tuple(fields["paths"])
        more = {k: v for k, v in given.items() if k not in {*_FIELDS, "context", "only_changed"}}
        now = replace(context, **fields)
        if not given.get("only_changed"):
            now = replace(now, files_changed=())
        output = await get_command(name).execute(now, **more)
        outputs.append(output)
        changed = tuple(dict.fromkeys((*context.files_changed, *(e.filepath for e in output.file_changes))))
        context = replace(
            context,
            previous_output=output.summary,
            files_changed=changed,
            pending_changes=(*context.pending_changes, *output.file_changes),
        )
    return outputs


_FIELDS = frozenset(ExecutionContext.__struct_fields__)
