/** The keys that a terminal keeps from the work. */
type Pressed = Pick<KeyboardEvent, "type" | "key" | "ctrlKey" | "shiftKey" | "altKey" | "metaKey">;

const isControl = (event: Pressed, key: string) => event.type === "keydown" && event.ctrlKey && !event.altKey && !event.metaKey && event.key.toLowerCase() === key;

/** The way out: to a program it is the same as Enter, so none misses it. */
export const isWayOut = (event: Pressed) => isControl(event, "m") && !event.shiftKey;

/** Ctrl+C interrupts, so copying has the key that terminals have for it. */
export const isCopy = (event: Pressed) => isControl(event, "c") && event.shiftKey;
