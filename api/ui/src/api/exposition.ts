// Figures as /metrics has them.
//
// in   Prometheus' text
// out  a value by name; those with labels are summed
export type Figures = ReadonlyMap<string, number>;

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{.*\})? (\S+)/;

export function figuresOf(text: string): Figures {
  const found = new Map<string, number>();
  for (const line of text.split("\n")) {
    if (!line || line.startsWith("#")) continue;
    const [, name, value] = LINE.exec(line) ?? [];
    if (name === undefined || value === undefined) continue;
    found.set(name, (found.get(name) ?? 0) + Number(value.replace("Inf", "Infinity")));
  }
  return found;
}

export async function figures(signal: AbortSignal): Promise<Figures> {
  const response = await fetch("/metrics", { credentials: "same-origin", signal });
  if (!response.ok) throw new Error(`/metrics answers ${response.status}`);
  return figuresOf(await response.text());
}

/** What counters grew by, a second; null before there are two, or where the server began anew. */
export function rate(name: string, now: Figures, before: Figures | null, seconds: number): number | null {
  const [last, first] = [now.get(name), before?.get(name)];
  if (last === undefined || first === undefined || last < first || seconds <= 0) return null;
  return (last - first) / seconds;
}
