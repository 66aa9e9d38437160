"""What the routes about rules say about themselves in OpenAPI; see `api.routes.examples`."""

from __future__ import annotations

from api.routes.responses import Json, data_answer, refusals

__all__ = ["ALERTMANAGERS", "ALERTS", "RULES"]

ALERT: Json = {
    "labels": {"alertname": "Down", "instance": "127.0.0.1:9100", "severity": "page"},
    "annotations": {"summary": "127.0.0.1:9100 is down"},
    "state": "firing",
    "activeAt": "2023-11-14T22:13:20.000Z",
    "value": "0e+00",
}
RULES: Json = {
    "tags": ["rules"],
    "summary": "Rules, their health and their alerts",
    "description": "In the shape of Prometheus' API. Empty without `--rules`.",
    "operation_id": "list_rules",
    "responses": {
        200: data_answer(
            "Groups by file and name.",
            {
                "groups": [
                    {
                        "name": "web",
                        "file": "rules.yml",
                        "rules": [
                            {
                                "name": "Down",
                                "query": "up == 0",
                                "labels": {"severity": "page"},
                                "health": "ok",
                                "evaluationTime": 0.0004,
                                "lastEvaluation": "2023-11-14T22:13:20.000Z",
                                "type": "alerting",
                                "state": "firing",
                                "duration": 300,
                                "keepFiringFor": 0,
                                "annotations": {"summary": "{{ $labels.instance }} is down"},
                                "alerts": [ALERT],
                            }
                        ],
                        "interval": 60,
                        "limit": 0,
                        "evaluationTime": 0.0005,
                        "lastEvaluation": "2023-11-14T22:13:20.000Z",
                    }
                ]
            },
            {
                "type": "object",
                "required": ["groups"],
                "properties": {"groups": {"type": "array"}},
            },
        ),
        **refusals(400),
    },
}
ALERTS: Json = {
    "tags": ["rules"],
    "summary": "Alerts that are pending or firing",
    "operation_id": "list_alerts",
    "responses": {
        200: data_answer(
            "All of them, rule by rule.",
            {"alerts": [ALERT]},
            {
                "type": "object",
                "required": ["alerts"],
                "properties": {"alerts": {"type": "array"}},
            },
        ),
        **refusals(),
    },
}
NOTIFICATIONS: Json = {
    "tags": ["rules"],
    "summary": "Notifications of the server",
    "description": "Always empty; Prometheus tells its pages here that it shuts down.",
    "operation_id": "list_notifications",
    "responses": {200: data_answer("None.", [], {"type": "array"}), **refusals()},
}
ALERTMANAGERS: Json = {
    "tags": ["rules"],
    "summary": "Who is told of alerts",
    "operation_id": "list_alertmanagers",
    "responses": {
        200: data_answer(
            "The addresses of `--alertmanager`.",
            {
                "activeAlertmanagers": [{"url": "http://127.0.0.1:9093/api/v2/alerts"}],
                "droppedAlertmanagers": [],
            },
            {"type": "object", "required": ["activeAlertmanagers", "droppedAlertmanagers"]},
        ),
        **refusals(),
    },
}
