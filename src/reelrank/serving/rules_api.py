"""/v1/rules: business rules are read, made, changed and removed here, and every change is on record."""

import logging
from collections.abc import Callable
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from reelrank.domain.rule import NoSuchRule, Rule, RuleDraft, RuleProblem
from reelrank.events.validation import explain
from reelrank.serving.answers import Refuse, answer, parameters, query_of
from reelrank.serving.auth import sender_of
from reelrank.serving.events_api import ELSEWHERE
from reelrank.serving.services import Services
from reelrank.storage.event_log import StorageError
from reelrank.storage.rule_store import RuleChange

logger = logging.getLogger(__name__)

Made = TypeVar("Made")

_MOST_BYTES = 10_000
_decode = msgspec.json.Decoder(RuleDraft).decode


class AuditQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much of the audit is asked for."""

    count: Annotated[int, Meta(ge=1, le=1_000, description="the last so many changes")] = 100


class RulesAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The rules that are kept, the oldest first; `now` is the server's clock."""

    now: float
    rules: list[Rule]


class AuditAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Changes of the rules, the latest first."""

    changes: list[RuleChange]


class RulesApi:
    """The operators' door. This process follows what it has changed at once, others within a second."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def get(self, request: Request) -> Response:
        """Every rule."""
        parameters(request, ())
        rules = await self._asked(self._services.rules.all)
        return answer(RulesAnswer(now=self._services.clock.now(), rules=rules), headers={"Cache-Control": "no-store"})

    async def get_audit(self, request: Request) -> Response:
        """Who changed what, and when."""
        query = query_of(request, AuditQuery)
        return answer(AuditAnswer(changes=await self._asked(lambda: self._services.rules.audit(query.count))), headers={"Cache-Control": "no-store"})

    async def post(self, request: Request) -> Response:
        """A new rule."""
        draft, who, now = await self._draft(request), sender_of(request), self._services.clock.now()
        return answer(await self._changed(lambda: self._services.rules.add(draft, who, now)), 201)

    async def put(self, request: Request) -> Response:
        """Another rule in the place of one."""
        draft, who, now = await self._draft(request), sender_of(request), self._services.clock.now()
        return answer(await self._changed(lambda: self._services.rules.change(_id_in(request), draft, who, now)))

    async def delete(self, request: Request) -> Response:
        """One rule less."""
        self._keep_out(request)
        parameters(request, ())
        who, now = sender_of(request), self._services.clock.now()
        return answer(await self._changed(lambda: self._services.rules.remove(_id_in(request), who, now)))

    async def _draft(self, request: Request) -> RuleDraft:
        self._keep_out(request)
        parameters(request, ())
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > _MOST_BYTES:
                raise Refuse(413, f"the body has more than {_MOST_BYTES:,} bytes; a rule has some hundred", {"Connection": "close"})
        try:
            return _decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
            raise Refuse(400, f"the body is no rule: {explain(problem, body)}") from None

    def _keep_out(self, request: Request) -> None:
        if self._services.authenticator is None and request.headers.get("sec-fetch-site") in ELSEWHERE:
            raise Refuse(403, "another site's page sent this; where no key is asked for only pages of this address may", {"Connection": "close"})

    async def _changed(self, change: Callable[[], Made]) -> Made:
        made = await self._asked(change)
        try:
            await run_in_threadpool(self._services.feed.rules.refresh)
        except StorageError as problem:  # it is made: who was told that it is not would make another one
            logger.warning("a rule was changed, and this process follows it as soon as the database can be read: %s", problem)
        return made

    async def _asked(self, ask: Callable[[], Made]) -> Made:
        try:
            return await run_in_threadpool(ask)
        except RuleProblem as problem:
            raise Refuse(404 if isinstance(problem, NoSuchRule) else 400, str(problem)) from None
        except StorageError:
            raise Refuse(503, "the rules can't be read or changed just now; send this again in a few seconds", {"Retry-After": "2"}) from None


def _id_in(request: Request) -> str:
    return request.path_params["rule_id"]
