// Colours of the theme, for a canvas.
//
// in   variables of shell/theme.css
// out  colours that a canvas takes: light-dark() is worked out by the browser
const SERIES = 10;

export interface Palette {
  text: string;
  quiet: string;
  grid: string;
  surface: string;
  heat: [string, string];
  series: string[];
}

export function palette(): Palette {
  const probe = document.createElement("i");
  probe.hidden = true;
  document.body.append(probe);
  const colour = (name: string): string => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const found: Palette = {
    text: colour("text"),
    quiet: colour("quiet"),
    grid: colour("grid"),
    surface: colour("surface"),
    heat: [colour("heat-low"), colour("heat-high")],
    series: Array.from({ length: SERIES }, (_, i) => colour(`series-${i}`)),
  };
  probe.remove();
  return found;
}

/** The name of a line's colour, for what is no canvas. */
export function colourVariable(index: number): string {
  return `var(--series-${index % SERIES})`;
}

export function translucent(colour: string, alpha: number): string {
  const parts = colour.match(/[\d.]+/g) ?? ["0", "0", "0"];
  return `rgba(${parts.slice(0, 3).join(",")},${alpha})`;
}

/** Between two colours, `share` from 0 to 1. */
export function between([low, high]: [string, string], share: number): string {
  const [a, b] = [low, high].map((c) => (c.match(/[\d.]+/g) ?? []).map(Number));
  const mixed = [0, 1, 2].map((i) => {
    const from = a?.[i] ?? 0;
    return Math.round(from + ((b?.[i] ?? 0) - from) * share);
  });
  return `rgb(${mixed.join(",")})`;
}
