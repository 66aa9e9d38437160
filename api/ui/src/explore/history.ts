// Queries that were run here, the latest first.
//
// in   a query that was answered
// out  up to HISTORY_MAX of them, kept by the browser
const KEY = "silverback.history";
const HISTORY_MAX = 50;
const QUERY_MAX = 4096;

export function pastQueries(): string[] {
  try {
    const kept: unknown = JSON.parse(window.localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(kept) ? kept.filter((q): q is string => typeof q === "string") : [];
  } catch {
    return [];
  }
}

export function remember(query: string): void {
  const trimmed = query.trim();
  if (!trimmed || trimmed.length > QUERY_MAX) return;
  const kept = [trimmed, ...pastQueries().filter((q) => q !== trimmed)].slice(0, HISTORY_MAX);
  try {
    window.localStorage.setItem(KEY, JSON.stringify(kept));
  } catch {
    // No storage, no history.
  }
}
