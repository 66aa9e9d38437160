// The frame around every page: navigation, theme, the page itself or why there is none.
//
// in   the path
// out  one <main> with the page's module, loaded when it is first asked for
import { Component, type ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";

import { Problem } from "../show/problem";
import { PAGES, pageAt, type Page, type PageProps } from "./pages";
import { followLinks, useLocation } from "./router";
import { chosenTheme, nextTheme, type Theme } from "./theme";

const THEME_NAMES: Record<Theme, string> = { system: "Auto", light: "Light", dark: "Dark" };

export function Shell() {
  const { path, search } = useLocation();
  const page = pageAt(path);
  useEffect(() => followLinks((to) => pageAt(to) !== undefined), []);
  useEffect(() => {
    document.title = page ? `${page.name} · Silverback` : "Silverback";
  }, [page]);
  return (
    <>
      <a class="skip" href="#main">
        Skip to the page
      </a>
      <header class="bar">
        <a class="brand" href={PAGES[0]?.path ?? "/"}>
          <img src="/favicon.svg" alt="" width="24" height="24" />
          Silverback
        </a>
        <nav aria-label="Pages">
          {PAGES.map((p) => (
            <a key={p.path} href={p.path} aria-current={p === page ? "page" : undefined}>
              {p.name}
            </a>
          ))}
        </nav>
        <ThemeButton />
      </header>
      <main id="main" tabIndex={-1}>
        {page ? (
          <Guard key={page.path}>
            <Loaded page={page} search={search} />
          </Guard>
        ) : (
          <Problem error={new Error(`There is no page at ${path}.`)} />
        )}
      </main>
    </>
  );
}

function ThemeButton() {
  const [theme, setTheme] = useState<Theme>(chosenTheme);
  return (
    <button type="button" class="quiet" onClick={() => setTheme(nextTheme())}>
      Theme: {THEME_NAMES[theme]}
    </button>
  );
}

function Loaded({ page, search }: { page: Page; search: string }) {
  const [content, setContent] = useState<ComponentType<PageProps> | null>(null);
  const [error, setError] = useState<unknown>(null);
  useEffect(() => {
    let wanted = true;
    setContent(null);
    setError(null);
    page.load().then(
      (module) => wanted && setContent(() => module.default),
      (reason: unknown) => wanted && setError(reason),
    );
    return () => {
      wanted = false;
    };
  }, [page]);
  if (error) return <Problem error={error} />;
  if (!content) return <p class="hint">Loading…</p>;
  const Content = content;
  return <Content search={search} />;
}

/** A page that breaks says so instead of leaving nothing. */
class Guard extends Component<{ children?: preact.ComponentChildren }, { error: unknown }> {
  override state = { error: null as unknown };

  static override getDerivedStateFromError(error: unknown) {
    return { error };
  }

  override render() {
    return this.state.error ? <Problem error={this.state.error} /> : this.props.children;
  }
}
