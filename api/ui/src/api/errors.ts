// What the API refused, as it said it.
//
// in   an error envelope, or a failure of the network
// out  ApiError: kind, message, HTTP status, and where in the query
const POSITION = /(?:^|\s)(\d+):(\d+): parse error: /;

export interface Position {
  line: number;
  column: number;
}

export interface Refused {
  errorType?: string;
  error?: string;
  code?: string;
  requestId?: string;
}

export class ApiError extends Error {
  readonly kind: string;
  readonly status: number;
  readonly code: string;
  readonly requestId: string;
  readonly position: Position | null;

  constructor(status: number, refused: Refused) {
    super(refused.error ?? `HTTP ${status}`);
    this.name = "ApiError";
    this.status = status;
    this.kind = refused.errorType ?? "error";
    this.code = refused.code ?? "";
    this.requestId = refused.requestId ?? "";
    this.position = positionIn(this.message);
  }
}

/** `1:7: parse error: …` as line 1, column 7, both from 1; columns count bytes of UTF-8. */
export function positionIn(message: string): Position | null {
  const found = POSITION.exec(message);
  return found ? { line: Number(found[1]), column: Number(found[2]) } : null;
}

/** The offset in a JavaScript string of a position the server named. */
export function offsetIn(text: string, at: Position): number {
  const lines = text.split("\n");
  const before = lines.slice(0, at.line - 1).reduce((n, line) => n + line.length + 1, 0);
  const line = lines[at.line - 1] ?? "";
  let units = 0;
  let bytes = 0;
  for (const character of line) {
    if (bytes >= at.column - 1) break;
    bytes += new TextEncoder().encode(character).length;
    units += character.length;
  }
  return Math.min(before + units, text.length);
}

export function isAborted(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}
