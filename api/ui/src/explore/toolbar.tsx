// What concerns all queries: refreshing, common range, sharing, help.
import { useState } from "preact/hooks";

import { SHORTCUTS } from "./shortcuts";

const REFRESHES: [number, string][] = [[0, "refresh: off"], [1, "every 1 s"], [5, "every 5 s"], [15, "every 15 s"], [60, "every minute"]];

export interface ToolbarProps {
  every: number;
  onEvery: (seconds: number) => void;
  isLinked: boolean;
  onLinked: (isLinked: boolean) => void;
  hasMany: boolean;
  onAdd: () => void;
}

export function Toolbar({ every, onEvery, isLinked, onLinked, hasMany, onAdd }: ToolbarProps) {
  const [said, setSaid] = useState("Copy link");
  const share = (): void => {
    navigator.clipboard.writeText(window.location.href).then(
      () => setSaid("Copied"),
      () => setSaid("Copy it from the address bar"),
    );
    setTimeout(() => setSaid("Copy link"), 2000);
  };
  return (
    <>
      <button type="button" onClick={onAdd}>
        Add query
      </button>
      <select aria-label="Refresh" value={every} onChange={(e) => onEvery(Number(e.currentTarget.value))}>
        {REFRESHES.map(([seconds, name]) => (
          <option key={seconds} value={seconds}>
            {name}
          </option>
        ))}
      </select>
      {hasMany && (
        <label class="check">
          <input type="checkbox" checked={isLinked} onChange={(e) => onLinked(e.currentTarget.checked)} />
          One range for all
        </label>
      )}
      <button type="button" onClick={share}>
        {said}
      </button>
      <details class="history">
        <summary>Keys</summary>
        <dl class="history-list keys">
          {SHORTCUTS.map(([key, does]) => (
            <div key={key}>
              <dt>
                <kbd>{key}</kbd>
              </dt>
              <dd>{does}</dd>
            </div>
          ))}
        </dl>
      </details>
    </>
  );
}
