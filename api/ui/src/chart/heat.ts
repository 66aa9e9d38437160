// Histograms as rows of counts: bucket by bucket, step by step.
//
// in   series with `le` (cumulative, as rate() of _bucket gives) or native histograms
// out  Heat: upper bounds from low to high, counts between bounds
import { numberOf, type RangeSeries } from "../api/prometheus";
import { frameOf, timesOf, type Span } from "./frame";

export interface Heat {
  times: number[];
  bounds: string[]; // upper ones
  counts: Float64Array[]; // a row for each bound, a cell for each time
  most: number;
}

export function isHistogram(result: readonly RangeSeries[]): boolean {
  return result.some(({ metric, histograms }) => histograms?.length || metric["le"] !== undefined);
}

export function heatOf(result: readonly RangeSeries[], span: Span): Heat {
  const native = result.some((series) => series.histograms?.length);
  const heat = native ? nativeHeat(result, span) : classicHeat(result, span);
  let most = 0;
  for (const row of heat.counts) for (const count of row) if (count > most) most = count;
  return { ...heat, most };
}

type Rows = Omit<Heat, "most">;

function classicHeat(result: readonly RangeSeries[], span: Span): Rows {
  const frame = frameOf(result, span);
  const rows = new Map<string, Float64Array>();
  for (const { labels, values } of frame.lines) {
    const bound = labels["le"];
    if (bound === undefined) continue;
    const row = rows.get(bound) ?? new Float64Array(frame.times.length);
    values.forEach((value, t) => (row[t] = (row[t] ?? 0) + (value ?? 0)));
    rows.set(bound, row);
  }
  const bounds = [...rows.keys()].sort((a, b) => numberOf(a) - numberOf(b));
  const sums = bounds.map((bound) => rows.get(bound) ?? new Float64Array());
  const counts = sums.map((row, i) => row.map((sum, t) => Math.max(0, sum - (sums[i - 1]?.[t] ?? 0))));
  return { times: frame.times, bounds, counts };
}

function nativeHeat(result: readonly RangeSeries[], span: Span): Rows {
  const times = timesOf(span);
  const rows = new Map<string, Float64Array>();
  for (const { histograms = [] } of result) {
    for (const [time, { buckets = [] }] of histograms) {
      const at = Math.round((time - span.start) / span.step);
      for (const [, , upper, count] of buckets) {
        const row = rows.get(upper) ?? new Float64Array(times.length);
        row[at] = (row[at] ?? 0) + numberOf(count);
        rows.set(upper, row);
      }
    }
  }
  const bounds = [...rows.keys()].sort((a, b) => numberOf(a) - numberOf(b));
  return { times, bounds, counts: bounds.map((b) => rows.get(b) ?? new Float64Array()) };
}
