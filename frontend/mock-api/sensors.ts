/** Pretended sensors: every machine has some, and is on until it is switched. */
import type { NodePower, Power, Sensors } from "../src/api/__generated__";

const powers = new Map<string, NodePower>();

export function sensorsOf(node: string): Sensors {
  const power = powers.get(node) ?? "on";
  const cards = Array.from({ length: 8 }, (_, at) => ({ name: `HGX_GPU_${at} Temp`, value: 41 + ((at * 7) % 23), unit: "Cel", is_healthy: at !== 5 }));
  const rest = [
    { name: "Inlet Temp", value: 23.5, unit: "Cel", is_healthy: true },
    { name: "Total Power", value: power === "on" ? 6240 : 38, unit: "W", is_healthy: true },
    { name: "PSU1 Input", value: 231.4, unit: "V", is_healthy: true },
    { name: "Fan 1", value: 9120, unit: "{rpm}", is_healthy: true },
    { name: "Fan 2", value: 9080, unit: "{rpm}", is_healthy: true },
  ];
  return { power, message: "", readings: power === "on" ? [...cards, ...rest] : rest.slice(0, 2) };
}

export function switched(node: string, power: NodePower): Power {
  powers.set(node, power);
  return { power, is_asked: true, message: "" };
}
