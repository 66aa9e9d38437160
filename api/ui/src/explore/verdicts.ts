// What the server says of a query while it is typed.
//
// in   the text, a while after the last key
// out  its parse error underlined at the place it names
import { linter, type Diagnostic } from "@codemirror/lint";

import { ask } from "../api/client";
import { ApiError, offsetIn } from "../api/errors";

const DELAY_MS = 350;
const HEAD = /^invalid parameter "query": (\d+:\d+: )?(parse error: )?/;

export const verdicts = linter(async (view) => diagnosed(view.state.doc.toString()), {
  delay: DELAY_MS,
});

async function diagnosed(query: string): Promise<Diagnostic[]> {
  if (!query.trim()) return [];
  try {
    await ask("/api/v1/parse_query", { query });
    return [];
  } catch (error) {
    if (!(error instanceof ApiError) || error.kind !== "bad_data") return [];
    const offset = error.position ? offsetIn(query, error.position) : 0;
    const word = /^\s*(\w+|.)/u.exec(query.slice(offset))?.[0].length ?? 0;
    const from = word ? offset : Math.max(0, offset - 1);
    const to = Math.min(query.length, offset + word);
    const message = error.message.replace(HEAD, "");
    return [{ from: error.position ? from : 0, to: error.position ? to : query.length, severity: "error", message }];
  }
}
