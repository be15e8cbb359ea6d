"""Answers: JSON, always with the same headers, and errors that say what to do."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import TypeVar
from urllib.parse import parse_qsl

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from reelrank.events.validation import control_character, explain, quoted

Query = TypeVar("Query", bound=msgspec.Struct)

_MAX_QUERY_BYTES = 8_192
_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2}).{0,2}", re.DOTALL)
encode = msgspec.json.Encoder().encode


class ErrorAnswer(msgspec.Struct, frozen=True):
    """What went wrong: the thing, the value and the way out."""

    error: str


class Refuse(HTTPException):
    """A request that can't be answered as it is."""

    def __init__(self, status: int, error: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, error, headers)


def answer(content: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Content as JSON."""
    return Response(encode(content), status, headers, media_type="application/json")


def parameters(request: Request, known: tuple[str, ...]) -> dict[str, str]:
    """The parameters of a query, each at most once; those left empty count as not given. Raises Refuse."""
    query: bytes = request.scope["query_string"]
    if len(query) > _MAX_QUERY_BYTES:
        raise Refuse(400, f"the query string has {len(query):,} bytes; at most {_MAX_QUERY_BYTES:,} are read")
    broken = _BROKEN_ESCAPE.search(query)
    if broken:
        raise Refuse(400, f"the query string has {quoted(broken[0].decode(errors='replace'))}, which is no percent-encoding; write a plain % as %25")
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        raise Refuse(400, "the query string is not UTF-8; percent-encode the UTF-8 bytes of each character") from None
    given: dict[str, str] = {}
    for name, value in pairs:
        if name not in known:
            raise Refuse(400, f"there is no parameter {quoted(name)}; known: {', '.join(known) or 'none'}")
        if name in given:
            raise Refuse(400, f"the parameter {name} is given more than once")
        given[name] = value
    return {name: value for name, value in given.items() if value}


def query_of(request: Request, kind: type[Query], needed: Mapping[str, str] | None = None) -> Query:
    """The parameters of a query as a `kind`; `needed` says why one that must not be missing is needed. Raises Refuse."""
    given = parameters(request, kind.__struct_fields__)
    for name, why in (needed or {}).items():
        if name not in given:
            raise Refuse(400, f"the parameter {name} is missing; {why}")
    for name, value in given.items():
        if control := control_character(value):
            raise Refuse(400, f"{name} {quoted(value)} has the control character {control}; take it out")
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as problem:
        raise Refuse(400, explain(problem, given)) from None


async def refused(request: Request, problem: Exception) -> Response:
    """Turns what a route raised, or what no route is there for, into an answer."""
    assert isinstance(problem, HTTPException)
    error = problem.detail
    if not isinstance(problem, Refuse):
        error = _explained(request, problem)
    return answer(ErrorAnswer(error), problem.status_code, dict(problem.headers or {}))


failed = answer(ErrorAnswer("this request ran into a fault of the server; its log has the details"), 500)


def _explained(request: Request, problem: HTTPException) -> str:
    path = quoted(request.scope["path"])
    if problem.status_code == 404:
        return f"there is nothing at {path}; /openapi.json lists what there is"
    if problem.status_code == 405:
        return f"{path} does not take {quoted(request.method)}; it takes {(problem.headers or {}).get('Allow', 'GET')}"
    return f"{path}: {problem.detail or HTTPStatus(problem.status_code).phrase}"
