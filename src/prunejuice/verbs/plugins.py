"""Commands written in Python: defining, registering, loading, running and chaining them.

@register_command
class Shorten(Command):
    name = "shorten"
    prompt_template = "Split functions of more than 30 lines."
"""

import asyncio
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, NamedTuple, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from prunejuice.agents.protocol import Agent
from prunejuice.agents.registry import AnswerSource, UsageLabel, open_agent
from prunejuice.changes import change_set, tree_state
from prunejuice.changes.change_set import CommandOutput, FileChange
from prunejuice.context.engine import Engine
from prunejuice.context.request import ContextRequest
from prunejuice.errors import DefinitionError, NotFoundError, Problem, UsageError
from prunejuice.system import settings
from prunejuice.system.public_names import renamed
from prunejuice.system.stop_request import STOP, Stop
from prunejuice.text import spelling_hint
from prunejuice.verbs import ask, catalog
from prunejuice.verbs.agent_in_copy import AgentInCopy
from prunejuice.verbs.ask import AskContext, AskRequest, AskResult
from prunejuice.verbs.verb import Verb, is_verb_name
from prunejuice.workflow.project import Project

T = TypeVar("T")
ENTRY_POINT_GROUP = "codebot.commands"
"""The entry point group of packages that provide commands."""


class ExecutionContext(Struct, frozen=True):
    """The input of a command: directory, files, diff, program output and results of earlier commands."""

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


class PythonCommand:
    """A command as a class: its name, its prompt and its result type.

    With `CommandOutput` as its `result_type` the agent answers with edits. Any other type is a Pydantic
    model, which `post_process` converts to an output.
    """

    name: str = ""
    description: str = ""
    prompt_template: str = ""
    default_paths: Sequence[str] = ()
    result_type: type[Any] = CommandOutput
    metadata: Mapping[str, Any] = MappingProxyType({})

    def __init__(self, **attributes: Any) -> None:
        """Override attributes of the class.

        Raises:
            UsageError: an attribute does not exist, or the command has no valid name.
        """
        for key, value in attributes.items():
            if key not in PythonCommand.__annotations__:
                raise UsageError(
                    f"a command has no attribute {key!r}", spelling_hint(key, PythonCommand.__annotations__)
                )
            setattr(self, key, value)
        if not is_verb_name(self.name):
            raise UsageError(f"{self.name!r} is not a valid command name", "use letters, digits and -")

    def to_verb(self) -> Verb:
        """Return the command as a verb."""
        text = (
            self.description
            or (self.__doc__ if type(self) is not PythonCommand else "")
            or self.prompt_template
        )
        description = " ".join(text.strip().split("\n")[0].split())[:200]
        paths = tuple(self.default_paths)
        return Verb(self.name, description, self.prompt_template, paths, source="python")

    verb = renamed("Command.verb", "Command.to_verb")

    def build_agent(self, model: str = "") -> Any:
        """Return a PydanticAI agent with the prompt and result type of the command."""
        from prunejuice.agents.oneshot import build_agent  # noqa: PLC0415 - a slow import

        return build_agent(model, self.prompt_template, self.result_type)

    async def execute(
        self, context: ExecutionContext | None = None, mode: str | None = None, **options: Any
    ) -> CommandOutput:
        """Ask an agent and return its output; nothing is written.

        `mode` names the agent, `oneshot` by default. Other keyword arguments become part of the prompt.

        Raises:
            AgentError, LimitError: the agent failed, or a limit was reached.
            ConflictError: its edits do not apply.
        """
        execution_context = context or ExecutionContext()
        return await self.produce_output(CommandInvocation(execution_context, mode or "oneshot", options))

    async def produce_output(self, asked: "CommandInvocation") -> CommandOutput:
        """Return the output of one invocation; subclasses may override this."""
        if self.result_type is CommandOutput:
            return await asked.run_in_thread(CommandInvocation.ask_for_changes, self.to_verb())
        result = await asked.run_in_thread(CommandInvocation.ask_for_data, self.to_verb(), self.result_type)
        return await self.post_process(result)

    async def post_process(self, result: Any) -> CommandOutput:
        """Convert a result to an output: the files of its fixes, its summary, and its data."""
        fixes = [fix for key in ("fixes_proposed", "changes") for fix in getattr(result, key, ())]
        summary = getattr(result, "root_cause_analysis", "") or getattr(result, "summary", "")
        changes = [fix.to_file_change() for fix in fixes]
        return CommandOutput(changes, summary, result.model_dump(mode="json"))


class CommandInvocation(NamedTuple):
    """One run of a command: its context, its mode and its options.

    `ask_context` is set when the caller has opened an agent already.
    """

    context: ExecutionContext
    mode: str
    options: Mapping[str, Any]
    ask_context: AskContext | None = None
    stop: Stop | None = None

    async def run_in_thread(self, function: "Callable[..., T]", *args: Any) -> T:
        """Run a blocking function in a thread, or directly when the caller has opened the agent."""
        if self.ask_context is not None:
            return function(self, *args)
        stop, finished = Stop(), threading.Event()

        def work() -> T:
            try:
                return function(self._replace(stop=stop), *args)
            finally:
                finished.set()
                stop.close()

        try:
            return await asyncio.to_thread(work)
        except asyncio.CancelledError:
            # A thread cannot be cancelled, only asked to stop.
            if not finished.is_set():
                stop.request(STOP)
            raise

    def to_request(self, verb: Verb) -> AskRequest:
        """Return the request for a verb; files of the context that exist on disk are read from there."""
        context, root = self.context, Path(self.context.working_directory)
        on_disk = [path for path in context.files if (root / path).is_file()]
        inline = [f"==> {path} <==\n{text}" for path, text in context.files.items() if path not in on_disk]
        extra_lines = [
            f"{name}: {value}" for name, value in self.options.items() if name not in {"model", "agent"}
        ]
        previous = f"What came before: {context.previous_output}" if context.previous_output else ""
        prompt = "\n\n".join(filter(None, [context.prompt, *extra_lines, previous, *inline]))
        paths = (*on_disk, *context.paths, *context.files_changed) or verb.paths
        model = str(
            self.options.get("model") or context.model or settings.load(settings.environment()).model
        )
        output = "\n\n".join(filter(None, [context.clipboard, context.git_diff]))
        return AskRequest(verb, prompt, tuple(dict.fromkeys(paths)), output, model=model)

    def ask_for_changes(self, verb: Verb) -> CommandOutput:
        """Ask for edits and return them as an output."""
        with self.open_ask_context(verb.name) as ask_context:
            return to_command_output(ask.ask_for_edits(self.to_request(verb), ask_context))

    def ask_for_data(self, verb: Verb, result_type: type[Any]) -> Any:
        """Ask for data and return it as an instance of `result_type`."""
        data_verb = verb._replace(result=result_type.model_json_schema())
        with self.open_ask_context(verb.name) as ask_context:
            answer = ask.ask_for_report(
                self.to_request(data_verb), ask_context, lambda data: _validate_result(result_type, data)
            )
        return result_type.model_validate(answer.output)

    @contextmanager
    def open_ask_context(self, command: str) -> Iterator[AskContext]:
        """Yield the context for asking: the caller's, or one with a new agent."""
        if self.ask_context is not None:
            yield self.ask_context
            return
        environ, root = settings.environment(), Path(self.context.working_directory)
        config = settings.load(environ)
        agent = str(self.options["agent"]) if isinstance(self.options.get("agent"), str) else self.mode
        with tempfile.TemporaryDirectory(prefix="codebot-") as folder:

            def run_in_copy(opened: Agent) -> Agent:
                return AgentInCopy(opened, Path(folder).resolve(), environ)

            source = AnswerSource(script=config.script)
            with open_agent(
                agent, source, UsageLabel(command), settings=config, environ=environ, around=run_in_copy
            ) as opened:
                tree = tree_state.find_tree_state(root.absolute(), environ)
                with closing(Engine(root.absolute(), environ)) as engine, closing(Stop()) as own_stop:
                    stop, grace = self.stop or own_stop, config.grace
                    yield AskContext(engine, tree, opened, stop, grace=grace, overlay=config.overlay)


def _validate_result(result_type: type[Any], data: Any) -> Any:
    result_type.model_validate(data)  # its ValueError is sent to the agent
    return data


def to_command_output(answer: AskResult) -> CommandOutput:
    """Return an answer with edits as an output."""
    placed, usage = answer.placed_answer, answer.usage
    changes = list(change_set.changes_from_diffs(placed.differences)) if placed else []
    summary = (placed.change_set.summary if placed else "") or answer.text.partition("<<<<<<<")[0].strip()
    metadata = {"rounds": answer.rounds, "tokens": usage.input + usage.output, "cost": usage.cost}
    return CommandOutput(changes, summary[:2000], metadata)


# -- registry ---------------------------------------------------------------------------------------

_registered_commands: dict[str, PythonCommand] = {}


def register_command(class_or_instance: "type[PythonCommand] | PythonCommand") -> Any:
    """Register a command under its name; usable as a class decorator.

    Raises:
        UsageError: the argument is not a command, or has no valid name.
    """
    command = class_or_instance() if isinstance(class_or_instance, type) else class_or_instance
    if not isinstance(command, PythonCommand):
        raise UsageError(f"{class_or_instance!r} is not a command", "derive it from codebot.Command")
    _registered_commands[command.name] = command
    return class_or_instance


def registered_command(name: str) -> PythonCommand | None:
    """Return the command registered under a name, or None."""
    return _registered_commands.get(name)


def registered_commands() -> Mapping[str, PythonCommand]:
    """Return all registered commands by name."""
    return dict(_registered_commands)


def get_command(name: str) -> PythonCommand:
    """Return a command by name: a registered one, a built-in one, or a verb of the current project.

    Raises:
        NotFoundError: no command has this name.
    """
    command = _registered_commands.get(name) or _make_built_in(name)
    if command is None:
        from prunejuice.workflow import project  # noqa: PLC0415

        current_project = project.find_project(project.current_directory())
        verb = catalog.find_verb(name, current_project, settings.environment())
        command = _command_from_verb(verb)
    return command


def _command_from_verb(verb: Verb) -> PythonCommand:
    overrides = {"result_type": _SchemaResult} if verb.result is not None else {}
    command = PythonCommand(
        name=verb.name,
        description=verb.description,
        prompt_template=verb.prompt,
        default_paths=verb.paths,
        **overrides,
    )
    if verb.result is not None:
        command.result_type = type("Data", (_SchemaResult,), {"schema": verb.result})
    return command


class _SchemaResult:
    """A result that is described by a JSON Schema alone."""

    schema: Mapping[str, Any] = {}

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.data = data
        self.summary = str(data.get("summary", ""))

    @classmethod
    def model_json_schema(cls) -> dict[str, Any]:
        return dict(cls.schema)

    @classmethod
    def model_validate(cls, data: Any) -> "_SchemaResult":
        return cls(data)

    def model_dump(self, **_: Any) -> dict[str, Any]:
        return dict(self.data)


_built_in_classes: dict[str, Callable[[], PythonCommand]] = {}


def register_built_in(name: str) -> Callable[[type[PythonCommand]], type[PythonCommand]]:
    """Return a decorator that registers a class as the built-in command of a verb."""

    def register(command_class: type[PythonCommand]) -> type[PythonCommand]:
        _built_in_classes[name] = command_class
        return command_class

    return register


def _make_built_in(name: str) -> PythonCommand | None:
    """Return a new instance of a built-in command, with the default paths of its verb."""
    if name not in _built_in_classes:
        return None
    command = _built_in_classes[name]()
    if not command.default_paths and catalog.is_built_in(name):
        command.default_paths = catalog.built_in_verb(name).paths
    return command


class _CommandMapping(Mapping[str, PythonCommand]):
    """A live view of all commands by name."""

    def __getitem__(self, name: str) -> PythonCommand:
        try:
            return get_command(name)
        except NotFoundError:
            raise KeyError(name) from None

    def __iter__(self) -> Iterator[str]:
        from prunejuice.workflow import project  # noqa: PLC0415

        current_project = project.find_project(project.current_directory())
        verbs = (verb.name for verb in catalog.all_verbs(current_project, settings.environment()))
        yield from sorted({*verbs, *_registered_commands, *_built_in_classes})

    def __len__(self) -> int:
        return sum(1 for _ in self)


COMMANDS = _CommandMapping()
"""Every command, by name."""


def load_files(sources: Mapping[Path, bytes]) -> None:
    """Run the sources of files that register commands, each once; a failing one does not stop the others.

    The bytes that were trusted are compiled, never a compiled file beside them.

    Raises:
        DefinitionError: some files failed; names the files and lines.
    """
    problems = []
    for path, source in sources.items():
        name = f"codebot_commands_{abs(hash(path.resolve())):x}"
        if name in sys.modules:
            continue
        module = sys.modules[name] = ModuleType(name)
        module.__file__ = str(path)
        try:
            exec(compile(source, str(path), "exec"), module.__dict__)  # noqa: S102 - the trusted bytes
        except Exception as error:  # noqa: BLE001 - user code may raise anything
            del sys.modules[name]  # a failed file must not count as loaded
            line = _error_line(error, path)
            message = f"{type(error).__name__}: {error}"
            problems.append(Problem(str(path), line, "", message[:300]))
    if problems:
        raise DefinitionError(tuple(problems))


def _error_line(error: BaseException, path: Path) -> int:
    line, trace = getattr(error, "lineno", None) or 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    return int(line)


def load_entry_points(name: str) -> None:
    """Register the commands that installed packages provide as entry points with a name.

    Raises:
        DefinitionError: an entry point could not be loaded.
    """
    for entry in entry_points(group=ENTRY_POINT_GROUP, name=name):
        try:
            loaded = entry.load()
        except Exception as error:
            origin = entry.dist.name if entry.dist else entry.value
            message = f"{origin}: {type(error).__name__}: {error}"
            raise DefinitionError((Problem(entry.value, 0, entry.name, message[:300]),)) from error
        if isinstance(loaded, type) and issubclass(loaded, PythonCommand):
            register_command(loaded)


def command_files(project: Project) -> list[Path]:
    """Return the files of a project that may register commands."""
    return [path for path in sorted(project.commands.glob("*.py")) if not path.is_symlink()]


# -- calling and chaining ---------------------------------------------------------------------------


async def execute_agent(
    prompt: str,
    context: Any = None,
    result_type: type[Any] = CommandOutput,
    mode: str | None = None,
    **options: Any,
) -> Any:
    """Ask an agent with a prompt, and return a result of `result_type`.

    `mode` names the agent, `oneshot` by default. A mapping as `context` sets fields of `ExecutionContext`;
    its other items become part of the prompt.
    """
    given, extra = context if isinstance(context, ExecutionContext) else ExecutionContext(), ""
    if given is not context:
        fields = dict(context or {})
        given = ExecutionContext(**{name: fields.pop(name) for name in _CONTEXT_FIELDS & fields.keys()})
        extra = "\n".join(f"{name}: {value}" for name, value in fields.items())
    invocation = CommandInvocation(given, mode or "oneshot", options)
    verb = Verb("agent", "Do what is asked", f"{prompt}\n\n{extra}".strip())
    if result_type is CommandOutput:
        return await invocation.run_in_thread(CommandInvocation.ask_for_changes, verb)
    return await invocation.run_in_thread(CommandInvocation.ask_for_data, verb, result_type)


class ContextGatherer:
    """Gathers the input of commands from a directory."""

    def __init__(self, directory: str | Path = ".") -> None:
        self._directory = Path(directory)

    def gather_context(self, paths: Sequence[str] = (), **options: Any) -> ExecutionContext:
        """Return the code of `paths`, related code, and the changes since `diff`, by default HEAD."""
        with closing(Engine(self._directory.absolute(), settings.environment())) as engine:
            head = "HEAD" if engine.git.resolve("HEAD") else ""
            bundle = engine.gather(ContextRequest(paths=tuple(paths), **{"diff": head, **options}))
        files = {item.path: item.text for item in bundle.items}
        return ExecutionContext(
            working_directory=self._directory,
            files=files,
            token_count=bundle.used,
            git_diff=bundle.diff,
            clipboard=bundle.given,
        )


async def chain_commands(*commands: tuple[str, Mapping[str, Any]]) -> list[CommandOutput]:
    """Run commands one after the other, each with the summary and changed files of the previous ones.

    Each command is a pair of its name and its arguments. Arguments that are fields of `ExecutionContext`,
    also those inside `context`, set that command's context.
    """
    outputs: list[CommandOutput] = []
    context = ExecutionContext()
    for name, args in commands:
        fields = {**args.get("context", {}), **{k: v for k, v in args.items() if k in _CONTEXT_FIELDS}}
        if "paths" in fields:
            fields["paths"] = tuple(fields["paths"])
        options = {k: v for k, v in args.items() if k not in {*_CONTEXT_FIELDS, "context", "only_changed"}}
        current = replace(context, **fields)
        if not args.get("only_changed"):
            current = replace(current, files_changed=())
        output = await get_command(name).execute(current, **options)
        outputs.append(output)
        paths = tuple(dict.fromkeys((*context.files_changed, *(e.filepath for e in output.file_changes))))
        context = replace(
            context,
            previous_output=output.summary,
            files_changed=paths,
            pending_changes=(*context.pending_changes, *output.file_changes),
        )
    return outputs


_CONTEXT_FIELDS = frozenset(ExecutionContext.__struct_fields__)
