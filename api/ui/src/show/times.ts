// Times and durations as addresses and people write them. All of it is UTC, as in Prometheus' page.
//
// in   1h30m, 2026-01-02 03:04:05, seconds
// out  seconds, or null for what is neither
const PARTS: Record<string, number> = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86400, w: 604800, y: 31536000 };
const STEPS_S = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 43200, 86400, 604800];

export function durationOf(text: string): number | null {
  const trimmed = text.trim();
  if (/^\d+(\.\d+)?$/.test(trimmed)) return Number(trimmed) || null;
  if (!/^(\d+(\.\d+)?(ms|[smhdwy]))+$/.test(trimmed)) return null;
  let seconds = 0;
  for (const [, count, part] of trimmed.matchAll(/([\d.]+)(ms|[smhdwy])/g)) {
    seconds += Number(count) * (PARTS[part ?? ""] ?? 0);
  }
  return seconds || null;
}

export function durationText(seconds: number): string {
  let rest = Math.round(seconds * 1000) / 1000;
  let text = "";
  for (const part of ["w", "d", "h", "m", "s"]) {
    const size = PARTS[part] ?? 1;
    const count = Math.floor(rest / size + 1e-9);
    if (count) text += `${count}${part}`;
    rest = Math.round((rest - count * size) * 1000) / 1000;
  }
  if (rest > 0) text += `${Math.round(rest * 1000)}ms`;
  return text || "0s";
}

/** `2026-01-02 03:04:05`; seconds may have a fraction. */
export function momentText(seconds: number): string {
  const iso = new Date(Math.round(seconds * 1000)).toISOString();
  return `${iso.slice(0, 10)} ${iso.slice(11, iso.endsWith(".000Z") ? 19 : 23)}`;
}

export function momentOf(text: string): number | null {
  const trimmed = text.trim();
  if (/^\d{9,11}(\.\d+)?$/.test(trimmed)) return Number(trimmed);
  const found = /^(\d{4}-\d\d-\d\d)(?:[ T](\d\d:\d\d)(:\d\d(?:\.\d+)?)?)?Z?$/.exec(trimmed);
  if (!found) return null;
  const time = Date.parse(`${found[1]}T${found[2] ?? "00:00"}${found[3] ?? ":00"}Z`);
  return Number.isNaN(time) ? null : time / 1000;
}

/** A step of a round length, so that a range has at most `steps` of them. */
export function niceStep(range: number, steps: number): number {
  const wanted = range / steps;
  return STEPS_S.find((step) => step >= wanted) ?? Math.ceil(wanted / 604800) * 604800;
}
