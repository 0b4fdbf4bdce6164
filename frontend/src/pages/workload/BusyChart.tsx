/** Lines of how busy each card was since the page was opened. The only part that brings in ECharts. */
import { useLingui } from "@lingui/react/macro";
import { useComputedColorScheme } from "@mantine/core";
import { LineChart } from "echarts/charts";
import { AriaComponent, GridComponent, LegendComponent, TooltipComponent } from "echarts/components";
import { type EChartsType, init, use as register } from "echarts/core";
import { CanvasRenderer } from "echarts/renderers";
import { useEffect, useRef } from "react";
import { fleet } from "~/map/fleet";

register([LineChart, GridComponent, TooltipComponent, LegendComponent, AriaComponent, CanvasRenderer]);

const KEEP_MS = 10 * 60_000;
const MOST_LINES = 8;
/** Okabe and Ito's colours, told apart without colour vision; dashes tell them apart as well. */
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a7a7a", "#b8860b"];
const DASHES = ["solid", "dashed", "dotted"] as const;

interface Props {
  cards: { id: string; name: string }[];
}

export function BusyChart({ cards }: Props) {
  const { t } = useLingui();
  const box = useRef<HTMLDivElement>(null);
  const scheme = useComputedColorScheme("light");
  const points = useRef(new Map<string, [number, number][]>());
  const title = t`Busy, in percent, since this page was opened`;
  const shown = cards.slice(0, MOST_LINES);
  const key = shown.map((card) => `${card.id} ${card.name}`).join(",");

  // A chart is a thing outside React: made, fed and thrown away here.
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const chart: EChartsType = init(element, null, { renderer: "canvas" });
    const colours = getComputedStyle(element);
    const text = colours.getPropertyValue("--mantine-color-dimmed").trim();
    const line = colours.getPropertyValue("--aq-border").trim();
    const lines = key.split(",").map((entry) => [entry.slice(0, entry.indexOf(" ")), entry.slice(entry.indexOf(" ") + 1)] as const);
    const draw = () => {
      const now = Date.now();
      for (const [id] of lines) {
        const busy = fleet.card(id)?.busyPercent;
        const kept = (points.current.get(id) ?? []).filter(([at]) => now - at < KEEP_MS);
        if (busy !== null && busy !== undefined) kept.push([now, busy]);
        points.current.set(id, kept);
      }
      chart.setOption({ series: lines.map(([id]) => ({ id, data: points.current.get(id) })) });
    };
    chart.setOption({
      animation: false,
      aria: { enabled: true, label: { description: title } },
      grid: { left: 40, right: 12, top: 32, bottom: 24 },
      legend: { textStyle: { color: text }, top: 0, type: "scroll", pageTextStyle: { color: text } },
      tooltip: { trigger: "axis" },
      textStyle: { color: text },
      xAxis: { type: "time", axisLabel: { color: text }, axisLine: { lineStyle: { color: line } } },
      yAxis: { type: "value", min: 0, max: 100, axisLabel: { color: text, formatter: "{value} %" }, splitLine: { lineStyle: { color: line } } },
      series: lines.map(([id, name], at) => ({
        id,
        name,
        type: "line",
        showSymbol: false,
        color: COLOURS[at % COLOURS.length],
        lineStyle: { type: DASHES[at % DASHES.length], width: 2 },
        data: [],
      })),
    });
    draw();
    const leave = fleet.watch(draw);
    const watcher = new ResizeObserver(() => chart.resize());
    watcher.observe(element);
    return () => {
      leave();
      watcher.disconnect();
      chart.dispose();
    };
  }, [key, scheme, title]);

  return <div ref={box} className="aq-chart" role="img" aria-label={title} />;
}
