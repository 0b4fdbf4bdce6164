import { expect, test } from "vitest";
import { fieldErrors, Problem, toProblem } from "./problem";

test("a problem document keeps its code, sentence and fields", () => {
  const problem = toProblem(
    {
      type: "about:blank",
      title: "Some of what was sent is not valid",
      status: 422,
      detail: "Accelerators: too many.",
      code: "invalid",
      errors: [
        { pointer: "/accelerators", detail: "Too many.", code: "max" },
        { pointer: "/accelerators", detail: "Really.", code: "max" },
        { pointer: "/command/0", detail: "Empty.", code: "blank" },
      ],
    },
    422,
  );
  expect(problem).toMatchObject({ status: 422, code: "invalid", detail: "Accelerators: too many." });
  expect(fieldErrors(problem)).toEqual({ accelerators: "Too many.", command: "Empty." });
});

test("a page of HTML from a proxy, and no answer at all, are problems too", () => {
  expect(toProblem("<html>", 502)).toMatchObject({ status: 502, code: "server-error" });
  expect(toProblem(new TypeError("Failed to fetch"), 0)).toMatchObject({ status: 0, code: "no-answer" });
  expect(fieldErrors(new Error("no problem"))).toEqual({});
  const known = new Problem({ status: 409, code: "conflict" });
  expect(toProblem(known, 409)).toBe(known);
});
