// What the lines are: names, latest values; hiding and finding them.
//
// in   a frame, which lines are hidden
// out  one entry a line, up to SHOWN_LINES_MAX of those that the filter leaves
import { useMemo, useState } from "preact/hooks";

import { formatted, type Unit } from "../show/units";
import { seriesText, Words } from "../show/words";
import "./chart.css";
import { commonLabels, type Frame, type Line } from "./frame";
import { colourVariable } from "./palette";

export const SHOWN_LINES_MAX = 500;

export interface LegendProps {
  frame: Frame;
  unit: Exclude<Unit, "auto">;
  hidden: ReadonlySet<string>;
  onHide: (hidden: ReadonlySet<string>) => void;
}

export function Legend({ frame, unit, hidden, onHide }: LegendProps) {
  const [filter, setFilter] = useState("");
  const { lines } = frame;
  const common = useMemo(() => commonLabels(lines), [lines]);
  const names = useMemo(() => namesOf(lines, common), [lines, common]);
  const found = filtered(names, filter);
  const shown = found.slice(0, SHOWN_LINES_MAX);

  const onFilter = (text: string): void => {
    setFilter(text);
    const kept = new Set(filtered(names, text));
    onHide(new Set(lines.filter((_, i) => !kept.has(i)).map((line) => line.key)));
  };
  return (
    <div class="legend">
      {lines.length > 1 && (
        <div class="legend-head">
          <input
            type="search"
            aria-label="Filter the series"
            placeholder={`filter ${lines.length.toLocaleString("en")} series`}
            value={filter}
            onInput={(event) => onFilter(event.currentTarget.value)}
          />
          {hidden.size > 0 && (
            <button type="button" onClick={() => onFilter("")}>
              Show all
            </button>
          )}
          {Object.keys(common).length > 0 && (
            <span class="hint">
              all: <Words text={seriesText(common)} max={160} />
            </span>
          )}
          {found.length > shown.length && (
            <span class="hint">
              {shown.length} of {found.length.toLocaleString("en")} listed
            </span>
          )}
        </div>
      )}
      <ul>
        {shown.map((i) => (
          <Entry
            key={lines[i]?.key}
            line={lines[i] as Line}
            name={names[i] ?? ""}
            colour={colourVariable(i)}
            unit={unit}
            isHidden={hidden.has(lines[i]?.key ?? "")}
            onClick={(isOne) => onHide(toggled(lines, hidden, i, isOne))}
          />
        ))}
      </ul>
    </div>
  );
}

interface EntryProps {
  line: Line;
  name: string;
  colour: string;
  unit: Exclude<Unit, "auto">;
  isHidden: boolean;
  onClick: (isOne: boolean) => void;
}

function Entry({ line, name, colour, unit, isHidden, onClick }: EntryProps) {
  return (
    <li>
      <button
        type="button"
        aria-pressed={!isHidden}
        title="Click: only this one. Ctrl-click: hide or show it."
        onClick={(event) => onClick(event.ctrlKey || event.metaKey)}
      >
        <span class="swatch" style={{ background: isHidden ? "var(--line)" : colour }} />
        <span class="legend-name">
          <Words text={name} max={200} />
        </span>
        <span class="legend-value">{formatted(line.values.findLast((v) => v !== null), unit)}</span>
      </button>
    </li>
  );
}

/** The hidden lines after a click on line `i`: itself toggled, or all but it. */
export function toggled(
  lines: readonly Line[],
  hidden: ReadonlySet<string>,
  i: number,
  isOne: boolean,
): ReadonlySet<string> {
  const key = lines[i]?.key ?? "";
  if (isOne) {
    const next = new Set(hidden);
    if (!next.delete(key)) next.add(key);
    return next;
  }
  const isAlone = !hidden.has(key) && hidden.size === lines.length - 1;
  return isAlone ? new Set() : new Set(lines.map((line) => line.key).filter((k) => k !== key));
}

function namesOf(lines: readonly Line[], common: Record<string, string>): string[] {
  const said = new Set(Object.keys(common));
  return lines.map((line) => seriesText(line.labels, said));
}

/** Which names contain every word of `text`, whatever its case. */
export function filtered(names: readonly string[], text: string): number[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  return names.flatMap((name, i) =>
    words.every((word) => name.toLowerCase().includes(word)) ? [i] : [],
  );
}
