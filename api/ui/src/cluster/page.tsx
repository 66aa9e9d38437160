// The cluster: nodes, shards, who leads, how far copies are, what moves.
//
// in   /api/v1/cluster, every five seconds
// out  a table of nodes, a table of shards with a cell a node; or how to start a cluster
import { ask } from "../api/client";
import { useLook } from "../api/looking";
import "../show/facts.css";
import { Facts } from "../show/facts";
import { Problem } from "../show/problem";
import { Words } from "../show/words";
import { areEqual, copiesBehind, type Cluster, type Copy, type Shard } from "./copies";

const EVERY_S = 5;
const SHARDS_SHOWN_MAX = 256;

const ALONE = "alone";

/** A server that stands alone is not asked for its cluster: it would have to refuse. */
async function look(signal: AbortSignal): Promise<Cluster | typeof ALONE> {
  const flags = await ask<Record<string, string>>("/api/v1/status/flags", {}, { signal });
  if (flags.data["cluster"] === "null") return ALONE;
  return (await ask<Cluster>("/api/v1/cluster", {}, { signal })).data;
}

export default function ClusterPage() {
  const { found, error } = useLook(look, EVERY_S);
  return (
    <>
      <h1>Cluster</h1>
      {error !== null && <Problem error={error} />}
      {found === null && error === null && <p class="hint">Loading…</p>}
      {found === ALONE && <Alone />}
      {found !== null && found !== ALONE && <Shown cluster={found} />}
    </>
  );
}

function Alone() {
  return (
    <div class="card">
      <p>This server stands alone: it is no node of a cluster.</p>
      <p class="hint">
        Try one on this machine: <code>silverback cluster dev --nodes 3 --data DIR --base-port 9301</code>. Or begin one
        from this server&apos;s data: see “Run a cluster” in the documentation.
      </p>
    </div>
  );
}

function Shown({ cluster }: { cluster: Cluster }) {
  const { nodes, shards } = cluster;
  const moves = shards.flatMap((shard) => shard.moves.map((move) => ({ shard: shard.shard, move })));
  const behind = copiesBehind(shards);
  return (
    <>
      <section class="card" aria-label="The cluster">
        <Facts
          facts={[
            ["Cluster", <Words text={cluster.cluster} />],
            ["Asked", <Words text={cluster.node} />],
            ["Nodes", `${nodes.filter((node) => node.alive).length} of ${nodes.length} answer`],
            ["Shards", shards.length],
            ["Copies that differ", shards.filter((shard) => !areEqual(shard)).length],
            ["Copies behind", behind],
            ["Moves", moves.length],
          ]}
        />
      </section>
      <h2>Nodes</h2>
      <table>
        <thead>
          <tr>
            <th scope="col">Node</th>
            <th scope="col">Address</th>
            <th scope="col">State</th>
            <th scope="col" class="number">
              Leads
            </th>
            <th scope="col" class="number">
              Copies
            </th>
          </tr>
        </thead>
        <tbody>
          {nodes.map((node) => (
            <tr key={node.node}>
              <td>
                <Words text={node.node} />
              </td>
              <td class="mono">
                <Words text={node.http} />
              </td>
              <td class={node.alive ? "good" : "bad"}>{node.alive ? "answers" : "does not answer"}</td>
              <td class="number">{shards.filter((shard) => shard.leader === node.node).length}</td>
              <td class="number">{shards.filter((shard) => copyAt(shard, node.node)).length}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <h2>Shards</h2>
      <div class="scroll" tabIndex={0} role="region" aria-label="Copies of each shard">
        <table>
          <thead>
            <tr>
              <th scope="col" class="number">
                Shard
              </th>
              {nodes.map((node) => (
                <th scope="col" key={node.node}>
                  <Words text={node.node} />
                </th>
              ))}
              <th scope="col">Copies</th>
            </tr>
          </thead>
          <tbody>
            {shards.slice(0, SHARDS_SHOWN_MAX).map((shard) => (
              <tr key={shard.shard}>
                <td class="number">{shard.shard}</td>
                {nodes.map((node) => (
                  <td key={node.node}>
                    <CopyState copy={copyAt(shard, node.node)} isLeader={shard.leader === node.node} />
                  </td>
                ))}
                <td class={areEqual(shard) ? "good" : "bad"}>{areEqual(shard) ? "equal" : "differ"}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {shards.length > SHARDS_SHOWN_MAX && <p class="hint">{shards.length - SHARDS_SHOWN_MAX} more are not shown.</p>}
      {moves.length > 0 && (
        <>
          <h2>Moves</h2>
          <ul>
            {moves.map(({ shard, move }) => (
              <li key={`${shard}-${move.comes}`}>
                Shard {shard} comes to <Words text={move.comes} />
                {move.leaves && (
                  <>
                    {" "}
                    and leaves <Words text={move.leaves} />
                  </>
                )}
              </li>
            ))}
          </ul>
        </>
      )}
    </>
  );
}

function copyAt(shard: Shard, node: string): Copy | undefined {
  return shard.replicas.find((copy) => copy.node === node);
}

function CopyState({ copy, isLeader }: { copy: Copy | undefined; isLeader: boolean }) {
  if (!copy) return isLeader ? <span class="hint">leads the log</span> : <span class="hint">–</span>;
  const tone = copy.state === "serving" ? "good" : "warn";
  return (
    <>
      <span class={tone}>{copy.state}</span>
      {isLeader && <strong> · leader</strong>}
      {(copy.lag ?? 0) > 0 && <span class="warn"> · {copy.lag?.toLocaleString("en")} behind</span>}
    </>
  );
}
