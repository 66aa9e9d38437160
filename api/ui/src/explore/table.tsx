// An instant answer as a table: a row a series, a column a label.
//
// in   a vector, scalar, string, or the points of a range selector
// out  at most ROWS_MAX rows, sorted as asked
import { useMemo, useState } from "preact/hooks";

import { numberOf, type Instant, type InstantSeries } from "../api/prometheus";
import { momentText } from "../show/times";
import { SeriesName, Words } from "../show/words";

const ROWS_MAX = 1000;
const POINTS_MAX = 100; // of one series of a range selector

export function Table({ instant }: { instant: Instant }) {
  if (instant.resultType === "scalar" || instant.resultType === "string") {
    return <p class="mono">{instant.result[1]}</p>;
  }
  if (!instant.result.length) return <p class="hint">No series match, or none has a point that is new enough.</p>;
  return <Rows series={instant.result} />;
}

function Rows({ series }: { series: readonly InstantSeries[] }) {
  const [isDescending, setDescending] = useState<boolean | null>(null);
  const rows = useMemo(() => sorted(series, isDescending), [series, isDescending]);
  const order = isDescending === null ? "none" : isDescending ? "descending" : "ascending";
  return (
    <>
      <p class="hint">
        {series.length.toLocaleString("en")} series
        {series.length > ROWS_MAX && `, the first ${ROWS_MAX.toLocaleString("en")} shown`}
      </p>
      <div class="scroll" tabIndex={0} role="region" aria-label="Series and values">
        <table>
          <thead>
            <tr>
              <th scope="col">Series</th>
              <th scope="col" class="number" aria-sort={order}>
                <button type="button" class="quiet" onClick={() => setDescending(isDescending !== true)}>
                  Value {isDescending === null ? "↕" : isDescending ? "↓" : "↑"}
                </button>
              </th>
            </tr>
          </thead>
          <tbody>
            {rows.slice(0, ROWS_MAX).map((row) => (
              <tr key={JSON.stringify(row.metric)}>
                <td class="mono name">
                  <SeriesName labels={row.metric} max={400} />
                </td>
                <td class="number mono">
                  <Value row={row} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

function Value({ row }: { row: InstantSeries }) {
  if (row.value) return <>{row.value[1]}</>;
  if (row.histogram) {
    const [, histogram] = row.histogram;
    return <>{`count ${histogram.count}, sum ${histogram.sum}`}</>;
  }
  const points = row.values ?? [];
  return (
    <>
      {points.slice(-POINTS_MAX).map(([time, value]) => (
        <div key={time}>
          <Words text={value} /> <span class="hint">@ {momentText(time)}</span>
        </div>
      ))}
    </>
  );
}

function sorted(series: readonly InstantSeries[], isDescending: boolean | null): InstantSeries[] {
  if (isDescending === null) return [...series];
  const sign = isDescending ? -1 : 1;
  const of = (row: InstantSeries): number => numberOf(row.value?.[1] ?? row.histogram?.[1].count ?? "NaN");
  // NaN goes last, whichever way.
  return [...series].sort((a, b) => {
    const [x, y] = [of(a), of(b)];
    if (Number.isNaN(x) || Number.isNaN(y)) return Number(Number.isNaN(x)) - Number(Number.isNaN(y));
    return x === y ? 0 : sign * (x < y ? -1 : 1);
  });
}
