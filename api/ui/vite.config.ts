// How the page is built: sources to ../web, hashed names, nothing inlined (the policy forbids it).
import { defineConfig } from "vite";

const SERVER = "http://127.0.0.1:9292"; // `make serve`; for `npm run dev` only

export default defineConfig({
  build: {
    outDir: "../web",
    emptyOutDir: true,
    target: "es2022",
    cssTarget: "chrome123", // light-dark() stays as it is
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rolldownOptions: {
      output: {
        // A page's chunk is named for its folder: explore-….js.
        chunkFileNames: ({ facadeModuleId, name }) =>
          `assets/${facadeModuleId?.match(/\/src\/([^/]+)\/page\.tsx$/)?.[1] ?? name}-[hash].js`,
      },
    },
  },
  server: { proxy: { "/api": SERVER, "/favicon.svg": SERVER } },
});
