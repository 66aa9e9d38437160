// Queries under way.
//
// in   what the server tells of them
// out  a table; a query is stopped after a second click
import { useState } from "preact/hooks";

import { ask } from "../api/client";
import { Problem } from "../show/problem";
import { formatted } from "../show/units";
import { Words } from "../show/words";

export interface Query {
  id: string;
  query: string;
  seconds: number;
  client?: string;
  account?: string;
}

const SHOWN_MAX = 100;

export function Running({ queries, onStopped }: { queries: readonly Query[]; onStopped: () => void }) {
  const [asked, setAsked] = useState("");
  const [error, setError] = useState<unknown>(null);
  const stop = (id: string): void => {
    if (asked !== id) {
      setAsked(id);
      return;
    }
    ask(`/api/v1/status/active_queries/${encodeURIComponent(id)}`, {}, { method: "DELETE" }).then(onStopped, setError);
  };
  return (
    <section aria-label="Running queries">
      <h2>Running queries</h2>
      {error !== null && <Problem error={error} />}
      {queries.length === 0 ? (
        <p class="hint">None at the moment.</p>
      ) : (
        <div class="scroll" tabIndex={0} role="region" aria-label="Queries under way">
          <table>
            <thead>
              <tr>
                <th scope="col">Query</th>
                <th scope="col">Who</th>
                <th scope="col" class="number">
                  For
                </th>
                <th scope="col">Stop</th>
              </tr>
            </thead>
            <tbody>
              {queries.slice(0, SHOWN_MAX).map((query) => (
                <tr key={query.id}>
                  <td class="mono">
                    <Words text={query.query} max={300} />
                  </td>
                  <td>
                    <Words text={query.account || query.client || ""} />
                  </td>
                  <td class="number">{formatted(query.seconds, "seconds")}</td>
                  <td>
                    <button type="button" onClick={() => stop(query.id)}>
                      {asked === query.id ? "Really stop it?" : "Stop"}
                    </button>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {queries.length > SHOWN_MAX && <p class="hint">{queries.length - SHOWN_MAX} more are not shown.</p>}
    </section>
  );
}
