// The charts of the analysis: candidates by two metrics, and by a setting. All read the same points, which the page carries.

const EXPERIMENTS = "experiments";
const FEW = 40;

const short = (v) => (v === 0 ? "0" : Math.abs(v) >= 1e6 || Math.abs(v) < 1e-4 ? v.toExponential(1) : v.toLocaleString("en", { maximumSignificantDigits: 4 }));
const written = (axis, v) => (axis.percent ? `${Number((v * 100).toPrecision(3))}%` : short(v));
const signed = (v, write) => `${v > 0 ? "+" : ""}${write(v)}`;

// A metric as an axis that shows its baseline and its threshold, too.
function metricAxis(axis, values, tools, gap) {
  const known = [...values, axis.baseline, axis.threshold].filter((v) => v !== null && v !== undefined);
  const least = Math.min(...known);
  const most = Math.max(...known);
  const room = (most - least) * 0.08 || Math.abs(most) * 0.05 || 1;
  return {
    type: "value", min: least - room, max: most + room, name: axisName(axis), nameLocation: "middle", nameGap: gap,
    axisLabel: { color: tools.token("muted"), fontFamily: tools.token("sans"), formatter: (v) => written(axis, v), showMinLabel: false, showMaxLabel: false, hideOverlap: true },
    axisLine: { show: false }, splitLine: { lineStyle: { color: tools.token("line") } },
  };
}

function axisName(axis) {
  const what = axis.baseline === 0 && axis.percent ? `${axis.name}, difference from the baseline` : `${axis.name}${axis.unit ? ` (${axis.unit})` : ""}`;
  return `${what} · ${axis.better} is better`;
}

// From the threshold to the end of the axis.
const side = (axis) => (axis.threshold === null || axis.threshold === undefined ? [-Infinity, Infinity] : axis.holds === "larger" ? [axis.threshold, Infinity] : [-Infinity, axis.threshold]);

function region(data, x, y, tools) {
  const [left, right] = side(x);
  const [low, high] = side(y);
  if ([left, right, low, high].every((v) => !Number.isFinite(v))) return [];
  return [{
    type: "scatter", data: [], silent: true, name: "constraints", z: 0,
    markArea: { silent: true, itemStyle: { color: tools.token("good-soft"), opacity: 0.75 }, data: [[{ coord: [left, low] }, { coord: [right, high] }]] },
  }];
}

function point(one, value, data, tools) {
  const satisfied = one.status === "SATISFIED";
  const chosen = one.id === data.candidate;
  const colour = tools.token(satisfied ? "good" : "muted");
  return {
    value, id: one.id, one,
    symbol: "circle", symbolSize: chosen ? 17 : 10,
    itemStyle: { color: satisfied ? colour : tools.token("surface"), borderColor: chosen ? tools.token("ink") : colour, borderWidth: chosen ? 3 : 2, opacity: 1 },
  };
}

function words(data, one) {
  const lines = [`${one.id}, ${one.status.replaceAll("_", " ").toLowerCase()}${one.id === data.candidate ? ", the candidate" : ""}`];
  for (const [name, value] of Object.entries(one.settings)) lines.push(`${name}: ${typeof value === "number" ? short(value) : String(value).slice(0, 60)}`);
  for (const [name, [value, , , delta, relative]] of Object.entries(one.metrics)) {
    const axis = data.metrics[name];
    const outcome = one.outcomes[name] ? `, ${one.outcomes[name]}` : "";
    lines.push(`${name}: ${value === null ? "not a number" : written(axis, value)}${delta === null ? "" : ` (${signed(delta, short)}${relative === null ? "" : `, ${signed(relative * 100, short)}%`})`}${outcome}`);
  }
  return lines.join("\n");
}

function whiskers(points, both, tools) {
  if (points.length > FEW) return [];
  const data = points.map((one) => [one.value[0], one.value[1], ...both(one.one)]);
  return [{
    type: "custom", name: "intervals", silent: true, data, z: 1, clip: true,
    renderItem: (_, api) => {
      const at = (a, b) => api.coord([a, b]);
      const line = (from, to) => ({ type: "line", shape: { x1: from[0], y1: from[1], x2: to[0], y2: to[1] }, style: { stroke: tools.token("line-strong"), lineWidth: 1.5, opacity: 0.55 } });
      const [x, y, left, right, low, high] = [0, 1, 2, 3, 4, 5].map((i) => api.value(i));
      const children = [];
      if (Number.isFinite(left) && Number.isFinite(right)) children.push(line(at(left, y), at(right, y)));
      if (Number.isFinite(low) && Number.isFinite(high)) children.push(line(at(x, low), at(x, high)));
      return { type: "group", children };
    },
  }];
}

const bounds = (one, name) => { const [, low, high] = one.metrics[name]; return [low ?? NaN, high ?? NaN]; };

function common(data, tools) {
  return {
    grid: { left: 66, right: 20, top: 14, bottom: 52, containLabel: false },
    legend: { show: false },
    tooltip: { trigger: "item", renderMode: "richText", confine: true, formatter: (hit) => (hit.data?.one ? words(data, hit.data.one) : hit.name || "") },
  };
}

const scatter = (points, tools) => ({
  type: "scatter", name: EXPERIMENTS, data: points, z: 3, cursor: "pointer",
  emphasis: { scale: 1.7, itemStyle: { borderColor: tools.token("ink"), shadowBlur: 6, shadowColor: tools.token("line-strong") } },
});

// Two metrics against each other, the region where constraints hold, the front, the baseline.
export function tradeoff([data], _, tools) {
  const [x, y] = [data.metrics[data.x], data.metrics[data.y]];
  const known = data.points.filter((one) => one.metrics[data.x]?.[0] != null && one.metrics[data.y]?.[0] != null);
  const points = known.map((one) => point(one, [one.metrics[data.x][0], one.metrics[data.y][0]], data, tools));
  const front = points.filter((one) => data.front.includes(one.id)).map((one) => one.value).sort((a, b) => a[0] - b[0]);
  const series = [
    ...region(data, x, y, tools),
    ...whiskers(points, (one) => [...bounds(one, data.x), ...bounds(one, data.y)], tools),
    { type: "line", name: "front", data: front, silent: true, showSymbol: false, z: 2, lineStyle: { color: tools.token("accent"), width: 2, type: "dashed" } },
    scatter(points, tools),
  ];
  if (x.baseline !== null && y.baseline !== null) {
    series.push({
      type: "scatter", name: "baseline", silent: true, z: 4, symbol: "path://M3 0 10 7 17 0 20 3 13 10 20 17 17 20 10 13 3 20 0 17 7 10 0 3Z", symbolSize: 13, data: [[x.baseline, y.baseline]],
      itemStyle: { color: tools.token("ink") }, label: { show: true, formatter: "baseline", position: "right", color: tools.token("ink"), textBorderColor: tools.token("surface"), textBorderWidth: 3, fontFamily: tools.token("sans") },
    });
  }
  const values = (i) => points.flatMap((one) => [one.value[i]]);
  return { ...common(data, tools), xAxis: metricAxis(x, values(0), tools, 32), yAxis: metricAxis(y, values(1), tools, 50), series };
}

// A metric against one setting.
export function setting([data], [index], tools) {
  const name = data.against[Number(index)];
  const axis = data.metrics[data.metric];
  const known = data.points.filter((one) => name in one.settings && one.metrics[data.metric]?.[0] != null);
  const values = known.map((one) => one.settings[name]);
  const numeric = values.every((v) => typeof v === "number");
  const different = [...new Set(values)].sort(numeric ? (a, b) => a - b : undefined);
  const wide = numeric && different[0] > 0 && different.at(-1) / different[0] >= 50;
  const place = (v) => (numeric ? v : String(v));
  const points = known.map((one) => point(one, [place(one.settings[name]), one.metrics[data.metric][0]], data, tools));
  const series = [{ ...scatter(points, tools) }];
  const [low, high] = side(axis);
  if (Number.isFinite(low) || Number.isFinite(high)) series[0].markArea = { silent: true, itemStyle: { color: tools.token("good-soft"), opacity: 0.75 }, data: [[{ yAxis: low }, { yAxis: high }]] };
  if (axis.baseline !== null) series[0].markLine = { silent: true, symbol: "none", lineStyle: { color: tools.token("muted"), type: "dotted" }, label: { show: false }, data: [{ yAxis: axis.baseline }] };
  if (points.length > different.length && different.length > 1 && different.length <= 24) {
    const mean = (v) => { const these = known.filter((one) => one.settings[name] === v).map((one) => one.metrics[data.metric][0]); return these.reduce((a, b) => a + b, 0) / these.length; };
    series.push({ type: "line", name: "mean", silent: true, showSymbol: false, z: 2, data: different.map((v) => [place(v), mean(v)]), lineStyle: { color: tools.token("accent"), width: 2, opacity: 0.8 } });
  }
  const label = { color: tools.token("muted"), fontFamily: tools.token("sans"), hideOverlap: true };
  const xAxis = numeric
    ? { type: wide ? "log" : "value", scale: true, axisLabel: { ...label, formatter: short }, splitLine: { show: false }, boundaryGap: ["4%", "4%"] }
    : { type: "category", data: different.map(String), axisLabel: { ...label, width: 90, overflow: "truncate" } };
  if (numeric && !wide) { const room = (different.at(-1) - different[0]) * 0.06 || 1; xAxis.min = different[0] - room; xAxis.max = different.at(-1) + room; Object.assign(xAxis.axisLabel, { showMinLabel: false, showMaxLabel: false }); }
  if (wide) Object.assign(xAxis, { min: different[0] / 1.6, max: different.at(-1) * 1.6 });
  const yAxis = { ...metricAxis(axis, points.map((one) => one.value[1]), tools, 50), name: "", splitNumber: 4 };
  return { ...common(data, tools), grid: { left: 58, right: 14, top: 10, bottom: 28, containLabel: false }, xAxis, yAxis, series };
}

// What is pointed at in one place is lit in all.
let lit = null;
const charts = new Map();

function light(id) {
  if (id === lit) return;
  lit = id;
  for (const row of document.querySelectorAll(".lit")) row.classList.remove("lit");
  if (id) for (const row of document.querySelectorAll(`[data-point="${CSS.escape(id)}"]`)) row.classList.add("lit");
  for (const [element, chart] of charts) {
    if (!element.isConnected) { charts.delete(element); continue; }
    const at = chart.getOption().series.findIndex((one) => one.name === EXPERIMENTS);
    chart.dispatchAction({ type: "downplay", seriesIndex: at });
    const dataIndex = id ? chart.getOption().series[at].data.findIndex((one) => one.id === id) : -1;
    if (dataIndex >= 0) chart.dispatchAction({ type: "highlight", seriesIndex: at, dataIndex });
  }
}

export function wire(chart, element) {
  charts.set(element, chart);
  chart.on("mouseover", (hit) => { if (hit.data?.id) light(hit.data.id); });
  chart.on("mouseout", () => light(null));
  chart.on("click", (hit) => {
    if (!hit.data?.id) return;
    const address = `/experiments/${encodeURIComponent(hit.data.id)}`;
    const mouse = hit.event?.event;
    if (mouse?.ctrlKey || mouse?.metaKey) open(address, "_blank", "noopener");
    else location.href = address;
  });
}

const pointed = (event) => event.target.closest?.("[data-point]")?.dataset.point ?? null;
document.addEventListener("mouseover", (event) => { if (!event.target.closest?.(".chart")) light(pointed(event)); });
document.addEventListener("focusin", (event) => light(pointed(event)));
