// The charts of the usage: all read what the page carries.

const COLOURS = { SATISFIED: "good", UNSATISFIED: "line-strong", USER_ERROR: "bad", SYSTEM_ERROR: "nose", DEADLINE_EXCEEDED: "warn", CANCELED: "plain-soft" };
const words = (name) => name.replaceAll("_", " ").toLowerCase();
const whole = { type: "value", minInterval: 1 };

// Experiments that finished on each day, by status.
export function days([data], names, tools) {
  const series = Object.entries(data.counts).map(([status, counts]) => ({
    name: words(status), type: "bar", stack: "all", data: counts, barMaxWidth: 24, itemStyle: { color: tools.token(COLOURS[status] ?? "plain") },
  }));
  return { xAxis: { type: "category", data: data.days, axisTick: { show: false } }, yAxis: whole, series };
}

// Whose experiments finished in each week.
export function users([data], names, tools) {
  return {
    grid: { left: 8, right: 16, top: 16, bottom: 8, containLabel: true }, legend: { show: false },
    xAxis: { type: "category", data: data.weeks, axisTick: { show: false } }, yAxis: whole,
    series: [{ name: "users", type: "bar", data: data.users, barMaxWidth: 28, itemStyle: { color: tools.token("accent") } }],
  };
}

// How long the most frequent calls took: half, nine of ten, and all but one of a hundred were faster.
export function latency([calls], names, tools) {
  const shown = calls.toReversed();
  const label = { color: tools.token("muted"), fontFamily: tools.token("sans") };
  const mark = (name, key, colour, size) => ({ name, type: "scatter", symbolSize: size, data: shown.map((call) => Math.max(call[key], 0.01)), itemStyle: { color: tools.token(colour) } });
  return {
    xAxis: { type: "log", axisLabel: { ...label, formatter: (v) => `${v} ms` } },
    yAxis: { type: "category", data: shown.map((call) => call.call), axisTick: { show: false }, splitLine: { show: true, lineStyle: { color: tools.token("line") } }, axisLabel: { ...label, width: 150, overflow: "truncate" } },
    tooltip: { trigger: "axis", renderMode: "richText", valueFormatter: (v) => `${Number(v.toPrecision(3))} ms` },
    series: [mark("median", "p50", "accent", 10), mark("90 %", "p90", "warn", 9), mark("99 %", "p99", "bad", 8)],
  };
}
