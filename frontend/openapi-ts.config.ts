import { defineConfig } from "@hey-api/openapi-ts";

interface ObjectSchema {
  properties?: Record<string, unknown>;
  required?: string[];
}

export default defineConfig({
  input: "../docs/openapi.yaml",
  output: { path: "src/api/__generated__", postProcess: [] },
  parser: {
    patch: {
      input: (document) => {
        // An answer always has all its fields. The document calls those with a default in the database
        // optional, which is true of requests; theirs are separate schemas and are left alone.
        const schemas = "components" in document ? (document.components?.schemas ?? {}) : {};
        for (const [name, schema] of Object.entries(schemas as Record<string, ObjectSchema>)) {
          if (!name.endsWith("Request") && schema.properties) schema.required = Object.keys(schema.properties);
        }
      },
    },
  },
  plugins: [
    { name: "@hey-api/client-fetch" },
    { name: "@hey-api/typescript", enums: false },
    { name: "@hey-api/sdk" },
    { name: "@tanstack/react-query", useQuery: false },
  ],
});
