// "What moved with this?": the correlation search over the range that is shown.
//
// in   a panel's lines and range
// out  series with their correlation as a bar; one click makes a panel of one
import { useEffect, useRef, useState } from "preact/hooks";

import type { Line } from "../chart/frame";
import { Problem } from "../show/problem";
import { momentText } from "../show/times";
import { SeriesName, seriesText, shortened } from "../show/words";
import { correlate, EVERYTHING, oneOf, type Correlation } from "./moved";

const CHOICES_MAX = 200;

export interface MovedWithProps {
  expression: string;
  lines: readonly Line[];
  start: number;
  end: number;
  onPlot: (expression: string) => void;
  onClose: () => void;
}

export function MovedWith({ expression, lines, start, end, onPlot, onClose }: MovedWithProps) {
  const [key, setKey] = useState(lines[0]?.key ?? "");
  const [among, setAmong] = useState(EVERYTHING);
  const [found, setFound] = useState<Correlation | null>(null);
  const [error, setError] = useState<unknown>(null);
  const under = useRef<AbortController | null>(null);
  const line = lines.find((l) => l.key === key) ?? lines[0];

  const search = (): void => {
    if (!line) return;
    under.current?.abort();
    const control = (under.current = new AbortController());
    setError(null);
    setFound(null);
    correlate(oneOf(expression, line.labels), among, start, end, control.signal).then(
      ({ data }) => !control.signal.aborted && setFound(data),
      (reason: unknown) => !control.signal.aborted && setError(reason),
    );
  };
  useEffect(() => {
    search();
    return () => under.current?.abort();
  }, [line?.key, expression, start, end]);
  return (
    <section class="moved" aria-label="What moved with this?">
      <div class="row">
        <b>What moved with</b>
        <select aria-label="Series" value={line?.key} onChange={(e) => setKey(e.currentTarget.value)}>
          {lines.slice(0, CHOICES_MAX).map((l) => (
            <option key={l.key} value={l.key}>
              {shortened(seriesText(l.labels), 90)}
            </option>
          ))}
        </select>
        <label>
          among{" "}
          <input
            class="mono"
            value={among}
            onInput={(e) => setAmong(e.currentTarget.value)}
            onKeyDown={(e) => e.key === "Enter" && search()}
          />
        </label>
        <button type="button" onClick={search}>
          Search
        </button>
        <button type="button" class="quiet" onClick={onClose}>
          Close
        </button>
      </div>
      <p class="hint">
        from {momentText(start)} to {momentText(end)} UTC
        {found && ` · ${found.series.toLocaleString("en")} series compared, ${found.skipped.toLocaleString("en")} constant or too short`}
      </p>
      {error !== null && <Problem error={error} />}
      {!found && error === null && <p class="hint" role="status">Searching…</p>}
      {found && <Results found={found} onPlot={onPlot} />}
    </section>
  );
}

function Results({ found, onPlot }: { found: Correlation; onPlot: (expression: string) => void }) {
  if (!found.result.length) return <p class="hint">Nothing else moved.</p>;
  return (
    <table>
      <thead>
        <tr>
          <th scope="col">Correlation</th>
          <th scope="col">Series</th>
          <th scope="col">Steps</th>
          <th scope="col">
            <span class="unseen">Plot</span>
          </th>
        </tr>
      </thead>
      <tbody>
        {found.result.map(({ metric, correlation, overlap }) => (
          <tr key={JSON.stringify(metric)}>
            <td class="number">
              <span class="correlation" title="from -1 to 1">
                <span
                  class={correlation < 0 ? "falls" : "rises"}
                  style={{ width: `${Math.abs(correlation) * 100}%` }}
                />
              </span>
              {correlation.toFixed(3)}
            </td>
            <td class="mono name">
              <SeriesName labels={metric} />
            </td>
            <td class="number">{overlap}</td>
            <td>
              <button type="button" onClick={() => onPlot(seriesText(metric))}>
                Plot
              </button>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
