// Numbers as people read them.
//
// in   a value, a unit
// out  1.5k, 12.3 MiB, 4.5 ms, 12.5 %
export type Unit = "auto" | "none" | "short" | "bytes" | "seconds" | "percent";

export const UNITS: Record<Unit, string> = {
  auto: "unit: auto",
  none: "as it is",
  short: "1.5k",
  bytes: "bytes",
  seconds: "seconds",
  percent: "ratio as %",
};

type Formatted = Exclude<Unit, "auto">;

const SI: [number, string][] = [[1e15, "P"], [1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"], [0, ""]]; // 18m would read as a length of time
const IEC: [number, string][] = [[2 ** 50, "PiB"], [2 ** 40, "TiB"], [2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"], [1, "B"]];
const TIME: [number, string][] = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"], [1e-3, "ms"], [1e-6, "µs"], [1e-9, "ns"]];

export function formatted(value: number | null | undefined, unit: Formatted): string {
  if (value === null || value === undefined) return "–";
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf";
  if (unit === "percent") return `${digits(value * 100)} %`;
  if (unit === "bytes") return scaled(value, IEC, " ");
  if (unit === "seconds") return scaled(value, TIME, " ");
  return unit === "short" ? scaled(value, SI, "") : String(value);
}

/** The unit that names in an expression suggest. */
export function guessed(expression: string): Formatted {
  const isRate = /\b(i?rate|deriv|idelta)\s*\(/.test(expression);
  if (/\b(count|count_over_time|changes|resets)\b\s*(by|without|\()/.test(expression)) return "short";
  if (/_bytes(_total|_sum)?\b/.test(expression) && !/[^/]\/[^/]/.test(expression)) return "bytes";
  if (/_ratio\b/.test(expression)) return "percent";
  const isSeconds = /_seconds(_bucket|_sum)?\b/.test(expression) && !/\/|_count\b/.test(expression);
  return isSeconds && (!isRate || /histogram_quantile/.test(expression)) ? "seconds" : "short";
}

export function unitOf(unit: Unit, expression: string): Formatted {
  return unit === "auto" ? guessed(expression) : unit;
}

function scaled(value: number, table: [number, string][], space: string): string {
  if (value === 0) return "0";
  const size = Math.abs(value);
  const [factor, name] = table.find(([f]) => size >= f * 0.9999999) ?? table.at(-1) ?? [1, ""];
  return name ? `${digits(value / factor)}${space}${name}` : digits(value);
}

function digits(value: number): string {
  const size = Math.abs(value);
  const fixed = size >= 1000 ? value.toFixed(0) : value.toPrecision(4);
  return fixed.includes(".") ? fixed.replace(/\.?0+(?=e|$)/, "") : fixed;
}
