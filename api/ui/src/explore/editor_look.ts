// The editor in the page's colours: variables reach into its shadow root.
import { HighlightStyle, syntaxHighlighting } from "@codemirror/language";
import { EditorView } from "@codemirror/view";
import { tags } from "@lezer/highlight";

export const look = EditorView.theme({
  "&": {
    color: "var(--text)",
    backgroundColor: "var(--surface)",
    border: "1px solid var(--line)",
    borderRadius: "var(--radius)",
    fontSize: "0.95rem",
  },
  "&.cm-focused": { outline: "2px solid var(--accent)", outlineOffset: "0" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.5" },
  ".cm-content": { padding: "0.35rem 0.3rem", caretColor: "var(--text)" },
  ".cm-cursor": { borderLeftColor: "var(--text)" },
  ".cm-placeholder": { color: "var(--quiet)" },
  ".cm-matchingBracket": { backgroundColor: "var(--raised)", outline: "1px solid var(--quiet)" },
  ".cm-tooltip": {
    color: "var(--text)",
    backgroundColor: "var(--surface)",
    border: "1px solid var(--line)",
    borderRadius: "var(--radius)",
    boxShadow: "0 3px 10px #0003",
    zIndex: "30",
  },
  ".cm-tooltip-autocomplete > ul": { fontFamily: "var(--mono)", maxHeight: "16rem" },
  ".cm-tooltip-autocomplete > ul > li": {
    padding: "0.15rem 0.5rem",
    unicodeBidi: "isolate",
    overflow: "hidden",
    textOverflow: "ellipsis",
    maxWidth: "40rem",
  },
  ".cm-tooltip-autocomplete > ul > li[aria-selected]": {
    backgroundColor: "var(--accent)",
    color: "var(--on-accent)",
  },
  ".cm-completionMatchedText": { fontWeight: "700", textDecoration: "none" },
  ".cm-completionDetail": { color: "inherit", opacity: "0.8", fontStyle: "normal", marginLeft: "0.8em" },
  ".cm-completionInfo": { maxWidth: "24rem", padding: "0.3rem 0.6rem" },
  ".cm-diagnostic": { padding: "0.25rem 0.6rem", borderLeft: "4px solid var(--bad)" },
  ".cm-signature": { padding: "0.25rem 0.6rem", maxWidth: "36rem", fontSize: "0.85rem" },
});

export const colouring = syntaxHighlighting(
  HighlightStyle.define([
    { tag: tags.keyword, color: "var(--series-3)", fontWeight: "600" },
    { tag: [tags.function(tags.variableName), tags.operatorKeyword], color: "var(--accent)" },
    { tag: tags.labelName, color: "var(--series-6)" },
    { tag: tags.string, color: "var(--good)" },
    { tag: [tags.number, tags.integer], color: "var(--warn)" },
    { tag: tags.comment, color: "var(--quiet)", fontStyle: "italic" },
    { tag: tags.invalid, color: "var(--bad)" },
  ]),
);
