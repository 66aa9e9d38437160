// Keys that work wherever nothing is typed.
import { useEffect, useRef } from "preact/hooks";

export const SHORTCUTS: [string, string][] = [
  ["/", "go to the first query"],
  ["n", "add a query"],
  ["Enter", "run (Shift-Enter: new line)"],
  ["Ctrl-I", "complete"],
  ["← →", "on a graph: earlier, later"],
  ["+ −", "on a graph: zoom"],
  ["Tab", "from the editor: Escape, then Tab"],
];

export function useShortcuts({ onAdd }: { onAdd: () => void }): void {
  const latest = useRef(onAdd);
  latest.current = onAdd;
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event)) return;
      if (event.key === "/") {
        event.preventDefault();
        focusEditor();
      } else if (event.key === "n") {
        event.preventDefault();
        latest.current();
      }
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, []);
}

function isTyping(event: KeyboardEvent): boolean {
  const at = event.composedPath()[0];
  return at instanceof HTMLElement && (at.isContentEditable || /^(INPUT|SELECT|TEXTAREA)$/.test(at.tagName));
}

function focusEditor(): void {
  const root = document.querySelector(".editor")?.shadowRoot;
  root?.querySelector<HTMLElement>(".cm-content")?.focus();
}
