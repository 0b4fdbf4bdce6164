import { expect, test } from "vitest";
import { Problem } from "~/api/problem";
import { connectionErrors, errorsUnder, isFilled, machinesOf, NO_CONNECTION, settingsOf, toConnection } from "./connection";

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
  expect(settingsOf(NO_CONNECTION, "kubernetes")).toEqual({ bind_role: "aquifer-hub-project", bind_account: "aquifer-system/aquifer-hub" });
  expect(settingsOf({ ...NO_CONNECTION, isPrepared: false }, "kubernetes")).toEqual({});
});

test("machines are lines, and what stands in a line is set apart as people do it", () => {
  const machines = machinesOf("srv-1 https://10.9.0.1\n\n srv-2,\thttps://10.9.0.2 AB:CD \n");
  expect(machines).toEqual([{ name: "srv-1", server: "https://10.9.0.1" }, { name: "srv-2", server: "https://10.9.0.2", fingerprint: "AB:CD" }]);
  const draft = { ...NO_CONNECTION, by: "password" as const, username: "admin", password: "x", machines: "srv-1 https://10.9.0.1" };
  expect(isFilled(draft)).toBe(true);
  expect(isFilled({ ...draft, machines: " \n" })).toBe(false);
  expect(toConnection({ ...draft, server: "https://elsewhere" })).toEqual({ username: "admin", password: "x", machines: [machines[0]] });
});

test("a server is wiped by a hook, or it is said that none does", () => {
  expect(settingsOf({ ...NO_CONNECTION, wipeHook: " https://wipe.example " }, "redfish")).toEqual({ hooks: { wipe: "https://wipe.example" } });
  expect(settingsOf(NO_CONNECTION, "redfish")).toEqual({ wipe: "none" });
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
