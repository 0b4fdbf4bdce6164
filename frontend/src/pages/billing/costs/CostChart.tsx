/** Costs by day, stacked. Brings in ECharts, so it is loaded when it is shown. */
import { useLingui } from "@lingui/react/macro";
import { useComputedColorScheme } from "@mantine/core";
import { BarChart } from "echarts/charts";
import { AriaComponent, GridComponent, LegendComponent, TooltipComponent } from "echarts/components";
import { init, use as register } from "echarts/core";
import { CanvasRenderer } from "echarts/renderers";
import { useEffect, useRef } from "react";
import { formatMoneyShort } from "~/lib/format";

register([BarChart, GridComponent, TooltipComponent, LegendComponent, AriaComponent, CanvasRenderer]);

export interface Bars {
  name: string;
  /** All the others together: in grey. */
  isRest: boolean;
  amounts: number[];
}

interface Props {
  title: string;
  currency: string;
  days: string[];
  bars: Bars[];
}

const PARTS = 6;

export function CostChart({ title, currency, days, bars }: Props) {
  const { i18n } = useLingui();
  const box = useRef<HTMLDivElement>(null);
  const scheme = useComputedColorScheme("light");
  const { locale } = i18n;
  const drawn = JSON.stringify({ days, bars });

  // A chart is a thing outside React: made, fed and thrown away here.
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const chart = init(element, null, { renderer: "canvas" });
    const style = getComputedStyle(element);
    const colour = (name: string) => style.getPropertyValue(name).trim();
    const text = colour("--mantine-color-dimmed");
    const line = colour("--aq-border");
    const money = (amount: number) => formatMoneyShort(String(amount), currency, locale);
    const short = new Intl.NumberFormat(locale, { style: "currency", currency, currencyDisplay: "narrowSymbol", notation: "compact", maximumFractionDigits: 1 });
    const day = new Intl.DateTimeFormat(locale, { month: "short", day: "numeric", timeZone: "UTC" });
    const shown = JSON.parse(drawn) as Pick<Props, "days" | "bars">;
    chart.setOption({
      animation: false,
      aria: { enabled: true, label: { description: title }, decal: { show: true } },
      grid: { left: 8, right: 12, top: 40, bottom: 8, containLabel: true },
      legend: { type: "scroll", top: 0, textStyle: { color: text }, pageTextStyle: { color: text }, pageIconColor: text },
      tooltip: {
        trigger: "axis",
        axisPointer: { type: "shadow" },
        confine: true,
        backgroundColor: colour("--aq-surface"),
        borderColor: line,
        textStyle: { color: colour("--mantine-color-text") },
        valueFormatter: (amount: unknown) => money(Number(amount)),
      },
      textStyle: { color: text },
      xAxis: { type: "category", data: shown.days.map((each) => day.format(new Date(`${each}T00:00:00Z`))), axisLabel: { color: text }, axisLine: { lineStyle: { color: line } }, axisTick: { show: false } },
      yAxis: { type: "value", axisLabel: { color: text, formatter: (amount: number) => short.format(amount) }, splitLine: { lineStyle: { color: line } } },
      series: shown.bars.map((each, at) => ({
        name: each.name,
        type: "bar",
        stack: "cost",
        color: each.isRest ? colour("--aq-bar-held") : colour(`--aq-part-${at % PARTS}`),
        data: each.amounts,
      })),
    });
    const watcher = new ResizeObserver(() => chart.resize());
    watcher.observe(element);
    return () => {
      watcher.disconnect();
      chart.dispose();
    };
  }, [drawn, currency, locale, scheme, title]);

  return <div ref={box} className="aq-chart aq-chart-tall" role="img" aria-label={title} />;
}
