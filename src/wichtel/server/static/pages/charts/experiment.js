// The charts of an experiment's page.

// Metrics by step: the first metric that all have, the others to be chosen in the legend. What was fetched is side → metric → steps and values.
export function curves([sides], _, { token, number }) {
  const metrics = [...new Set(Object.values(sides).flatMap((found) => Object.keys(found)))].sort();
  const looks = [{ color: token("muted"), type: "dashed" }, { color: token("accent"), type: "solid" }];
  const series = metrics.flatMap((metric) => Object.entries(sides).map(([side, found], i) => ({
    name: `${metric}, ${side}`,
    type: "line",
    showSymbol: (found[metric] ?? []).length < 40,
    lineStyle: { type: looks[i % 2].type, width: 2 },
    itemStyle: { color: looks[i % 2].color },
    data: (found[metric] ?? []).map(([step, value]) => [step, number(value)]),
  })));
  const selected = Object.fromEntries(series.map((one) => [one.name, one.name.startsWith(`${metrics[0]},`)]));
  const grid = { left: 8, right: 16, top: 40, bottom: 26, containLabel: true };
  return { grid, xAxis: { type: "value", name: "step", nameLocation: "middle", nameGap: 28 }, yAxis: { type: "value", scale: true }, series, legend: { selected } };
}
