// Paths as the truth of what is shown.
//
// in   the browser's location
// out  navigate, replace, useLocation; a click on <a href="/…"> stays in the page
// why  forty lines do; the server answers every page path with the same document
import { useEffect, useState } from "preact/hooks";

export interface Place {
  path: string;
  search: string;
}

type Listener = () => void;
const listeners = new Set<Listener>();

function tell(): void {
  for (const listener of [...listeners]) listener();
}

export function place(): Place {
  return { path: window.location.pathname, search: window.location.search };
}

/** Go there, with an entry in the browser's history. */
export function navigate(to: string): void {
  if (to !== window.location.pathname + window.location.search) {
    window.history.pushState(null, "", to);
  }
  tell();
}

export function useLocation(): Place {
  const [now, setNow] = useState(place);
  useEffect(() => {
    const update = (): void => setNow(place());
    listeners.add(update);
    window.addEventListener("popstate", update);
    return () => {
      listeners.delete(update);
      window.removeEventListener("popstate", update);
    };
  }, []);
  return now;
}

/** For one listener on the document: plain clicks on our own links do not load the page again. */
export function followLinks(isOurs: (path: string) => boolean): () => void {
  const onClick = (event: MouseEvent): void => {
    if (event.defaultPrevented || event.button !== 0) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = event.composedPath().find((node) => node instanceof HTMLAnchorElement);
    if (!link || link.target || link.hasAttribute("download")) return;
    const url = new URL(link.href);
    if (url.origin !== window.location.origin || !isOurs(url.pathname)) return;
    event.preventDefault();
    navigate(url.pathname + url.search);
  };
  document.addEventListener("click", onClick);
  return () => document.removeEventListener("click", onClick);
}
