// Rules and what they say.
//
// in   groups as the API has them
// out  a line a rule: health, state, how long it took, its error
import { formatted } from "../show/units";
import { Words } from "../show/words";

interface Rule {
  name: string;
  query: string;
  health: string;
  state?: string;
  type: string;
  lastError?: string;
  evaluationTime?: number;
  alerts?: unknown[];
}

export interface Group {
  name: string;
  file: string;
  rules: Rule[];
}

const SHOWN_MAX = 500;

export function Rules({ groups }: { groups: readonly Group[] }) {
  const rules = groups.flatMap((group) => group.rules.map((rule) => ({ group, rule })));
  return (
    <section aria-label="Rules">
      <h2>Rules and alerts</h2>
      {rules.length === 0 ? (
        <p class="hint">
          No rules: give Prometheus&apos; rule files with <code>silverback serve --rules FILE</code>.
        </p>
      ) : (
        <div class="scroll" tabIndex={0} role="region" aria-label="Rules and their state">
          <table>
            <thead>
              <tr>
                <th scope="col">Group</th>
                <th scope="col">Rule</th>
                <th scope="col">State</th>
                <th scope="col" class="number">
                  Took
                </th>
                <th scope="col">Expression</th>
              </tr>
            </thead>
            <tbody>
              {rules.slice(0, SHOWN_MAX).map(({ group, rule }, i) => (
                <tr key={i}>
                  <td>
                    <Words text={group.name} />
                  </td>
                  <td>
                    <Words text={rule.name} />
                  </td>
                  <td>
                    <State rule={rule} />
                  </td>
                  <td class="number">{formatted(rule.evaluationTime ?? null, "seconds")}</td>
                  <td class="mono">
                    <a href={`/graph?g0.expr=${encodeURIComponent(rule.query)}`}>
                      <Words text={rule.query} max={200} />
                    </a>
                    {rule.lastError && (
                      <div class="bad">
                        <Words text={rule.lastError} max={500} />
                      </div>
                    )}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {rules.length > SHOWN_MAX && <p class="hint">{rules.length - SHOWN_MAX} more are not shown.</p>}
    </section>
  );
}

function State({ rule }: { rule: Rule }) {
  if (rule.health === "err") return <span class="bad">fails</span>;
  if (rule.type !== "alerting") return <span>{rule.health === "ok" ? "recorded" : rule.health}</span>;
  const tone = rule.state === "firing" ? "bad" : rule.state === "pending" ? "warn" : "good";
  const count = rule.alerts?.length ?? 0;
  return (
    <span class={tone}>
      {rule.state ?? rule.health}
      {count > 0 && ` (${count})`}
    </span>
  );
}
