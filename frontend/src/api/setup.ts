/** How every call to the API is made: the CSRF token, the server's clock, and one kind of error. */
import { learnServerTime } from "~/lib/time";
import { client } from "./__generated__/client.gen";
import { toProblem } from "./problem";

export function csrfToken(cookies: string): string {
  return /(?:^|;\s*)csrftoken=([^;]+)/.exec(cookies)?.[1] ?? "";
}

export function setUpApi(): void {
  client.setConfig({ baseUrl: "", credentials: "same-origin" });
  client.interceptors.request.use((request) => {
    if (request.method !== "GET") request.headers.set("X-CSRFToken", csrfToken(document.cookie));
    return request;
  });
  client.interceptors.response.use((response) => {
    learnServerTime(response.headers.get("Date"));
    return response;
  });
  client.interceptors.error.use((error, response) => toProblem(error, response?.status ?? 0));
}
