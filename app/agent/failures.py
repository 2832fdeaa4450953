"""What goes wrong between here and the model, in plain words.

Nothing of what the other side says gets out: its words may quote the key, or what people wrote.
"""

import json
import logging
import re

import httpx2
from agents.exceptions import AgentsException, MaxTurnsExceeded, ModelBehaviorError
from openai import (
    APIConnectionError,
    APIError,
    APIStatusError,
    APITimeoutError,
    OpenAIError,
)
from pydantic import ValidationError

from app.errors import ChatHistoryError, ModelRefused, ModelUnavailable

logger = logging.getLogger(__name__)

_SAVED = "What you wrote is saved"
SILENT = f"The language model did not answer in time. {_SAVED}; please try again."
_AWAY = f"The language model cannot be reached right now. {_SAVED}; please try again."
_BUSY = f"The language model has too much to do right now. {_SAVED}; please try again in a moment."
_BROKEN = f"The language model's answer broke off. {_SAVED}; please try again."
_STRANGE = f"The language model sent something that cannot be understood. {_SAVED}; please try again."
_CUT = f"The language model's answer was too long, and was cut off. {_SAVED}; ask for a shorter one."
_ENDLESS = f"The language model came to no answer. {_SAVED}; please try again, perhaps in other words."
_NOT_SET_UP = (
    f"The language model refuses this server: it is not set up right, or has no credit left. {_SAVED}; "
    "please tell those who run this site."
)
_TOO_LONG = (
    f"This conversation is too long for the language model. {_SAVED}; please shorten your message, or "
    "begin a new conversation."
)
_WILL_NOT = f"The language model's provider does not allow an answer to this. {_SAVED}."
_NOT_TAKEN = (
    f"The language model cannot work with this message, or with a file in this conversation. {_SAVED}; "
    "please put it differently, or begin a new conversation."
)

_TOO_LONG_CODES = ("context_length_exceeded", "string_above_max_length", "exceed_context_size_error")
_FILTER_CODES = ("content_filter", "content_policy_violation", "moderation_blocked", "invalid_prompt")
_CREDIT_CODES = ("insufficient_quota", "billing_hard_limit_reached", "account_deactivated")
_BUSY_CODES = ("rate_limit_exceeded", "slow_down", "overloaded", "overloaded_error")
_LENGTH_CODES = ("max_output_tokens", "length")
# What servers other than OpenAI's say, which know no codes.
_TOO_LONG_WORDS = re.compile(r"context (length|window|size)|maximum context|too many tokens", re.IGNORECASE)
_CODE = re.compile(r"[a-z0-9_.-]{1,64}", re.IGNORECASE)

# The first that fits: one kind may be a case of another.
_PASSING: tuple[tuple[type[Exception], str], ...] = (
    (APITimeoutError, SILENT),
    (TimeoutError, SILENT),
    (APIConnectionError, _AWAY),
    (MaxTurnsExceeded, _ENDLESS),
    (httpx2.HTTPError, _BROKEN),
    (AgentsException, _STRANGE),
    (OpenAIError, _STRANGE),
)
_NOT_UNDERSTOOD = (ModelBehaviorError, json.JSONDecodeError, ValidationError)

_TOO_MANY_REQUESTS = 429
_SERVER_ERRORS = 500
_REFUSES_US = (401, 402, 403, 404)
_PASSES = (408, 409, 425)


def explained(error: Exception, code: str | None = None) -> Exception:
    """Return what to raise for a failure of the model; an error of our own comes back as it is.

    `code` is what the model's last event said of its failure.
    """
    if isinstance(error, ChatHistoryError):
        return error
    known = _explained(error, code)
    if known is None:
        return error
    logger.warning("The model could not answer: %s", _in_brief(error, code))
    return known


def _explained(error: Exception, code: str | None) -> ChatHistoryError | None:
    if isinstance(error, APIStatusError):
        return _of_status(error)
    if isinstance(error, APIError) and not isinstance(error, APIConnectionError):
        return _of_code(error.code or code or error.type) or ModelUnavailable(_BROKEN)
    if isinstance(error, _NOT_UNDERSTOOD):
        return _of_code(code) or ModelUnavailable(_BROKEN if code else _STRANGE)
    return next((ModelUnavailable(words) for kind, words in _PASSING if isinstance(error, kind)), None)


def _of_status(error: APIStatusError) -> ChatHistoryError:
    status, code = error.status_code, error.code or error.type
    if status in _REFUSES_US or code in _CREDIT_CODES:
        return ModelRefused(_NOT_SET_UP)
    if status == _TOO_MANY_REQUESTS:
        return ModelUnavailable(_BUSY)
    if status >= _SERVER_ERRORS or status in _PASSES:
        return ModelUnavailable(_AWAY)
    if _TOO_LONG_WORDS.search(error.message):
        return ModelRefused(_TOO_LONG)
    return _of_code(code) or ModelRefused(_NOT_TAKEN)


def _of_code(code: str | None) -> ChatHistoryError | None:
    if code in _TOO_LONG_CODES:
        return ModelRefused(_TOO_LONG)
    if code in _FILTER_CODES:
        return ModelRefused(_WILL_NOT)
    if code in _CREDIT_CODES:
        return ModelRefused(_NOT_SET_UP)
    if code in _BUSY_CODES:
        return ModelUnavailable(_BUSY)
    if code in _LENGTH_CODES:
        return ModelUnavailable(_CUT)
    return None


def _in_brief(error: Exception, code: str | None) -> str:
    """Return what is safe to log: the kind, the status, and a code if it looks like one."""
    said = [type(error).__name__]
    if isinstance(error, APIStatusError):
        said.append(f"status {error.status_code}")
    code = (error.code if isinstance(error, APIError) else None) or code
    if code and _CODE.fullmatch(code):
        said.append(code)
    return ", ".join(said)
