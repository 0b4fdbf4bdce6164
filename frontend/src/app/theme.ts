import { createTheme, type CSSVariablesResolver, type MantineColorsTuple } from "@mantine/core";

const aqua: MantineColorsTuple = [
  "#e7f6fa",
  "#d0eaf2",
  "#a2d5e4",
  "#70bfd7",
  "#48accb",
  "#2f9fc3",
  "#1c8eb3",
  "#0b6a88",
  "#075a75",
  "#034a61",
];

/** Mantine's greys with the tint of our surfaces. */
const dark: MantineColorsTuple = [
  "#d5dce0",
  "#b3bfc6",
  "#93a0a7",
  "#6d7b84",
  "#364148",
  "#2d373d",
  "#232c31",
  "#1b2226",
  "#171d21",
  "#14191c",
];

export const theme = createTheme({
  primaryColor: "aqua",
  primaryShade: { light: 7, dark: 7 },
  colors: { aqua, dark },
  defaultRadius: "md",
  cursorType: "pointer",
  fontFamily:
    'system-ui, -apple-system, "Segoe UI", Roboto, "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif',
  headings: { fontWeight: "600", sizes: { h1: { fontSize: "1.5rem" }, h2: { fontSize: "1.125rem" } } },
  components: {
    Button: { defaultProps: { size: "sm" } },
    Tooltip: { defaultProps: { withArrow: true, multiline: true, maw: 360 } },
    Table: { defaultProps: { verticalSpacing: 6, horizontalSpacing: "sm", highlightOnHover: true } },
    Modal: { defaultProps: { centered: true, closeButtonProps: {} } },
  },
});

/** Mantine's quiet text misses 4.5:1 on its own backgrounds; these do not. */
export const cssVariables: CSSVariablesResolver = () => ({
  variables: {},
  light: {
    "--mantine-color-body": "#f6f8f9",
    "--mantine-color-dimmed": "#4d585e",
    "--mantine-color-placeholder": "#66727a",
    "--mantine-color-error": "#b3261e",
    "--mantine-color-anchor": "#075a75",
    "--aq-surface": "#ffffff",
    "--aq-border": "#d5dce0",
  },
  dark: {
    "--mantine-color-body": "#14191c",
    "--mantine-color-text": "#d5dce0",
    "--mantine-color-dimmed": "#a3b0b7",
    "--mantine-color-placeholder": "#93a0a7",
    "--mantine-color-error": "#ff9a90",
    "--mantine-color-anchor": "#70bfd7",
    "--aq-surface": "#1b2226",
    "--aq-border": "#364148",
  },
});
