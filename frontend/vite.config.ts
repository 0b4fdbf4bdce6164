import { fileURLToPath } from "node:url";
import { lingui, linguiTransformerBabelPreset } from "@lingui/vite-plugin";
import babel from "@rolldown/plugin-babel";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";
import { mockApi } from "./mock-api/plugin.ts";

// AQUIFER_API=http://127.0.0.1:8000 makes `npm run dev` talk to a running server; without it the mock answers.
const backend = process.env.AQUIFER_API;

export default defineConfig({
  base: "/",
  plugins: [
    react(),
    lingui(),
    babel({ presets: [linguiTransformerBabelPreset()] }),
    ...(backend || process.env.VITEST ? [] : [mockApi()]),
  ],
  resolve: { alias: { "~": fileURLToPath(new URL("./src", import.meta.url)) } },
  build: {
    target: "es2023",
    // The content security policy allows no data: or inline resources beside images.
    assetsInlineLimit: 0,
    // ECharts is the one large piece and is fetched only with the first chart.
    chunkSizeWarningLimit: 700,
  },
  server: backend
    ? {
        proxy: {
          "/api": { target: backend },
          "/aquifer-forward": { target: backend },
          "/ws": { target: backend.replace(/^http/, "ws"), ws: true },
        },
      }
    : {},
  test: { include: ["src/**/*.test.ts", "src/**/*.test.tsx"], environment: "node" },
});
