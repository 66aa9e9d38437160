// What a query would cost, asked before it is.
//
// in   a query and its span
// out  null, or what is heavy about it: then people are asked first
// why  the server answers this from its index in a millisecond; the query may take seconds from all
import { ask } from "../api/client";
import { isAborted } from "../api/errors";
import type { Span } from "../chart/frame";
import { formatted } from "../show/units";

interface Bounds {
  atLeast: number;
  atMost: number | null;
}

export interface Cost {
  verdict: "fits" | "uncertain" | "refused" | "unknown";
  series?: number;
  points?: Bounds;
  cells?: Bounds;
  memoryBytes?: number;
  limits: { points?: number; cells?: number; memoryBytes?: number };
}

const HEAVY = 0.25; // of what one query may have

/** Null where it is not heavy, not known, or refused anyway: the answer says so itself. */
export async function heavinessOf(query: string, span: Span | null, signal: AbortSignal): Promise<string | null> {
  try {
    const { data } = await ask<Cost>("/api/v1/query_cost", { query, ...span }, { signal });
    return heaviness(data);
  } catch (reason) {
    if (isAborted(reason)) throw reason;
    return null;
  }
}

export function heaviness(cost: Cost): string | null {
  if (cost.verdict === "refused" || cost.verdict === "unknown") return null;
  const { points, cells, memoryBytes, limits } = cost;
  const shares = [
    share(points?.atLeast, limits.points),
    share(cells?.atLeast, limits.cells),
    share(memoryBytes, limits.memoryBytes),
  ];
  if (Math.max(...shares) < HEAVY) return null;
  const short = (value: number): string => formatted(value, "short");
  const parts = [
    points && `${short(points.atLeast)} points${cost.series ? ` of ${short(cost.series)} series` : ""}`,
    cells && `${short(cells.atLeast)} values at once`,
    memoryBytes !== undefined && `${formatted(memoryBytes, "bytes")} of memory`,
  ];
  return parts.filter(Boolean).join(", ");
}

function share(part: number | undefined, whole: number | undefined): number {
  return part === undefined || !whole ? 0 : part / whole;
}
