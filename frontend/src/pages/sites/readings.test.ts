import { expect, test } from "vitest";
import { grouped, unitText } from "./readings";

const reading = (name: string, unit: string, is_healthy = true) => ({ name, unit, value: 1, is_healthy });

test("temperatures come first, units nobody knows last, and of each what is wrong before what is right", () => {
  const found = grouped([reading("Odd", "xyz"), reading("PSU", "W"), reading("Inlet", "Cel"), reading("GPU 3", "Cel", false)]);
  expect(found.map(({ unit, readings, unhealthy }) => [unit, readings.map(({ name }) => name), unhealthy])).toEqual([
    ["Cel", ["GPU 3", "Inlet"], 1],
    ["W", ["PSU"], 0],
    ["xyz", ["Odd"], 0],
  ]);
});

test("units as people write them", () => expect(["Cel", "{rpm}", "xyz"].map(unitText)).toEqual(["°C", "rpm", "xyz"]));
