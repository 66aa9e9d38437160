"""What the routes of a cluster say about themselves in OpenAPI; see `api.routes.examples`."""

from __future__ import annotations

from api.routes.responses import Json, data_answer, refusals

__all__ = [
    "CLUSTER",
    "DRAIN",
    "EVICT",
    "MOVE",
    "NODE",
    "READ",
    "REBALANCE",
    "SHARD",
    "SNAPSHOT",
    "UNMOVE",
    "VERIFY",
]

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
                "shards": [
                    {
                        "shard": 0,
                        "incarnation": 1,
                        "leader": "node-1",
                        "moves": [],
                        "replicas": [COPY],
                    }
                ],
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
OCTETS: Json = {
    "description": "Bytes between nodes of one version.",
    "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
}
SHARD: Json = {
    "tags": ["admin"],
    "summary": "One shard of this node's data",
    "description": "What a node copies that shall keep the shard; made while it is written to.",
    "operation_id": "cluster_shard",
    "responses": {200: OCTETS, **refusals(400, 403, 404, 503)},
}
READ: Json = {
    "tags": ["query"],
    "summary": "What shards of this node say, to another node",
    "description": "How a node answers for shards it does not keep. Not for clients.",
    "operation_id": "cluster_read",
    "responses": {200: OCTETS, **refusals(400, 404, 503)},
}
MOVES: dict[int | str, Json] = {
    200: data_answer(
        "All moves under way.",
        {"epoch": 12, "moves": [{"shard": 3, "comes": "node-4", "leaves": "node-2"}]},
        {"type": "object", "required": ["epoch", "moves"]},
    ),
    **refusals(400, 403, 404, 503),
}
MOVE: Json = {
    "tags": ["admin"],
    "summary": "A shard begins to move to a node",
    "description": (
        "`comes` copies the shard and follows its log; once it has everything it serves, and "
        "`leaves` (none: a copy more) does not. Reads and writes go on."
    ),
    "operation_id": "cluster_move",
    "responses": MOVES,
}
UNMOVE: Json = {
    "tags": ["admin"],
    "summary": "A move is given up",
    "operation_id": "cluster_unmove",
    "responses": MOVES,
}
DRAIN: Json = {
    "tags": ["admin"],
    "summary": "All shards of a node begin to move to others",
    "description": "Also of one that is gone for ever: copies come from other replicas.",
    "operation_id": "cluster_drain",
    "responses": MOVES,
}
EVICT: Json = {
    "tags": ["admin"],
    "summary": "Logs have their copies on a node no more",
    "description": (
        "Of a node that is stopped and keeps no points (drained, replaced): each copy of a log "
        "that it had is made anew on another. Answers when they are whole."
    ),
    "operation_id": "cluster_evict",
    "responses": {
        200: data_answer(
            "So many logs and buckets of keys have another keeper now.",
            {"node": "node-2", "logs": 12},
            {"type": "object", "required": ["node", "logs"]},
        ),
        **refusals(400, 403, 404, 503),
    },
}
REBALANCE: Json = {
    "tags": ["admin"],
    "summary": "Shards begin to move until all nodes that answer keep as many",
    "description": "`without` names a node that shall get none.",
    "operation_id": "cluster_rebalance",
    "responses": MOVES,
}
VERIFY: Json = {
    "tags": ["admin"],
    "summary": "Whether all copies of a shard hold the same points",
    "description": (
        "Every copy adds up all its points up to `before` (seconds; an hour ago unless given), "
        "label by label and bit by bit. Where they differ they are looked at again: points may "
        "just have come late."
    ),
    "operation_id": "cluster_verify",
    "responses": {
        200: data_answer(
            "What each copy adds up to; null where a node does not answer.",
            {
                "shard": 3,
                "before": 1795483000.0,
                "equal": True,
                "copies": [{"node": "node-1", "digest": "9f2b3c4d5e6f7081", "points": 48000}],
            },
            {"type": "object", "required": ["shard", "equal", "copies"]},
        ),
        **refusals(400, 404, 503),
    },
}
