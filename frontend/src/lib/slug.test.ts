import { expect, test } from "vitest";
import { toSlug } from "./slug";

const RULE = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

test.each([
  ["Shanghai, room 3", "shanghai-room-3"],
  ["  GPU_Server 1  ", "gpu-server-1"],
  ["Zürich", "zurich"],
  ["上海", "4e0a-6d77"],
  ["---", "x"],
])("%s becomes %s", (name, slug) => {
  expect(toSlug(name)).toBe(slug);
  expect(slug).toMatch(RULE);
});

test("a long name is cut to what is allowed", () => {
  expect(toSlug(`${"ab ".repeat(40)}`)).toMatch(RULE);
});
