"""What the routes of a cluster say about themselves in OpenAPI; see `api.routes.examples`."""

from __future__ import annotations

from api.routes.responses import Json, data_answer, refusals

__all__ = ["CLUSTER", "NODE", "SNAPSHOT"]

COPY: Json = {
    "node": "node-1",
    "state": "serving",
    "applied": 118,
    "durable": 118,
    "lag": 0,
    "digest": "1b0c9d4c2f5e7a86",
}
CLUSTER: Json = {
    "tags": ["admin"],
    "summary": "The cluster: nodes, shards, copies",
    "description": (
        "Asks every node. Copies of a shard with the same `digest` at the same position hold the "
        "same points. Leaders are what the servers of the log say and may be some seconds old."
    ),
    "operation_id": "cluster_status",
    "responses": {
        200: data_answer(
            "As this node sees it.",
            {
                "cluster": "demo",
                "node": "node-1",
                "epoch": 1,
                "nodes": [
                    {
                        "node": "node-1",
                        "http": "127.0.0.1:9301",
                        "alive": True,
                        "last_seen_s": 0.0,
                    }
                ],
                "shards": [{"shard": 0, "incarnation": 1, "leader": "node-1", "replicas": [COPY]}],
            },
            {"type": "object", "required": ["cluster", "node", "epoch", "nodes", "shards"]},
        ),
        **refusals(404, 503),
    },
}
NODE: Json = {
    "tags": ["admin"],
    "summary": "The copies on this node",
    "description": "What the other nodes ask for when somebody asks them for the cluster.",
    "operation_id": "cluster_node",
    "responses": {
        200: data_answer(
            "Positions in the logs and digests of what was applied.",
            {
                "node": "node-1",
                "shards": [
                    {
                        "shard": 0,
                        "state": "serving",
                        "reason": None,
                        "applied": 118,
                        "durable": 118,
                        "digest": "1b0c9d4c2f5e7a86",
                    }
                ],
            },
            {"type": "object", "required": ["node", "shards"]},
        ),
        **refusals(404, 503),
    },
}
SNAPSHOT: Json = {
    "tags": ["admin"],
    "summary": "This node's data, as a tar file",
    "description": (
        "What a node copies that has no data or has lost it. The answer is a stream without a "
        "length; one that is cut off ends without the two empty blocks of a tar file."
    ),
    "operation_id": "cluster_snapshot",
    "responses": {
        200: {
            "description": "A data directory, as of now.",
            "content": {"application/x-tar": {"schema": {"type": "string", "format": "binary"}}},
        },
        **refusals(403, 404, 503),
    },
}
