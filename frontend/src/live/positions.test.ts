import { expect, test } from "vitest";
import { Positions } from "./positions";

test("a missing number is a gap, a repeated one is old", () => {
  const positions = new Positions();
  positions.start({ platform: 10, "tenant-a": 3 });
  expect(positions.step("platform", 11)).toBe("next");
  expect(positions.step("platform", 11)).toBe("old");
  expect(positions.step("platform", 13)).toBe("gap");
  expect(positions.step("platform", 14)).toBe("next");
  expect(positions.step("tenant-a", 4)).toBe("next");
});

test("a stream that was not announced starts where it starts", () => {
  const positions = new Positions();
  expect(positions.step("new-tenant", 7)).toBe("next");
  expect(positions.step("new-tenant", 9)).toBe("gap");
});

test("a new connection starts anew, also where the server counts from the beginning again", () => {
  const positions = new Positions();
  positions.start({ platform: 10 });
  positions.start({ platform: 2 });
  expect(positions.step("platform", 3)).toBe("next");
});
