// The pages there are: path, name in the navigation, and the module that is loaded when it is opened.
//
// out  PAGES, pageAt
// why  each page is a chunk of its own, so that the first one stays small. api/routes/pages.py names
//      the same paths; a test compares the two lists.
import type { ComponentType } from "preact";

export interface PageProps {
  search: string;
}

export interface Page {
  path: string;
  name: string;
  load: () => Promise<{ default: ComponentType<PageProps> }>;
}

export const PAGES: Page[] = [
  { path: "/graph", name: "Explore", load: () => import("../explore/page") },
  { path: "/cardinality", name: "Cardinality", load: () => import("../cardinality/page") },
  { path: "/status", name: "Status", load: () => import("../status/page") },
  { path: "/cluster", name: "Cluster", load: () => import("../cluster/page") },
];

export function pageAt(path: string): Page | undefined {
  return PAGES.find((page) => path === page.path || path.startsWith(`${page.path}/`));
}
