// One metric: which label makes its series many.
//
// in   its name; its series, at most SERIES_MAX of them
// out  for each label what would be left without it, and how to leave it out
import { useCallback } from "preact/hooks";

import { ask } from "../api/client";
import { useLook } from "../api/looking";
import type { Labels } from "../api/prometheus";
import { Problem } from "../show/problem";
import { Meter } from "../show/spark";
import { Words } from "../show/words";
import { withoutEach, type Dropped } from "./dropping";

const SERIES_MAX = 20_000;
const EVERY_S = 300;

interface Seen {
  series: number;
  isCut: boolean;
  dropped: Dropped[];
}

export function Metric({ name }: { name: string }) {
  const selector = `{__name__=${JSON.stringify(name)}}`;
  const look = useCallback(
    async (signal: AbortSignal): Promise<Seen> => {
      const asked = { "match[]": selector, limit: SERIES_MAX };
      const { data } = await ask<Labels[]>("/api/v1/series", asked, { signal });
      return { series: data.length, isCut: data.length >= SERIES_MAX, dropped: withoutEach(data) };
    },
    [selector],
  );
  const { found, error } = useLook(look, EVERY_S);
  return (
    <section class="card" aria-label={`Labels of ${name}`}>
      <h2>
        <Words text={name} />: which label would you drop?
      </h2>
      <p class="hint">
        <a href={`/graph?g0.expr=${encodeURIComponent(selector)}`}>Look at it in Explore</a> ·{" "}
        <a href="/cardinality">Close</a>
      </p>
      {error !== null && <Problem error={error} />}
      {found === null && error === null && <p class="hint">Loading…</p>}
      {found && <Drops {...found} />}
    </section>
  );
}

function Drops({ series, isCut, dropped }: Seen) {
  if (!series) return <p class="hint">No series has this name.</p>;
  if (!dropped.length) return <p class="hint">Its only series has no labels.</p>;
  return (
    <>
      <p class="hint">
        {series.toLocaleString("en")} series{isCut && ", the first of more: what follows is about these"}.
      </p>
      <div class="scroll" tabIndex={0} role="region" aria-label="Labels and what they cost">
        <table>
          <thead>
            <tr>
              <th scope="col">Without</th>
              <th scope="col" class="number">
                Its values
              </th>
              <th scope="col" class="number">
                Series left
              </th>
              <th scope="col">Saved</th>
              <th scope="col">To leave it out</th>
            </tr>
          </thead>
          <tbody>
            {dropped.map(({ label, values, left }) => (
              <tr key={label}>
                <td class="mono">
                  <Words text={label} max={80} />
                </td>
                <td class="number">{values.toLocaleString("en")}</td>
                <td class="number">{left.toLocaleString("en")}</td>
                <td>
                  <Meter share={1 - left / series} /> {Math.round((1 - left / series) * 100)} %
                </td>
                <td class="mono">
                  <Words text={`sum without (${nameText(label)}) (…)`} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

/** As PromQL takes it: names that are no word in quotes. */
function nameText(label: string): string {
  return /^[a-zA-Z_]\w*$/.test(label) ? label : JSON.stringify(label);
}
