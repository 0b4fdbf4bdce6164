/** Hours as bars of what ran, what was only held, and what nobody held. Fetched with ECharts when it is opened. */
import { useLingui } from "@lingui/react/macro";
import { useComputedColorScheme } from "@mantine/core";
import { BarChart } from "echarts/charts";
import { AriaComponent, GridComponent, LegendComponent, TooltipComponent } from "echarts/components";
import { init, use as register } from "echarts/core";
import { CanvasRenderer } from "echarts/renderers";
import { useEffect, useRef } from "react";
import { formatHours } from "~/lib/format";
import { hoursOf, type Sum } from "./capacity";

register([BarChart, GridComponent, TooltipComponent, LegendComponent, AriaComponent, CanvasRenderer]);

export function CapacityChart({ hours }: { hours: Sum[] }) {
  const { t, i18n } = useLingui();
  const box = useRef<HTMLDivElement>(null);
  const scheme = useComputedColorScheme("light");
  const { locale } = i18n;
  const title = t`What became of capacity, hour by hour, in hours of a card`;
  const [work, reserved, idle] = [t`worked`, t`held without proof`, t`idle`];

  // A chart is a thing outside React: made, drawn and thrown away here.
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const chart = init(element, null, { renderer: "canvas" });
    const colours = getComputedStyle(element);
    const colour = (name: string) => colours.getPropertyValue(name).trim();
    const text = colour("--mantine-color-dimmed");
    const line = colour("--aq-border");
    const parts = [
      { name: work, color: colour("--aq-bar-busy"), of: (sum: Sum) => sum.work, decal: { symbol: "none" } },
      { name: reserved, color: colour("--aq-bar-held"), of: (sum: Sum) => sum.reserved, decal: { symbol: "rect", symbolSize: 1, dashArrayX: [1, 0], dashArrayY: [2, 5], rotation: Math.PI / 4 } },
      { name: idle, color: colour("--aq-surface"), of: (sum: Sum) => sum.idle, decal: { symbol: "rect", symbolSize: 1, dashArrayX: [1, 0], dashArrayY: [3, 3], rotation: -Math.PI / 4, color: colour("--aq-bar-idle") } },
    ];
    const moment = new Intl.DateTimeFormat(locale, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });
    chart.setOption({
      animation: false,
      aria: { enabled: true, label: { description: title }, decal: { show: true } },
      grid: { left: 56, right: 12, top: 32, bottom: 24 },
      legend: { textStyle: { color: text }, top: 0 },
      tooltip: {
        trigger: "axis",
        axisPointer: { type: "shadow" },
        backgroundColor: colour("--aq-surface"),
        borderColor: line,
        textStyle: { color: colour("--mantine-color-text") },
        valueFormatter: (value: unknown) => formatHours(Number(value), locale),
      },
      textStyle: { color: text },
      xAxis: {
        type: "category",
        data: hours.map((sum) => moment.format(new Date(sum.key))),
        axisLabel: { color: text, hideOverlap: true },
        axisLine: { lineStyle: { color: line } },
        axisTick: { show: false },
      },
      yAxis: { type: "value", axisLabel: { color: text }, splitLine: { lineStyle: { color: line } } },
      series: parts.map(({ name, color, of, decal }) => ({ name, type: "bar", stack: "capacity", barCategoryGap: "8%", color, itemStyle: { decal }, data: hours.map((sum) => hoursOf(of(sum))) })),
    });
    const watcher = new ResizeObserver(() => chart.resize());
    watcher.observe(element);
    return () => {
      watcher.disconnect();
      chart.dispose();
    };
  }, [hours, scheme, title, work, reserved, idle, locale]);

  return <div ref={box} className="aq-chart" role="img" aria-label={title} />;
}
