// What each label of a metric adds to its number of series.
//
// in   label sets of one metric
// out  for each label: how many values it has, how many series were left without it
import type { Labels } from "../api/prometheus";

export interface Dropped {
  label: string;
  values: number;
  left: number;
}

/** Those whose absence saves most come first. The metric's own name is not for dropping. */
export function withoutEach(series: readonly Labels[]): Dropped[] {
  const names = new Set(series.flatMap((labels) => Object.keys(labels)));
  names.delete("__name__");
  const found = [...names].map((label) => {
    const values = new Set<string>();
    const left = new Set<string>();
    for (const labels of series) {
      const value = labels[label];
      if (value !== undefined) values.add(value);
      left.add(keyOf(labels, label));
    }
    return { label, values: values.size, left: left.size };
  });
  return found.sort((a, b) => a.left - b.left || (a.label < b.label ? -1 : 1));
}

function keyOf(labels: Labels, without: string): string {
  const pairs = Object.entries(labels).filter(([name]) => name !== without);
  return JSON.stringify(pairs.sort(([a], [b]) => (a < b ? -1 : 1)));
}
