import { expect, test } from "vitest";
import { Problem } from "~/api/problem";
import { connectionErrors, errorsUnder, isFilled, NO_CONNECTION, settingsOf, toConnection } from "./connection";

const filled = { ...NO_CONNECTION, kubeconfig: "kind: Config\n", server: " https://10.0.0.1:6443 ", token: "abc ", ca_pem: " " };

test("only the chosen way is sent, and nothing that is empty", () => {
  expect(toConnection({ ...filled, by: "kubeconfig" })).toEqual({ kubeconfig: "kind: Config\n" });
  expect(toConnection({ ...filled, by: "token" })).toEqual({ server: "https://10.0.0.1:6443", token: "abc" });
});

test("a connection is filled when its own way is", () => {
  expect(isFilled({ ...NO_CONNECTION, server: "https://a", token: "b" })).toBe(false);
  expect(isFilled({ ...NO_CONNECTION, by: "token", server: "https://a", token: "b" })).toBe(true);
  expect(isFilled({ ...NO_CONNECTION, by: "token", server: "https://a" })).toBe(false);
});

test("a cluster that was prepared has our account and role", () => {
  expect(settingsOf(NO_CONNECTION)).toEqual({ bind_role: "aquifer-hub-project", bind_account: "aquifer-system/aquifer-hub" });
  expect(settingsOf({ ...NO_CONNECTION, isPrepared: false })).toEqual({});
});

const problem = new Problem({
  status: 422,
  code: "invalid",
  errors: [
    { pointer: "/slug", detail: "Taken.", code: "taken" },
    { pointer: "/connection/kubeconfig/users/0/user/exec", detail: "Would run a program.", code: "forbidden-key" },
    { pointer: "/connection/kubeconfig/clusters/0/cluster/a~1b", detail: "Second.", code: "x" },
    { pointer: "/connection/token", detail: "No token.", code: "bad-token" },
  ],
});

test("errors come to their fields, with the place inside a kubeconfig", () => {
  expect(connectionErrors(problem, "connection")).toEqual({ kubeconfig: "users › 0 › user › exec: Would run a program.", token: "No token." });
  expect(connectionErrors(new Problem({ status: 422, code: "invalid", errors: [{ pointer: "/server", detail: "Bad.", code: "x" }] }))).toEqual({ server: "Bad." });
  expect(connectionErrors(new Error("other"), "connection")).toEqual({});
  expect(errorsUnder("connection", { token: "No token." })).toEqual({ "connection.token": "No token." });
});
