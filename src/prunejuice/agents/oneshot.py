"""The agent `oneshot`: one request to a model through PydanticAI, with any provider that it supports."""

import asyncio
import re
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import AsyncExitStack
from typing import Any

from prunejuice.agents.model_environment import (
    prepare_model_environment,
    proxy_hint,
    require_valid_key,
    url_hint,
)
from prunejuice.agents.protocol import (
    Agent,
    AgentEnded,
    AgentEvent,
    AgentRequest,
    AgentStarted,
    AgentWarning,
    Capabilities,
    Status,
    Task,
    Usage,
)
from prunejuice.agents.response_repair import repair_responses
from prunejuice.code import tokens
from prunejuice.errors import UsageError
from prunejuice.system import settings
from prunejuice.system.stop_request import Stop

MAX_SECONDS = 600.0
"""The time limit of a task if none is set."""
_MAX_ATTEMPTS = 4
"""The most attempts for a request after transient faults: rate limits, overload, lost connections."""
_MAX_CORRECTIONS = 2
"""How often a model may correct an invalid answer."""
_LOADING_PAUSE = 1.0
_LEAST_CHECKED_CHARS = 8_000
_MOST_CHARS_PER_TOKEN = 7.0
"""Prompts of which a server reports fewer tokens were cut; code has about 3.5 characters for each."""
_LOCAL = ("ollama", "vllm", "litellm", "openai-compatible")
"""Providers of models that may be too small for tools: the schema constrains the answer itself."""


class OneshotAgent:
    """PydanticAI on its own event loop, so that threads can share one set of connections."""

    name = "oneshot"
    capabilities = Capabilities(enforced_limits=("cost", "tokens", "seconds"), priced=True)

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="oneshot", daemon=True)
        self._thread.start()
        self._models: dict[tuple[str, bool], Any] = {}
        self._open = AsyncExitStack()

    def run(self, task: Task, stop: Stop) -> Iterator[AgentEvent]:
        """Ask the model of the task; several models, separated by commas, are tried in turn."""
        yield AgentStarted(self.name, task.model)
        answer = asyncio.run_coroutine_threadsafe(self._ask(task), self._loop)
        while True:
            try:
                # A short time-out, so that a request to stop is noticed soon.
                spent, ended, warning = answer.result(timeout=0.2)
            except TimeoutError:
                if answer.done():  # a time-out of the request, not of `result`
                    spent, ended, warning = (
                        None,
                        _failure_event(answer.exception() or TimeoutError(), task),
                        "",
                    )
                elif stop.is_requested():
                    answer.cancel()
                    continue
                else:
                    continue
            except CancelledError:
                spent, ended, warning = None, AgentEnded("cancelled", error="stopped"), ""
            break
        if warning:
            yield AgentWarning(warning)
        if spent is not None:
            yield spent
        yield ended

    def close(self) -> None:
        """Close the connections, and stop the event loop."""
        asyncio.run_coroutine_threadsafe(self._open.aclose(), self._loop).result(timeout=10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()

    async def _ask(self, task: Task) -> tuple[Usage | None, AgentEnded, str]:
        import pydantic_ai  # noqa: PLC0415 - slow
        from pydantic_ai import Agent, RunUsage, exceptions  # noqa: PLC0415 - slow

        pydantic_ai.BANNER_ENABLED = False  # it would be printed among our messages
        usage = RunUsage()
        seconds = task.limits.seconds or MAX_SECONDS
        try:
            agent = Agent(
                await self._open_model(task.model, is_text=task.schema is None),
                output_type=_output_type(task),
                instructions=task.instructions or None,
                retries={"output": _MAX_CORRECTIONS},
            )
            if task.schema is not None:
                agent.output_validator(_output_validator(task))
            async with asyncio.timeout(seconds):
                answer = await _run_once_loaded(agent, task, usage, seconds)
        except (
            exceptions.AgentRunError, exceptions.UserError, ExceptionGroup, UsageError, *_PROVIDER_ERRORS
        ) as error:  # fmt: skip
            return _to_usage(usage, task), _failure_event(error, task), ""
        spent = _to_usage(
            usage, task, answer.output, _answering_model(task.model, answer.response.model_name)
        )
        if problem := _UNFINISHED.get(answer.response.finish_reason or ""):
            message, fix = problem
            ended = AgentEnded("unfinished", answer.output, f"{task.model or 'the model'}: {message}", fix)
            return spent, ended, ""
        return spent, AgentEnded("ok", output=answer.output), _cut_context_warning(usage, task)

    async def _open_model(self, names: str, *, is_text: bool) -> Any:
        """Return a model by its name with open connections, the same one for every task.

        The answer of a text model keeps its thinking, because a tag that is not closed must be seen.
        """
        key = names, is_text
        if key not in self._models:
            model = self._models[key] = _build_model(names)
            for each in getattr(model, "models", [model]):
                repair_responses(each)
                if is_text:
                    each.profile = {**each.profile, "thinking_tags": _NO_TAGS}
            await self._open.enter_async_context(model)
        return self._models[key]


async def _run_once_loaded(agent: Any, task: Task, usage: Any, seconds: float) -> Any:
    """Run an agent; wait while its server loads the model, which takes a local one minutes."""
    from pydantic_ai import UsageLimits, exceptions  # noqa: PLC0415 - slow

    limits = UsageLimits(request_limit=task.limits.rounds or _MAX_CORRECTIONS + 1)
    model_settings = _model_settings(task, seconds)
    while True:
        try:
            return await agent.run(
                task.prompt, usage=usage, usage_limits=limits, model_settings=model_settings
            )
        except exceptions.ModelUnavailableError as error:
            if not _LOADING.search(_provider_message(error)):
                raise
        await asyncio.sleep(_LOADING_PAUSE)


_LOADING = re.compile(r"\bloading\b|\bwarming up\b", re.IGNORECASE)
"""Words of servers that answer 503 until the model is in their memory."""
_NO_TAGS = ("\0think", "\0/think")
"""Tags that no answer has, so that PydanticAI takes nothing out of the text."""
_UNFINISHED = {
    "length": (
        "the answer ends at the limit of the model's output",
        "ask for fewer changes at once, or raise output_tokens in config.yaml",
    ),
    "content_filter": (
        "the provider's filter ended the answer",
        "rephrase the request, or use another model",
    ),
    "error": (
        "the provider ended the answer with an error",
        "try again, or name a second model: --model A,B",
    ),
}
"""The ways an answer ends without being whole, by PydanticAI's finish reason."""
_PROVIDER_ERRORS = (OSError, ValueError, TypeError, LookupError, ImportError, RuntimeError)
"""Other errors of provider libraries, such as a missing package or a malformed answer."""


def build_agent(model: str, instructions: str, result: Any) -> Any:
    """Return a PydanticAI agent for one type of result; without a model, name it when the agent runs."""
    from pydantic_ai import Agent  # noqa: PLC0415 - slow

    output_type = result if hasattr(result, "model_json_schema") else str
    return Agent(
        _build_model(model) if model else None, output_type=output_type, instructions=instructions or None
    )


def _build_model(names: str) -> Any:
    """Return a model by its name, or for several names one that falls back to the next if a model fails."""
    from pydantic_ai import exceptions  # noqa: PLC0415
    from pydantic_ai.models import infer_model  # noqa: PLC0415
    from pydantic_ai.models.fallback import FallbackModel  # noqa: PLC0415

    environ = settings.environment()
    prepare_model_environment(environ, names)
    models = [infer_model(name.strip()) for name in names.split(",") if name.strip()]
    if not models:
        raise ValueError("no model is named")
    for model in models:
        require_valid_key(getattr(getattr(model, "client", None), "api_key", None), environ)
    if len(models) == 1:
        return models[0]
    faults = (exceptions.ModelAPIError, exceptions.UnexpectedModelBehavior, *_PROVIDER_ERRORS)
    cut_off = (exceptions.ContentFilterError, exceptions.OutputTokenLimitExceeded)
    return FallbackModel(*models, fallback_on=(*faults, *cut_off))


def _output_type(task: Task) -> Any:
    from pydantic_ai import NativeOutput, StructuredDict  # noqa: PLC0415

    if task.schema is None:
        return str
    output_type = StructuredDict(dict(task.schema), name=str(task.schema.get("title", "result")))
    is_local = task.model.partition(":")[0] in _LOCAL
    return NativeOutput(output_type) if is_local else output_type


def _output_validator(task: Task) -> Any:
    from pydantic_ai import ModelRetry, RunContext, UsageLimitExceeded  # noqa: PLC0415

    def validate(run: RunContext[Any], output: Any) -> Any:
        try:
            return task.check(output) if task.check else output
        except ValueError as error:
            if _is_over_limit(run.usage, task):
                raise UsageLimitExceeded(f"the answer is not valid: {error}") from error
            raise ModelRetry(str(error)) from error

    return validate


def _is_over_limit(usage: Any, task: Task) -> bool:
    """Return whether no further request may be made; a valid answer is accepted regardless."""
    tokens, cost = task.limits.tokens, task.limits.cost
    is_over_tokens = tokens is not None and usage.input_tokens + usage.output_tokens >= tokens
    return is_over_tokens or (cost is not None and float(usage.cost or 0) >= cost)


def _answering_model(names: str, response_name: str | None) -> str:
    """Return which of several models answered; empty if only one was named."""
    full_names = {name.strip().partition(":")[2] or name.strip(): name.strip() for name in names.split(",")}
    matches = [name for name in full_names if response_name and response_name.startswith(name)]
    return full_names[max(matches, key=len)] if matches and len(full_names) > 1 else ""


def _model_settings(task: Task, seconds: float) -> Any:
    output_tokens = {"max_tokens": task.limits.output_tokens} if task.limits.output_tokens else {}
    return {"max_retries": _MAX_ATTEMPTS, "timeout": seconds, **output_tokens}


def _to_usage(usage: Any, task: Task, output: Any = "", model: str = "") -> Usage | None:
    """Return the usage of a task; what the provider does not report is estimated, never zero."""
    if not usage.requests and not usage.input_tokens:
        return None
    cost = None if usage.cost is None else float(usage.cost)
    if usage.input_tokens or usage.output_tokens:
        counts = usage.input_tokens, usage.output_tokens, usage.cache_read_tokens
        return Usage(*counts, usage.requests, cost, model)
    factor = tokens.model_factor(task.model) * usage.requests
    sent = round(tokens.count(f"{task.instructions}\n{task.prompt}") * factor)
    received = round(tokens.count(str(output)) * factor)
    return Usage(sent, received, 0, usage.requests, cost or None, model, is_estimate=True)


def _cut_context_warning(usage: Any, task: Task) -> str:
    """Return a warning if the server read far fewer tokens than were sent; empty otherwise."""
    sent, read = len(task.prompt), usage.input_tokens
    if (
        usage.requests != 1
        or not read
        or sent < _LEAST_CHECKED_CHARS
        or sent / read < _MOST_CHARS_PER_TOKEN
    ):
        return ""
    expected = round(tokens.count(task.prompt) * tokens.model_factor(task.model))
    return (
        f"the server read {read:,} of about {expected:,} tokens: raise its context window "
        "(Ollama: OLLAMA_CONTEXT_LENGTH or num_ctx), or lower --budget"
    )


def _failure_event(error: BaseException, task: Task) -> AgentEnded:
    """Return the event for an error, with a fix if the error is known."""
    from pydantic_ai import exceptions  # noqa: PLC0415

    is_quota = isinstance(error, exceptions.ModelRateLimitError) and _QUOTA.search(_provider_message(error))
    error_type = exceptions.ModelQuotaExceededError if is_quota else type(error)
    for known_type, message, fix in _known_faults(exceptions, task.model):
        if issubclass(error_type, known_type):
            status: Status = (
                "limit" if known_type in {exceptions.UsageLimitExceeded, TimeoutError} else "failed"
            )
            return AgentEnded(
                status, error=f"{task.model or 'the model'}: {message}{_provider_message(error)}", fix=fix
            )
    if isinstance(error, ExceptionGroup):
        last_error = error.exceptions[-1]
        return _failure_event(last_error, task)
    if isinstance(error, UsageError):
        return AgentEnded("failed", error=error.message, fix=error.fix)
    return AgentEnded("failed", error=f"{task.model or 'the model'}: {error}"[:2000], fix=_MODEL_FIX)


_QUOTA = re.compile(r"\bquota\b|\bbilling\b|\bcredits?\b", re.IGNORECASE)
"""Words of a used-up quota, which some providers report with the status of a rate limit (429)."""
_MODEL_FIX = "name the model as provider:model, and set the provider's API key in the environment"


def _known_faults(errors: Any, names: str) -> tuple[tuple[type[BaseException], str, str], ...]:
    environ = settings.environment()
    list_fix = f"see the provider's list of models{url_hint(environ, names)}"
    network_fix = f"check the network and the base URL{proxy_hint(environ)}"
    return (
        (TimeoutError, "no answer in time", "try again, or use a faster model"),
        (errors.ModelAuthenticationError, "the key was refused", "set a valid API key for the provider"),
        (errors.ModelQuotaExceededError, "the quota is exceeded", "check billing, or use another model"),
        (errors.ModelRateLimitError, "too many requests", "wait, or send fewer requests at once"),
        (errors.ModelOverloadedError, "overloaded", "wait, or name a second model: --model A,B"),
        (errors.ModelUnavailableError, "not available now", "wait, or name a second model: --model A,B"),
        (errors.ModelServerError, "the provider failed", "wait, or name a second model: --model A,B"),
        (errors.ModelNotFoundError, "no such model", list_fix),
        (errors.ModelContextWindowExceededError, "the prompt is too long", "name fewer PATHS"),
        (errors.ModelConnectionError, "could not connect", network_fix),
        (errors.UsageLimitExceeded, "a limit was reached", "raise --max-tokens or --max-cost"),
        (errors.ModelAPIError, "the request was refused", ""),
        (errors.ContentFilterError, "the provider's filter ended the answer", "rephrase the request"),
        (errors.OutputTokenLimitExceeded, *_UNFINISHED["length"]),
        (errors.UnexpectedModelBehavior, "the answer is not valid", "try again, or use a stronger model"),
        (LookupError, "the server sent no answer", "try again, or name a second model: --model A,B"),
        (errors.UserError, "could not use the model", _MODEL_FIX),
    )  # fmt: skip


def _provider_message(error: BaseException) -> str:
    """Return the provider's own message, without the body of the request."""
    body = getattr(error, "body", None)
    if isinstance(body, Mapping):
        inner = body.get("error", body)
        body = inner.get("message", "") if isinstance(inner, Mapping) else inner
    text = str(body or "") or str(error)
    if error.__cause__ and not body and not isinstance(error, TimeoutError):
        text = f"{text} ({_root_cause(error)})"
    if text.lstrip().startswith(("[", "{")):  # PydanticAI's own data, not words of the provider
        return ""
    message = _ADVICE.sub("", text)
    summary = " ".join(" ".join(message.strip().splitlines()[:4]).split())[:400]
    return f": {summary}" if summary else ""


_ADVICE = re.compile(r"\s*To try Pydantic AI.*|,? or pass (?:it|the API key) via\s*`[^`]*`", re.DOTALL)
"""Advice of PydanticAI for programs that use it."""


def _root_cause(error: BaseException) -> BaseException:
    """Return the first error of a chain: clients wrap what the network said in their own words."""
    while error.__cause__:
        error = error.__cause__
    return error


def create(_request: AgentRequest) -> Agent:
    """Create the agent `oneshot`."""
    return OneshotAgent()
