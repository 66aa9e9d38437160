// The answer as it came.
//
// in   the body's text
// out  its first SHOWN_MAX characters, a button that copies all of it
import { useState } from "preact/hooks";

const SHOWN_MAX = 100_000;

export function Raw({ text }: { text: string }) {
  const [said, setSaid] = useState("Copy");
  const pretty = text.length <= SHOWN_MAX ? JSON.stringify(JSON.parse(text), null, 1) : text;
  const copy = (): void => {
    navigator.clipboard.writeText(text).then(
      () => setSaid("Copied"),
      () => setSaid("The browser does not allow it"),
    );
  };
  return (
    <>
      <div class="row">
        <button type="button" onClick={copy}>
          {said}
        </button>
        <span class="hint">
          {text.length.toLocaleString("en")} characters
          {text.length > SHOWN_MAX && `, the first ${SHOWN_MAX.toLocaleString("en")} shown`}
        </span>
      </div>
      <pre class="raw scroll" tabIndex={0} role="region" aria-label="JSON">
        {pretty.slice(0, SHOWN_MAX * 2)}
      </pre>
    </>
  );
}
