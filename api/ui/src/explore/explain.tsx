// What a query did, node by node.
//
// in   the tree that explain=1 adds
// out  nested lists: text, time as a bar to scale, series, points, whatever else a node counted
import type { Explained } from "../api/prometheus";
import { formatted } from "../show/units";
import { Words } from "../show/words";

const SAID = new Set(["node", "read", "seconds", "inside", "reused"]);

export function Explain({ root }: { root: Explained }) {
  return (
    <ul class="explain">
      <Node node={root} whole={Math.max(root.seconds, 1e-9)} />
    </ul>
  );
}

function Node({ node, whole }: { node: Explained; whole: number }) {
  const inside = node.inside ?? [];
  const own = node.seconds - inside.reduce((sum, inner) => sum + inner.seconds, 0);
  return (
    <li>
      <div class="explain-node">
        <span class="explain-bar" title={`${formatted(Math.max(own, 0), "seconds")} of its own`}>
          <span style={{ width: `${Math.min(100, (100 * node.seconds) / whole)}%` }} />
        </span>
        <span class="explain-time">{formatted(node.seconds, "seconds")}</span>
        <span class="mono explain-text">
          {node.read !== undefined && <b>read </b>}
          <Words text={node.read ?? node.node ?? ""} max={300} />
        </span>
        <span class="hint">
          {figures(node).join(" · ")}
          {node.reused && " · reused"}
        </span>
      </div>
      {inside.length > 0 && (
        <ul>
          {inside.map((inner, i) => (
            <Node key={i} node={inner} whole={whole} />
          ))}
        </ul>
      )}
    </li>
  );
}

/** Every number of a node that has a name: `series 20`, `blocks skipped 3`. */
function figures(node: Explained): string[] {
  return Object.entries(node).flatMap(([name, value]) => {
    if (SAID.has(name) || typeof value !== "number") return [];
    const words = name.replace(/[A-Z]/g, (capital) => ` ${capital.toLowerCase()}`);
    return [`${words} ${name.includes("bytes") ? formatted(value, "bytes") : value.toLocaleString("en")}`];
  });
}
