"""Rules and alerts, in the shape of Prometheus' API.

GET /api/v1/rules           groups with their rules, their health and their alerts
GET /api/v1/alerts          alerts that are pending or firing
GET /api/v1/alertmanagers   who is told of them
GET /api/v1/notifications   of the server to its users: none, pages of alerts ask for them

Parameters nobody knows are passed over, as Prometheus does: dashboards add their own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
import orjson
from fastapi import FastAPI, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from api.exchange import Answer
from api.node import Node
from api.routes import rules_examples as examples
from api.rules.alerting import Alert, State
from api.rules.config import Alerting
from api.rules.group import GroupState, RuleState
from api.rules.sender import rfc3339
from api.rules.template_functions import go_text
from api.work import Reply
from tsdb.errors import InvalidInput
from tsdb.index.labels import Labels
from tsdb.index.matchers import Matcher
from tsdb.index.selector import parse_selector

__all__ = ["declare"]

Json = dict[str, Any]
NEVER = "0001-01-01T00:00:00Z"  # Go's zero time
KINDS = {"alert": "alerting", "record": "recording"}


class RulesQuery(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    kind: str = Field("", alias="type", description="`alert` or `record`.")
    names: list[str] = Field([], alias="rule_name[]", description="Of these names only.")
    groups: list[str] = Field([], alias="rule_group[]", description="In these groups only.")
    files: list[str] = Field([], alias="file[]", description="From these files only.")
    match: list[str] = Field([], alias="match[]", description="Whose labels match a selector.")
    exclude_alerts: bool = Field(False, description="Without the alerts of alerting rules.")


def rules(states: list[GroupState], query: RulesQuery) -> Json:
    """What /api/v1/rules says."""
    if query.kind and query.kind not in KINDS:
        raise InvalidInput(f"type={query.kind!r} is neither alert nor record")
    selectors = [parse_selector(text, allow_empty=True) for text in query.match]
    groups = []
    for state in states:
        if (query.groups and state.group.name not in query.groups) or (
            query.files and state.group.file not in query.files
        ):
            continue
        chosen = [rule for rule in state.rules if _is_wanted(rule, query, selectors)]
        if chosen or not (query.names or query.kind or query.match):
            groups.append(_group(state, chosen, query))
    return {"groups": groups}


def _is_wanted(state: RuleState, query: RulesQuery, selectors: list[tuple[Matcher, ...]]) -> bool:
    rule = state.rule
    if query.kind and (query.kind == "alert") != isinstance(rule, Alerting):
        return False
    if query.names and rule.name not in query.names:
        return False
    labels = Labels(rule.labels)
    return not selectors or any(
        all(matcher.matches(labels.get(matcher.name, "")) for matcher in matchers)
        for matchers in selectors
    )


def _group(state: GroupState, chosen: list[RuleState], query: RulesQuery) -> Json:
    return {
        "name": state.group.name,
        "file": state.group.file,
        "rules": [_rule(rule, query) for rule in chosen],
        "interval": state.group.interval_ms / 1000,
        "limit": state.group.limit,
        "evaluationTime": state.took_s,
        "lastEvaluation": _time(state.evaluated_at),
    }


def _rule(state: RuleState, query: RulesQuery) -> Json:
    rule, health = state.rule, state.health
    shown: Json = {
        "name": rule.name,
        "query": rule.expression,
        "labels": dict(rule.labels),
        "health": health.word,
        "evaluationTime": health.took_s,
        "lastEvaluation": _time(health.evaluated_at),
        "type": KINDS["alert" if isinstance(rule, Alerting) else "record"],
    }
    if health.error:
        shown["lastError"] = health.error
    if isinstance(rule, Alerting) and state.alerts is not None:
        shown |= {
            "state": state.alerts.state.value,
            "duration": rule.hold_ms / 1000,
            "keepFiringFor": rule.keep_firing_ms / 1000,
            "annotations": dict(rule.annotations),
        }
        if not query.exclude_alerts:
            shown["alerts"] = _alerts(state)
    return shown


def alerts(states: list[GroupState]) -> Json:
    """What /api/v1/alerts says."""
    return {
        "alerts": [alert for state in states for rule in state.rules for alert in _alerts(rule)]
    }


def _alerts(state: RuleState) -> list[Json]:
    known = [] if state.alerts is None else list(state.alerts.active.values())
    return [_alert(alert) for alert in known if alert.state is not State.INACTIVE]


def _alert(alert: Alert) -> Json:
    shown: Json = {
        "labels": dict(alert.labels),
        "annotations": dict(alert.annotations),
        "state": alert.state.value,
        "activeAt": rfc3339(alert.active_at),
        "value": _number(alert.value),
    }
    if alert.keep_firing_since:
        shown["keepFiringSince"] = rfc3339(alert.keep_firing_since)
    return shown


def alertmanagers(urls: tuple[str, ...]) -> Json:
    """What /api/v1/alertmanagers says."""
    active = [{"url": f"{url}/api/v2/alerts"} for url in urls]
    return {"activeAlertmanagers": active, "droppedAlertmanagers": []}


def _time(moment: int) -> str:
    return rfc3339(moment) if moment else NEVER


def _number(value: float) -> str:
    """Shortest digits with an exponent of two digits at least: 3.1e+01."""
    if not math.isfinite(value):
        return go_text(value)
    return np.format_float_scientific(value, trim="-", exp_digits=2)


async def _answer(node: Node, data: Callable[[], object]) -> Response:
    """In a thread: there may be thousands of alerts."""

    def body() -> bytes:
        found = {"status": "success", "data": data()}
        return orjson.dumps(found, option=orjson.OPT_APPEND_NEWLINE)

    async with node.admin.caller():
        return Reply(Answer(await node.admin.run(body)))


def declare(app: FastAPI, node: Node) -> None:
    """The routes as FastAPI knows them."""

    def states() -> list[GroupState]:
        return [] if node.ruler is None else list(node.ruler.states())

    @app.get("/api/v1/rules", **examples.RULES)
    async def list_rules(query: Annotated[RulesQuery, Query()]) -> Response:
        return await _answer(node, lambda: rules(states(), query))

    @app.get("/api/v1/alerts", **examples.ALERTS)
    async def list_alerts() -> Response:
        return await _answer(node, lambda: alerts(states()))

    @app.get("/api/v1/alertmanagers", **examples.ALERTMANAGERS)
    async def list_alertmanagers() -> Response:
        urls = () if node.ruler is None else node.ruler.sender.urls
        return await _answer(node, lambda: alertmanagers(urls))

    @app.get("/api/v1/notifications", **examples.NOTIFICATIONS)
    async def list_notifications() -> Response:
        return await _answer(node, list)
