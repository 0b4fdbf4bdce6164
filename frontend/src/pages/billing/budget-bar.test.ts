import { describe, expect, it } from "vitest";
import { partsOf } from "./budget-bar";

describe("the bar of a budget", () => {
  it("shows what is spent and held of the limit", () => {
    expect(partsOf({ limit: "200.00", spent: "50.0", held: "100" })).toEqual({ spent: 250, held: 500, limit: 1000, percent: 25 });
  });
  it("is longer than the limit when more is spent and held than there was", () => {
    expect(partsOf({ limit: "50", spent: "75", held: "25" })).toEqual({ spent: 750, held: 250, limit: 500, percent: 150 });
  });
  it("is empty where nothing is allowed and nothing spent", () => {
    expect(partsOf({ limit: "0.00", spent: "0", held: "0" })).toEqual({ spent: 0, held: 0, limit: 0, percent: 0 });
    expect(partsOf({ limit: "0", spent: "1", held: "0" }).percent).toBe(100);
  });
  it("does not show a credit as spending", () => {
    expect(partsOf({ limit: "10", spent: "-5", held: "0" })).toEqual({ spent: 0, held: 0, limit: 1000, percent: 0 });
  });
});
