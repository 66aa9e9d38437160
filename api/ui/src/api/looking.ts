// What is looked at again and again, while anybody looks.
//
// in   a question, seconds between answers
// out  the last answer, and the last error until there is a newer answer
import { useCallback, useEffect, useState } from "preact/hooks";

import { isAborted } from "./errors";

export interface Look<T> {
  found: T | null;
  error: unknown;
  again: () => void;
}

/** `ask` must be the same function from one drawing to the next. */
export function useLook<T>(ask: (signal: AbortSignal) => Promise<T>, everySeconds: number): Look<T> {
  const [found, setFound] = useState<T | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [looks, setLooks] = useState(0);
  useEffect(() => {
    const control = new AbortController();
    let timer = 0;
    const look = (): void => {
      if (document.hidden) {
        timer = window.setTimeout(look, everySeconds * 1000);
        return;
      }
      ask(control.signal)
        .then(
          (answer) => {
            if (control.signal.aborted) return;
            setFound(answer);
            setError(null);
          },
          (reason: unknown) => isAborted(reason) || control.signal.aborted || setError(reason),
        )
        .finally(() => {
          if (!control.signal.aborted) timer = window.setTimeout(look, everySeconds * 1000);
        });
    };
    look();
    return () => {
      control.abort();
      clearTimeout(timer);
    };
  }, [ask, everySeconds, looks]);
  return { found, error, again: useCallback(() => setLooks((n) => n + 1), []) };
}
