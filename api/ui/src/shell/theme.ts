// Light, dark, or what the system says.
//
// in   a choice kept in localStorage
// out  data-theme on <html>; an event "themechange" for those who draw on a canvas
export type Theme = "system" | "light" | "dark";

const KEY = "silverback.theme";
const NEXT: Record<Theme, Theme> = { system: "light", light: "dark", dark: "system" };
export const THEME_EVENT = "themechange";

export function chosenTheme(): Theme {
  const kept = stored();
  return kept === "light" || kept === "dark" ? kept : "system";
}

export function applyTheme(theme: Theme = chosenTheme()): void {
  if (theme === "system") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = theme;
  document.dispatchEvent(new Event(THEME_EVENT));
}

export function nextTheme(): Theme {
  const theme = NEXT[chosenTheme()];
  try {
    window.localStorage.setItem(KEY, theme);
  } catch {
    // Storage may be forbidden; the choice then lasts as long as the page.
  }
  applyTheme(theme);
  return theme;
}

function stored(): string | null {
  try {
    return window.localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

window
  .matchMedia("(prefers-color-scheme: dark)")
  .addEventListener("change", () => document.dispatchEvent(new Event(THEME_EVENT)));
