/** A terminal inside the work. The only part that brings in xterm. */
import "@xterm/xterm/css/xterm.css";
import { useLingui } from "@lingui/react/macro";
import { useComputedColorScheme } from "@mantine/core";
import { FitAddon } from "@xterm/addon-fit";
import { Terminal as Xterm } from "@xterm/xterm";
import { getNonce } from "get-nonce";
import { useEffect, useRef } from "react";
import { Drawing } from "~/inside/drawing";
import { isCopy, isWayOut } from "~/inside/keys";
import { type End, inFrames, readControl, readOutput, workSocketUrl } from "~/inside/protocol";

const PING_MS = 30_000;
const THEMES = {
  light: { background: "#f6f8f9", foreground: "#1b2226", cursor: "#075a75", cursorAccent: "#ffffff", selectionBackground: "#a2d5e4" },
  dark: { background: "#14191c", foreground: "#d5dce0", cursor: "#70bfd7", cursorAccent: "#14191c", selectionBackground: "#075a75" },
};

interface Props {
  workload: string;
  member: number;
  onOpen: () => void;
  /** Nothing where the connection broke without a word. */
  onEnd: (end: End | undefined) => void;
  /** The way out by keyboard: the terminal takes Tab for itself. */
  onLeave: () => void;
}

/** xterm makes its style elements itself while it opens, and the policy of the page wants the nonce on them. */
function openWithNonce(terminal: Xterm, element: HTMLElement): void {
  const nonce = getNonce();
  const make = document.createElement;
  document.createElement = function withNonce(this: Document, ...given: Parameters<typeof make>) {
    const made = make.apply(this, given);
    if (nonce && made instanceof HTMLStyleElement) made.nonce = nonce;
    return made;
  } as typeof make;
  try {
    terminal.open(element);
  } finally {
    // Back to the one of the prototype.
    Reflect.deleteProperty(document, "createElement");
  }
}

export function Terminal({ workload, member, ...calls }: Props) {
  const { t } = useLingui();
  const scheme = useComputedColorScheme("light");
  const box = useRef<HTMLDivElement>(null);
  const shown = useRef<Xterm>(undefined);
  const label = t`Terminal. Control and M leaves it.`;
  const words = { promptLabel: label, tooMuchOutput: t`Too much output to be read out`, leftOut: t`output that came too fast was left out` };
  const latest = useRef({ ...calls, scheme, words });
  useEffect(() => {
    latest.current = { ...calls, scheme, words };
    if (shown.current) shown.current.options.theme = THEMES[scheme];
  });

  // A terminal and its socket are things outside React: made and thrown away together here.
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    // Read when a terminal opens, and shared by all there are.
    Xterm.strings.promptLabel = latest.current.words.promptLabel;
    Xterm.strings.tooMuchOutput = latest.current.words.tooMuchOutput;
    const terminal = new Xterm({
      cursorBlink: true,
      fontFamily: 'ui-monospace, "SF Mono", Menlo, Consolas, monospace',
      fontSize: 13,
      minimumContrastRatio: 4.5,
      screenReaderMode: true,
      scrollback: 5000,
      theme: THEMES[latest.current.scheme],
    });
    const fit = new FitAddon();
    terminal.loadAddon(fit);
    openWithNonce(terminal, element);
    // Filling the window brings the keyboard here, and not to the first button.
    terminal.textarea?.setAttribute("data-autofocus", "");
    fit.fit();
    shown.current = terminal;
    const socket = new WebSocket(workSocketUrl(workload, "shell", { replica: member, tty: 1 }));
    socket.binaryType = "arraybuffer";
    let isOpen = false;
    let end: End | undefined;
    const say = (message: object) => isOpen && socket.readyState === WebSocket.OPEN && socket.send(JSON.stringify(message));
    const type = (bytes: Uint8Array) => {
      if (!isOpen || socket.readyState !== WebSocket.OPEN) return;
      for (const frame of inFrames(bytes)) socket.send(frame as Uint8Array<ArrayBuffer>);
    };
    const letters = new TextEncoder();
    terminal.onData((text) => type(letters.encode(text)));
    // Reports of the mouse in the old way are bytes, not letters.
    terminal.onBinary((text) => type(Uint8Array.from(text, (letter) => letter.charCodeAt(0))));
    terminal.onResize(({ cols, rows }) => say({ type: "resize", columns: cols, rows }));
    terminal.attachCustomKeyEventHandler((event) => {
      const isLeaving = isWayOut(event);
      if (!isLeaving && !isCopy(event)) return true;
      event.preventDefault();
      if (isLeaving) latest.current.onLeave();
      // There is no clipboard on a page that came without TLS.
      else if (terminal.hasSelection()) void navigator.clipboard?.writeText(terminal.getSelection());
      return false;
    });
    const drawing = new Drawing((data, drawn) => terminal.write(data, drawn), () => latest.current.words.leftOut);
    const ping = setInterval(() => say({ type: "ping" }), PING_MS);
    socket.addEventListener("message", ({ data }: MessageEvent<string | ArrayBuffer>) => {
      if (typeof data !== "string") {
        const output = readOutput(new Uint8Array(data));
        if (output) drawing.take(output.bytes);
        return;
      }
      const control = readControl(data);
      if (control?.type === "end") end = control;
      if (control?.type !== "open") return;
      isOpen = true;
      say({ type: "resize", columns: terminal.cols, rows: terminal.rows });
      terminal.focus();
      latest.current.onOpen();
    });
    let isGone = false;
    socket.addEventListener("close", () => {
      if (isGone) return;
      isOpen = false;
      terminal.options.disableStdin = true;
      terminal.options.cursorBlink = false;
      latest.current.onEnd(end);
    });
    const watcher = new ResizeObserver(() => fit.fit());
    watcher.observe(element);
    return () => {
      isGone = true;
      clearInterval(ping);
      watcher.disconnect();
      socket.close();
      shown.current = undefined;
      terminal.dispose();
    };
  }, [workload, member]);

  return <div ref={box} className="aq-terminal" role="group" aria-label={label} />;
}
