import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const here = import.meta.dirname;

test("the client was made from the API document as it is: `npm run api`", () => {
  const document = readFileSync(join(here, "../../../docs/openapi.yaml"), "utf-8");
  const client = readFileSync(join(here, "__generated__/sdk.gen.ts"), "utf-8");
  const documented = [...document.matchAll(/operationId: (\w+)/g)].map(([, name = ""]) => name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase()));
  const generated = [...client.matchAll(/^export const (\w+) = </gm)].map(([, name]) => name);
  expect(generated.length).toBeGreaterThan(50);
  expect(generated.toSorted()).toEqual(documented.toSorted());
});
