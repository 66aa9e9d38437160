// One way to ask the API.
//
// in   a path and parameters
// out  the envelope's data with its warnings, or ApiError as the server said it
// why  long queries go as a form: a query string has a limit, and shows in logs
import { ApiError, type Refused } from "./errors";

export type Value = string | number | boolean | null | undefined;
export type Parameters = Record<string, Value | readonly string[]>;

export interface Asked {
  signal?: AbortSignal | undefined;
  method?: "GET" | "POST" | "PUT" | "DELETE";
}

export interface Answered<T> {
  data: T;
  warnings: string[];
  infos: string[];
  text: string; // the body, as it came
}

interface Envelope<T> extends Refused {
  status: string;
  data?: T;
  warnings?: string[];
  infos?: string[];
}

const QUERY_STRING_MAX = 2000;

/** `data` is the envelope's, or the whole body where there is no such field. */
export async function ask<T>(
  path: string,
  parameters: Parameters = {},
  { signal, method }: Asked = {},
): Promise<Answered<T>> {
  const form = formOf(parameters);
  const query = form.toString();
  const isLong = method === undefined && query.length > QUERY_STRING_MAX;
  const response = await sent(isLong || !query ? path : `${path}?${query}`, {
    method: method ?? (isLong ? "POST" : "GET"),
    signal: signal ?? null,
    headers: { Accept: "application/json" },
    ...(isLong ? { body: form } : {}),
  });
  const text = await response.text();
  const envelope = parsed<T>(text, response.status);
  if (!response.ok || envelope.status === "error") throw new ApiError(response.status, envelope);
  return {
    data: envelope.data ?? (envelope as unknown as T),
    warnings: envelope.warnings ?? [],
    infos: envelope.infos ?? [],
    text,
  };
}

/** Send JSON and read JSON: for what is changed rather than asked. */
export async function send<T>(
  path: string,
  body: unknown,
  { signal, method }: Asked = {},
): Promise<T> {
  const response = await sent(path, {
    method: method ?? "POST",
    signal: signal ?? null,
    headers: { Accept: "application/json", "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  const text = await response.text();
  if (response.ok && !text) return undefined as T;
  const envelope = parsed<T>(text, response.status);
  if (!response.ok || envelope.status === "error") throw new ApiError(response.status, envelope);
  return envelope.data ?? (envelope as unknown as T);
}

export function formOf(parameters: Parameters): URLSearchParams {
  const form = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (Array.isArray(value)) for (const one of value) form.append(name, one);
    else if (value !== undefined && value !== null && value !== "") form.append(name, String(value));
  }
  return form;
}

async function sent(path: string, request: RequestInit): Promise<Response> {
  try {
    return await fetch(path, { credentials: "same-origin", ...request });
  } catch (error) {
    if (error instanceof DOMException) throw error;
    throw new ApiError(0, {
      errorType: "unreachable",
      error: `the server does not answer (${String((error as Error).message)})`,
    });
  }
}

function parsed<T>(text: string, status: number): Envelope<T> {
  try {
    return JSON.parse(text) as Envelope<T>;
  } catch {
    throw new ApiError(status, { error: text.slice(0, 500) || `HTTP ${status}, no body` });
  }
}
