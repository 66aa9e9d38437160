// How a panel is shown: range, end, step, style, unit.
//
// in   a panel
// out  changes to it
import { useEffect, useState } from "preact/hooks";

import { durationOf, durationText, momentOf, momentText } from "../show/times";
import { UNITS, type Unit } from "../show/units";
import { STYLES, type Panel, type PanelStyle } from "./address";

const RANGES_S = [60, 300, 900, 1800, 3600, 7200, 21600, 43200, 86400, 172800, 604800, 1209600, 2419200, 4838400, 15724800, 31536000];
const STYLE_NAMES: Record<PanelStyle, string> = { lines: "Lines", stacked: "Stacked", bars: "Bars", heatmap: "Heatmap" };

export interface ControlsProps {
  panel: Panel;
  isHistogram: boolean;
  onChange: (change: Partial<Panel>) => void;
}

export function Controls({ panel, isHistogram, onChange }: ControlsProps) {
  const { range, end, step, style, unit, hasExemplars } = panel;
  const stepBy = (by: 1 | -1): void => onChange({ range: nextRange(range, by) });
  const shift = (by: number): void => onChange({ end: (end ?? Date.now() / 1000) + by * range });
  return (
    <div class="row controls">
      <span class="joined">
        <button type="button" aria-label="Shorter range" onClick={() => stepBy(-1)}>
          −
        </button>
        <Field label="Range" width="5rem" text={durationText(range)} read={durationOf} onValue={(v) => v && onChange({ range: v })} />
        <button type="button" aria-label="Longer range" onClick={() => stepBy(1)}>
          +
        </button>
      </span>
      <span class="joined">
        <button type="button" aria-label="Earlier" onClick={() => shift(-0.5)}>
          ‹
        </button>
        <Field
          label="End, UTC"
          width="12rem"
          placeholder="now"
          text={end === null ? "" : momentText(end)}
          read={momentOf}
          onValue={(v) => onChange({ end: v })}
        />
        <button type="button" aria-label="Later" onClick={() => shift(0.5)}>
          ›
        </button>
        <button type="button" disabled={end === null} onClick={() => onChange({ end: null })}>
          Now
        </button>
      </span>
      <Field label="Step" width="6rem" placeholder="step: auto" text={step === null ? "" : durationText(step)} read={durationOf} onValue={(v) => onChange({ step: v })} />
      <span class="joined" role="group" aria-label="Style">
        {STYLES.filter((s) => s !== "heatmap" || isHistogram || style === s).map((s) => (
          <button key={s} type="button" aria-pressed={s === style} onClick={() => onChange({ style: s })}>
            {STYLE_NAMES[s]}
          </button>
        ))}
      </span>
      <select aria-label="Unit" value={unit} onChange={(e) => onChange({ unit: e.currentTarget.value as Unit })}>
        {Object.entries(UNITS).map(([value, name]) => (
          <option key={value} value={value}>
            {name}
          </option>
        ))}
      </select>
      <label class="check">
        <input type="checkbox" checked={hasExemplars} onChange={(e) => onChange({ hasExemplars: e.currentTarget.checked })} />
        Exemplars
      </label>
    </div>
  );
}

interface FieldProps {
  label: string;
  text: string;
  width: string;
  placeholder?: string;
  read: (text: string) => number | null;
  onValue: (value: number | null) => void;
}

/** A value as text; what cannot be read is marked and changes nothing. */
function Field({ label, text, width, placeholder, read, onValue }: FieldProps) {
  const [typed, setTyped] = useState(text);
  useEffect(() => setTyped(text), [text]);
  const isWrong = typed.trim() !== "" && read(typed) === null;
  const commit = (): void => {
    if (!isWrong && typed !== text) onValue(typed.trim() ? read(typed) : null);
  };
  return (
    <input
      type="text"
      aria-label={label}
      title={label}
      aria-invalid={isWrong}
      style={{ width }}
      placeholder={placeholder}
      value={typed}
      onInput={(event) => setTyped(event.currentTarget.value)}
      onBlur={commit}
      onKeyDown={(event) => event.key === "Enter" && commit()}
    />
  );
}

export function nextRange(range: number, by: 1 | -1): number {
  const found = by > 0 ? RANGES_S.find((r) => r > range) : RANGES_S.findLast((r) => r < range);
  return found ?? range;
}
