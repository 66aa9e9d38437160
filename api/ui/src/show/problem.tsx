// An error, as the API said it, beside what it is about.
//
// in   whatever was thrown; the query, if it is about one
// out  an alert: kind, message, and the place in the query
import { ApiError, isAborted, offsetIn } from "../api/errors";
import { shortened } from "./words";

const AROUND = 60;
const MESSAGE_MAX = 2000;

export function Problem({ error, query }: { error: unknown; query?: string }) {
  if (isAborted(error)) return null;
  const refused = error instanceof ApiError ? error : null;
  const message = error instanceof Error ? error.message : String(error);
  return (
    <div class="problem" role="alert">
      <span class="kind">{refused ? refused.kind : "error"}</span>{" "}
      <bdi>{shortened(message, MESSAGE_MAX)}</bdi>
      {refused?.requestId && <div class="hint">request {refused.requestId}</div>}
      {query !== undefined && refused?.position && (
        <Place query={query} offset={offsetIn(query, refused.position)} />
      )}
    </div>
  );
}

function Place({ query, offset }: { query: string; offset: number }) {
  const before = query.slice(Math.max(0, offset - AROUND), offset).replaceAll("\n", " ");
  const at = query.slice(offset, offset + 1) || " ";
  const after = query.slice(offset + 1, offset + AROUND).replaceAll("\n", " ");
  return (
    <pre aria-label="where in the query">
      {before}
      <mark>{at}</mark>
      {after}
      {"\n"}
      {" ".repeat(before.length)}
      <mark>^</mark>
    </pre>
  );
}
