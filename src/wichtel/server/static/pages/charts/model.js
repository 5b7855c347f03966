// The chart of a model's page: what its experiments measured, over time.

const words = (status) => status.replaceAll("_", " ").toLowerCase();

export function history([data], _names, { token }) {
  const tones = { SATISFIED: token("good"), UNSATISFIED: token("muted") };
  const series = data.metrics.flatMap((metric) => {
    const having = data.points.filter((p) => metric in p.baseline);
    return [
      {
        name: metric, type: "line", step: "end", symbol: "none", lineStyle: { width: 2, color: token("muted") }, itemStyle: { color: token("muted") },
        data: having.map((p) => [p.at, p.baseline[metric]]), silent: true,
      },
      {
        name: metric, type: "scatter", symbolSize: 10, cursor: "pointer",
        data: having.filter((p) => metric in p.candidate).map((p) => {
          const colour = tones[p.status] ?? token("bad");
          return { value: [p.at, p.candidate[metric]], point: p, itemStyle: { color: p.status === "SATISFIED" ? colour : token("surface"), borderColor: colour, borderWidth: 2 } };
        }),
      },
    ];
  });
  const formatter = ({ data: one, seriesName: metric }) => {
    if (!one?.point) return metric;
    const { point } = one;
    const change = point.candidate[metric] - point.baseline[metric];
    return [`${point.protocol}, ${words(point.status)}`, point.id, `${metric} ${Number(point.candidate[metric].toPrecision(5))} (${change > 0 ? "+" : ""}${Number(change.toPrecision(3))})`].join("\n");
  };
  const selected = Object.fromEntries(data.metrics.map((metric, i) => [metric, i === 0]));
  return {
    xAxis: { type: "time" }, yAxis: { type: "value", scale: true }, series,
    legend: { selected, data: data.metrics, icon: "circle" },
    tooltip: { trigger: "item", renderMode: "richText", formatter },
  };
}

export function wire(chart) {
  chart.on("click", (event) => { if (event.data?.point) location.href = `/experiments/${encodeURIComponent(event.data.point.id)}`; });
}
