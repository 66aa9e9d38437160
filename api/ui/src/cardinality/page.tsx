// Where series come from: metrics, labels, values; and what a label costs.
//
// in   /cardinality?metric=NAME; /api/v1/status/tsdb, and the series of the metric that is chosen
// out  tables with bars; which label to drop
import { useCallback } from "preact/hooks";

import { ask } from "../api/client";
import { useLook } from "../api/looking";
import "../show/facts.css";
import { Facts } from "../show/facts";
import { Problem } from "../show/problem";
import { Meter } from "../show/spark";
import { Words } from "../show/words";
import type { PageProps } from "../shell/pages";
import { Metric } from "./metric";

const EVERY_S = 30;
const ROWS = 50;

interface Count {
  name: string;
  value: number;
}

interface Head {
  headStats: { numSeries: number; numLabelPairs: number };
  seriesCountByMetricName: Count[];
  labelValueCountByLabelName: Count[];
  seriesCountByLabelValuePair: Count[];
}

export default function Cardinality({ search }: PageProps) {
  const look = useCallback(
    async (signal: AbortSignal) => (await ask<Head>("/api/v1/status/tsdb", { limit: ROWS }, { signal })).data,
    [],
  );
  const { found, error } = useLook(look, EVERY_S);
  const metric = new URLSearchParams(search).get("metric");
  const series = found?.headStats.numSeries ?? 0;
  return (
    <>
      <h1>Cardinality</h1>
      {error !== null && <Problem error={error} />}
      {found === null && error === null && <p class="hint">Loading…</p>}
      {metric && <Metric name={metric} key={metric} />}
      {found && (
        <>
          <section class="card" aria-label="In all">
            <Facts
              facts={[
                ["Series", series.toLocaleString("en")],
                ["Pairs of label and value", found.headStats.numLabelPairs.toLocaleString("en")],
              ]}
            />
          </section>
          <div class="cards wide">
            <Counts title="Metrics with most series" counts={found.seriesCountByMetricName} whole={series} isMetric />
            <Counts title="Labels with most values" counts={found.labelValueCountByLabelName} />
            <Counts title="Pairs with most series" counts={found.seriesCountByLabelValuePair} whole={series} />
          </div>
        </>
      )}
    </>
  );
}

interface CountsProps {
  title: string;
  counts: readonly Count[];
  whole?: number;
  isMetric?: boolean;
}

function Counts({ title, counts, whole, isMetric }: CountsProps) {
  const top = whole ?? Math.max(1, ...counts.map((count) => count.value));
  return (
    <section class="card" aria-label={title}>
      <h2>{title}</h2>
      {counts.length === 0 && <p class="hint">There is nothing yet: write a point, and look again.</p>}
      <table class="counts">
        <tbody>
          {counts.map(({ name, value }) => (
            <tr key={name}>
              <td class="mono">
                {isMetric ? (
                  <a href={`/cardinality?metric=${encodeURIComponent(name)}`}>
                    <Words text={name} max={80} />
                  </a>
                ) : (
                  <Words text={name} max={80} />
                )}
              </td>
              <td class="number">{value.toLocaleString("en")}</td>
              <td>
                <Meter share={value / Math.max(1, top)} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {counts.length >= ROWS && <p class="hint">The first {ROWS}.</p>}
    </section>
  );
}
