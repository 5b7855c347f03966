// The charts of an experiment's page.

// Metrics by step: the first metric that all have, the others to be chosen in the legend.
export function curves(fetched, names, { token, number }) {
  const metrics = [...new Set(fetched.flatMap((page) => page.items.flatMap((m) => Object.keys(m.metrics))))].sort();
  const looks = [{ color: token("muted"), type: "dashed" }, { color: token("accent"), type: "solid" }];
  const series = metrics.flatMap((metric) => fetched.map((page, i) => ({
    name: `${metric}, ${names[i]}`,
    type: "line",
    showSymbol: page.items.length < 40,
    sampling: "lttb",
    lineStyle: { type: looks[i % 2].type, width: 2 },
    itemStyle: { color: looks[i % 2].color },
    data: page.items.filter((m) => metric in m.metrics).map((m) => [m.step, number(m.metrics[metric])]),
  })));
  const selected = Object.fromEntries(series.map((one) => [one.name, one.name.startsWith(`${metrics[0]},`)]));
  return { xAxis: { type: "value", name: "step" }, yAxis: { type: "value", scale: true }, series, legend: { type: "scroll", selected } };
}
