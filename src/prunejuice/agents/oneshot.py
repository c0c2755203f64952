"""The agent `oneshot`: one request to a model through PydanticAI, with any provider that it supports."""

import asyncio
import re
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import AsyncExitStack, suppress
from typing import Any

from prunejuice.agents.protocol import (
    Agent,
    AgentEnded,
    AgentEvent,
    AgentRequest,
    AgentStarted,
    Capabilities,
    Status,
    Task,
    Usage,
)
from prunejuice.system.stop import Stop

MAX_SECONDS = 600.0
"""The time limit of a task if none is set."""
_MAX_ATTEMPTS = 4
"""The most attempts for a request after transient faults: rate limits, overload, lost connections."""
_MAX_CORRECTIONS = 2
"""How often a model may correct an invalid answer."""
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
        self._models: dict[str, Any] = {}
        self._open = AsyncExitStack()

    def run(self, task: Task, stop: Stop) -> Iterator[AgentEvent]:
        """Ask the model of the task; several models, separated by commas, are tried in turn."""
        yield AgentStarted(self.name, task.model)
        answer = asyncio.run_coroutine_threadsafe(self._ask(task), self._loop)
        while True:
            try:
                # A short time-out, so that a request to stop is noticed soon.
                spent, ended = answer.result(timeout=0.2)
            except TimeoutError:
                if answer.done():  # a time-out of the request, not of `result`
                    spent, ended = None, _failure_event(answer.exception() or TimeoutError(), task)
                elif stop.is_requested():
                    answer.cancel()
                    continue
                else:
                    continue
            except CancelledError:
                spent, ended = None, AgentEnded("cancelled", error="stopped")
            break
        if spent is not None:
            yield spent
        yield ended

    def close(self) -> None:
        """Close the connections, and stop the event loop."""
        asyncio.run_coroutine_threadsafe(self._open.aclose(), self._loop).result(timeout=10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()

    async def _ask(self, task: Task) -> tuple[Usage | None, AgentEnded]:
        from pydantic_ai import Agent, RunUsage, UsageLimits, exceptions  # noqa: PLC0415 - slow

        usage = RunUsage()
        seconds = task.limits.seconds or MAX_SECONDS
        try:
            agent = Agent(
                await self._open_model(task.model),
                output_type=_output_type(task),
                instructions=task.instructions or None,
                retries={"output": _MAX_CORRECTIONS},
            )
            if task.schema is not None:
                agent.output_validator(_output_validator(task))
            answer = await agent.run(
                task.prompt,
                usage=usage,
                usage_limits=UsageLimits(request_limit=task.limits.rounds or _MAX_CORRECTIONS + 1),
                model_settings={"max_retries": _MAX_ATTEMPTS, "timeout": seconds},
                timeout=seconds,
            )
        except (exceptions.AgentRunError, exceptions.UserError, ExceptionGroup, *_PROVIDER_ERRORS) as error:
            return _to_usage(usage), _failure_event(error, task)
        return _to_usage(usage, _answering_model(task.model, answer.response.model_name)), AgentEnded(
            "ok", output=answer.output
        )

    async def _open_model(self, names: str) -> Any:
        """Return a model by its name with open connections, the same one for every task."""
        if names not in self._models:
            model = self._models[names] = _build_model(names)
            await self._open.enter_async_context(model)
        return self._models[names]


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
    from pydantic_ai.models import infer_model  # noqa: PLC0415
    from pydantic_ai.models.fallback import FallbackModel  # noqa: PLC0415

    models = [infer_model(name.strip()) for name in names.split(",") if name.strip()]
    if not models:
        raise ValueError("no model is named")
    return models[0] if len(models) == 1 else FallbackModel(*models)


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


def _to_usage(usage: Any, model: str = "") -> Usage | None:
    if not usage.requests and not usage.input_tokens:
        return None
    cost = None if usage.cost is None else float(usage.cost)
    return Usage(
        usage.input_tokens, usage.output_tokens, usage.cache_read_tokens, usage.requests, cost, model
    )


def _failure_event(error: BaseException, task: Task) -> AgentEnded:
    """Return the event for an error, with a fix if the error is known."""
    from pydantic_ai import exceptions  # noqa: PLC0415

    is_quota = isinstance(error, exceptions.ModelRateLimitError) and _QUOTA.search(_provider_message(error))
    error_type = exceptions.ModelQuotaExceededError if is_quota else type(error)
    for known_type, message, fix in _known_faults(exceptions):
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
    return AgentEnded("failed", error=f"{task.model or 'the model'}: {error}"[:2000], fix=_MODEL_FIX)


_QUOTA = re.compile(r"\bquota\b|\bbilling\b|\bcredits?\b", re.IGNORECASE)
"""Words of a used-up quota, which some providers report with the status of a rate limit (429)."""
_MODEL_FIX = "name the model as provider:model, and set the provider's API key in the environment"


def _known_faults(errors: Any) -> tuple[tuple[type[BaseException], str, str], ...]:
    return (
        (TimeoutError, "no answer in time", "try again, or use a faster model"),
        (errors.ModelAuthenticationError, "the key was refused", "set a valid API key for the provider"),
        (errors.ModelQuotaExceededError, "the quota is used up", "check billing, or use another model"),
        (errors.ModelRateLimitError, "too many requests", "wait, or send fewer requests at once"),
        (errors.ModelOverloadedError, "overloaded", "wait, or name a second model: --model A,B"),
        (errors.ModelUnavailableError, "not available now", "wait, or name a second model: --model A,B"),
        (errors.ModelServerError, "the provider failed", "wait, or name a second model: --model A,B"),
        (errors.ModelNotFoundError, "no such model", "see the provider's list of models"),
        (errors.ModelContextWindowExceededError, "the prompt is too long", "name fewer PATHS"),
        (errors.ModelConnectionError, "could not connect", "check the network and the base URL"),
        (errors.UsageLimitExceeded, "a limit was reached", "raise --max-tokens or --max-cost"),
        (errors.ModelAPIError, "the request was refused", ""),
        (errors.UnexpectedModelBehavior, "the answer is not valid", "try again, or use a stronger model"),
        (errors.UserError, "could not use the model", _MODEL_FIX),
    )  # fmt: skip


def _provider_message(error: BaseException) -> str:
    """Return the provider's own message, without the body of the request."""
    body = getattr(error, "body", None)
    if isinstance(body, Mapping):
        inner = body.get("error", body)
        body = inner.get("message", "") if isinstance(inner, Mapping) else inner
    text = str(body or "") or str(error)
    with suppress(AttributeError):
        if cause := error.__cause__:
            text = text if body or isinstance(error, TimeoutError) else f"{text} ({cause})"
    message = re.split(r"\s*To try Pydantic AI", text)[0]  # PydanticAI's own advice does not apply here
    summary = " ".join(" ".join(message.strip().splitlines()[:4]).split())[:400]
    return f": {summary}" if summary else ""


def create(_request: AgentRequest) -> Agent:
    """Create the agent `oneshot`."""
    return OneshotAgent()
