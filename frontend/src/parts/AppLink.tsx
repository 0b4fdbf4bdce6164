/** A link to a page of the console, from an address of the path builder. */
import { Anchor, type AnchorProps, Button, type ButtonProps } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";

export function splitPath(path: string): { to: string; search: Record<string, string> } {
  const [to = "/", query] = path.split("?", 2);
  return { to, search: Object.fromEntries(new URLSearchParams(query)) };
}

interface Target {
  path: string;
  children: ReactNode;
}

export function AppLink({ path, children, ...anchor }: Target & AnchorProps) {
  return (
    <Anchor size="sm" {...anchor} renderRoot={(props) => <Link {...splitPath(path)} {...props} />}>
      {children}
    </Anchor>
  );
}

export function LinkButton({ path, children, ...button }: Target & ButtonProps) {
  return (
    <Button {...button} renderRoot={(props) => <Link {...splitPath(path)} {...props} />}>
      {children}
    </Button>
  );
}
