// Text that others wrote, shown as text.
//
// in   names and values of labels: any bytes of UTF-8, up to many KiB
// out  isolated elements: U+202E turns nothing but itself, long ones end in … with a title
import type { Labels } from "../api/prometheus";

export const SHOWN_MAX = 120;
const TITLE_MAX = 4096;

// What changes the direction of text or cannot be seen: shown as its number.
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/gu;

/** As one line, every character visible. */
export function visible(text: string): string {
  return text.replace(UNSEEN, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

export function shortened(text: string, max = SHOWN_MAX): string {
  const shown = visible(text.length > max * 2 ? text.slice(0, max * 2) : text);
  return shown.length > max ? `${shown.slice(0, max - 1)}…` : shown;
}

export function Words({ text, max = SHOWN_MAX }: { text: string; max?: number }) {
  const shown = shortened(text, max);
  const title = shown.endsWith("…") ? visible(text.slice(0, TITLE_MAX)) : undefined;
  return (
    <bdi dir="ltr" title={title}>
      {shown}
    </bdi>
  );
}

/** `cpu{host="a"}`; without the labels named in `without`. */
export function seriesText(labels: Labels, without: ReadonlySet<string> = new Set()): string {
  const pairs = Object.entries(labels)
    .filter(([name]) => name !== "__name__" && !without.has(name))
    .map(([name, value]) => `${name}=${JSON.stringify(value)}`);
  const name = without.has("__name__") ? "" : (labels["__name__"] ?? "");
  return pairs.length || !name ? `${name}{${pairs.join(", ")}}` : name;
}

export function SeriesName({ labels, max = 240 }: { labels: Labels; max?: number }) {
  return <Words text={seriesText(labels)} max={max} />;
}
