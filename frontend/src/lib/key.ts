/** A fresh key that makes one create safe to repeat. `crypto.randomUUID` needs https; this does not. */
export function freshKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
