// The charts of a study. All but the curves and the importance read the same columns: one entry for each trial that is drawn.
const four = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });
const short = (v) => (v === null || v === undefined ? "–" : typeof v !== "number" ? String(v).slice(0, 60) : v !== 0 && (Math.abs(v) >= 1e6 || Math.abs(v) < 1e-4) ? v.toExponential(2) : four.format(v));
const numeric = (values) => values.every((v) => v === null || typeof v === "number");

function look(tools, state) {
  return { SUCCEEDED: [tools.token("accent"), "circle"], STOPPED: [tools.token("warn"), "triangle"], FAILED: [tools.token("bad"), "diamond"], INFEASIBLE: [tools.token("bad"), "emptyRect"] }[state] ?? [tools.token("muted"), "emptyCircle"];
}

const said = (state) => (state === "INFEASIBLE" ? "breaks a constraint" : state.toLowerCase().replaceAll("_", " "));

function words(data, i) {
  const lines = [`trial ${data.number[i]}, ${said(data.state[i])}${data.feasible[i] ? "" : ", breaks a constraint"}`];
  for (const [name, values] of Object.entries(data.values)) if (values[i] !== null) lines.push(`${name}: ${short(values[i])}`);
  for (const [name, values] of Object.entries(data.config)) if (values[i] !== null) lines.push(`${name}: ${short(values[i])}`);
  if (data.worker[i] !== null) lines.push(`on worker ${data.workers[data.worker[i]]}`);
  if (data.reason[i] !== null) lines.push(data.reasons[data.reason[i]].slice(0, 160));
  return lines.join("\n");
}

const tooltip = (data) => ({ trigger: "item", renderMode: "richText", confine: true, formatter: (hit) => (hit.data?.at === undefined ? hit.name || "" : words(data, hit.data.at)) });

// Failed trials and those at chance would press all others into a line: the scale is that of the better nine tenths.
function scale(values, tools, name) {
  const known = values.filter((v) => Number.isFinite(v)).sort((a, b) => a - b);
  const axis = { type: "value", scale: true, name, nameLocation: "end", axisLabel: { color: tools.token("muted"), fontFamily: tools.token("sans"), formatter: short, showMinLabel: false, showMaxLabel: false } };
  if (!known.length) return axis;
  const at = (q) => known[Math.round(q * (known.length - 1))];
  const room = (at(0.95) - at(0.05)) * 1.5;
  const [low, high] = [known[0], known.at(-1)];
  if (room > 0 && high - low > 4 * room) Object.assign(axis, { min: Math.max(low, at(0.05) - room), max: Math.min(high, at(0.95) + room) });
  return axis;
}

// So many marks of one kind are drawn in one stroke: they still tell what they are and lead to it, but are not lit one by one.
const MANY = 300;

function points(data, tools, place) {
  const byState = new Map();
  data.number.forEach((number, i) => {
    const value = place(i);
    if (value === null || value.some((v) => v === null || v === undefined)) return;
    const state = data.feasible[i] ? data.state[i] : "INFEASIBLE";
    if (!byState.has(state)) byState.set(state, []);
    byState.get(state).push({ value, at: i, id: number });
  });
  return [...byState].map(([state, found]) => {
    const [color, symbol] = look(tools, state);
    return { type: "scatter", name: said(state), data: found, symbol, symbolSize: found.length > MANY ? 4 : 7, large: true, largeThreshold: MANY, itemStyle: { color, opacity: 0.7 }, cursor: "pointer", emphasis: { scale: 2, itemStyle: { opacity: 1, borderColor: tools.token("ink"), borderWidth: 1 } } };
  });
}

// Where there is nothing to be drawn, why.
const nothing = (tools, text) => ({ title: { text, left: "center", top: "middle", textStyle: { color: tools.token("muted"), fontFamily: tools.token("sans"), fontSize: 14, fontWeight: "normal" } }, xAxis: { show: false }, yAxis: { show: false }, series: [] });

const room = { left: 8, right: 24, top: 36, bottom: 26, containLabel: true };
const below = { nameLocation: "middle", nameGap: 28 };

// Each trial's value by number, and the best so far.
export function history([data], [metric], tools) {
  const values = data.values[metric];
  if (values.every((v) => v === null)) return nothing(tools, "No trial has a result yet.");
  const series = points(data, tools, (i) => [data.number[i], tools.number(values[i])]);
  if (data.staircase.length) {
    const last = data.number.at(-1);
    const steps = [...data.staircase, [Math.max(last, data.staircase.at(-1)[0]), data.staircase.at(-1)[1]]];
    series.push({ type: "line", name: "best so far", step: "end", data: steps, showSymbol: false, silent: true, z: 4, lineStyle: { color: tools.token("ink"), width: 2 }, itemStyle: { color: tools.token("ink") } });
  }
  return { grid: room, tooltip: tooltip(data), xAxis: { type: "value", name: "trial", ...below, min: 0, max: "dataMax", minInterval: 1 }, yAxis: scale(values.map(tools.number), tools, ""), series };
}

// Two objectives against each other; the front is drawn through.
export function pareto([data], [x, y], tools) {
  const series = points(data, tools, (i) => [tools.number(data.values[x][i]), tools.number(data.values[y][i])]);
  const place = new Map(data.number.map((number, i) => [number, i]));
  const front = data.front.filter((n) => place.has(n)).map((n) => [data.values[x][place.get(n)], data.values[y][place.get(n)]]).sort((a, b) => a[0] - b[0]);
  series.push({ type: "line", name: "front", data: front, silent: true, symbolSize: 9, z: 4, lineStyle: { color: tools.token("ink"), width: 2, type: "dashed" }, itemStyle: { color: tools.token("ink") } });
  return { grid: room, tooltip: tooltip(data), xAxis: { ...scale(data.values[x].map(tools.number), tools, x), ...below }, yAxis: scale(data.values[y].map(tools.number), tools, y), series };
}

// One parameter against the first objective.
export function slice([data], [parameter], tools) {
  const [metric] = Object.keys(data.values);
  const values = data.config[parameter];
  const plain = numeric(values);
  const known = values.filter((v) => v !== null);
  const wide = plain && known.length && Math.min(...known) > 0 && Math.max(...known) / Math.min(...known) >= 50;
  const label = { color: tools.token("muted"), fontFamily: tools.token("sans"), hideOverlap: true };
  const xAxis = plain
    ? { type: wide ? "log" : "value", scale: true, min: "dataMin", max: "dataMax", splitLine: { show: false }, axisLabel: { ...label, formatter: short, showMinLabel: true } }
    : { type: "category", data: [...new Set(known.map(String))].sort(), axisLabel: { ...label, width: 80, overflow: "truncate" } };
  const series = points(data, tools, (i) => (values[i] === null ? null : [plain ? values[i] : String(values[i]), tools.number(data.values[metric][i])]));
  return { grid: { ...room, top: 12, bottom: 8 }, legend: { show: false }, tooltip: tooltip(data), xAxis, yAxis: { ...scale(data.values[metric].map(tools.number), tools, ""), splitNumber: 3 }, series };
}

const LINES = 300;
const UNUSED = "not used";

// A line for each trial through its values; an axis that is brushed filters the table.
export function parallel([data], [metric, better], tools) {
  const values = data.values[metric].map(tools.number);
  const order = data.number.map((_, i) => i).filter((i) => Number.isFinite(values[i]));
  const every = Math.max(1, Math.ceil(order.length / LINES));
  const best = new Set(data.staircase.map(([number]) => number));
  const drawn = order.filter((i, k) => k % every === 0 || best.has(data.number[i]));
  const names = Object.keys(data.config).filter((name) => new Set(data.config[name]).size > 1).slice(0, 10);
  const axisText = { axisLabel: { color: tools.token("muted"), fontFamily: tools.token("sans"), formatter: short }, nameTextStyle: { color: tools.token("ink"), fontFamily: tools.token("sans") }, axisLine: { lineStyle: { color: tools.token("line-strong") } } };
  const parallelAxis = [...names, metric].map((name, dim) => {
    const column = name === metric && dim === names.length ? drawn.map((i) => values[i]) : drawn.map((i) => data.config[name][i]);
    if (!numeric(column)) {
      const options = [...new Set(column.filter((v) => v !== null).map(String))].sort();
      return { dim, id: name, name, type: "category", data: column.includes(null) ? [...options, UNUSED] : options, ...axisText, axisLabel: { ...axisText.axisLabel, formatter: undefined } };
    }
    const known = column.filter((v) => v !== null);
    const wide = known.length && Math.min(...known) > 0 && Math.max(...known) / Math.min(...known) >= 50;
    return { dim, id: name, name, type: wide ? "log" : "value", scale: true, min: "dataMin", max: "dataMax", ...axisText };
  });
  const columns = names.map((name) => (numeric(data.config[name]) ? (i) => data.config[name][i] ?? NaN : (i) => String(data.config[name][i] ?? UNUSED)));
  const known = drawn.map((i) => values[i]).sort((a, b) => a - b);
  const quantile = (q) => known[Math.round(q * (known.length - 1))] ?? 0;
  return {
    xAxis: { show: false }, yAxis: { show: false }, legend: { show: false },
    parallel: { left: 40, right: 60, top: 34, bottom: 24, parallelAxisDefault: { areaSelectStyle: { color: tools.token("accent"), opacity: 0.25, width: 16 } } },
    parallelAxis,
    visualMap: { show: false, type: "continuous", dimension: names.length, min: quantile(0.1), max: Math.max(quantile(0.9), quantile(0.1) + 1e-12), inRange: { color: better === "smaller" ? [tools.token("accent"), tools.token("line-strong")] : [tools.token("line-strong"), tools.token("accent")] } },
    tooltip: { ...tooltip(data), trigger: "item" },
    series: [{ type: "parallel", name: "trials", progressive: 0, lineStyle: { width: 1, opacity: 0.45 }, inactiveOpacity: 0.03, activeOpacity: 0.7, data: drawn.map((i) => ({ value: [...columns.map((at) => at(i)), values[i]], at: i, id: data.number[i] })) }],
  };
}

// How much each parameter decides.
export function importance([shares], _, tools) {
  const rows = Object.entries(shares).sort((a, b) => a[1] - b[1]);
  if (!rows.length) return nothing(tools, "Too few trials have ended to say.");
  const label = { color: tools.token("ink"), fontFamily: tools.token("sans") };
  return {
    grid: { left: 8, right: 48, top: 8, bottom: 8, containLabel: true }, legend: { show: false },
    tooltip: { trigger: "item", renderMode: "richText", formatter: (hit) => `${hit.name}: ${(hit.value * 100).toFixed(1)}%` },
    xAxis: { type: "value", show: false }, yAxis: { type: "category", data: rows.map(([name]) => name), axisTick: { show: false }, axisLabel: { ...label, width: 160, overflow: "truncate" } },
    series: [{ type: "bar", data: rows.map(([, share]) => share), barMaxWidth: 18, itemStyle: { color: tools.token("accent") }, label: { show: true, position: "right", ...label, formatter: (hit) => `${(hit.value * 100).toFixed(0)}%` } }],
  };
}

// Learning curves; a stopped one ends in a mark, and says why when pointed at.
export function curves([page], [metric], tools) {
  if (!page.items.length) return nothing(tools, "No trial has reported steps.");
  const series = page.items.map((one) => {
    const [color, symbol] = look(tools, one.state);
    const stopped = one.state === "STOPPED";
    const data = one.steps.map((step, i) => [step, tools.number(one.values[i])]);
    const last = data.length - 1;
    return {
      type: "line", name: `trial ${one.number}`, showSymbol: true, symbol: (_, hit) => (hit.dataIndex === last && (stopped || last === 0) ? symbol : "none"), symbolSize: 7, lineStyle: { color, width: 1.2, opacity: stopped ? 0.45 : 0.8 }, itemStyle: { color },
      data: data.map((value, i) => ({ value, id: one.number, told: i === last ? one.reason : "" })), emphasis: { focus: "series", lineStyle: { width: 3, opacity: 1 } }, triggerLineEvent: true,
    };
  });
  const all = page.items.flatMap((one) => one.values.map(tools.number));
  return {
    grid: room, legend: { show: false },
    tooltip: { trigger: "item", renderMode: "richText", confine: true, formatter: (hit) => `${hit.seriesName}\n${metric}: ${short(hit.value?.[1])} at step ${hit.value?.[0]}${hit.data?.told ? `\n${hit.data.told.slice(0, 160)}` : ""}` },
    xAxis: { type: "value", name: "step", ...below, scale: true }, yAxis: scale(all, tools, ""), series,
  };
}

const MOST_WORKERS = 40;

// What ran when: a row for each worker, or, if it is not known who worked, as many as ran at once; what runs still has no right end.
export function timeline([data], _, tools) {
  const begun = data.number.map((_, i) => i).filter((i) => data.started[i] !== null).sort((a, b) => data.started[a] - data.started[b]);
  // A study that was extended counts its time from later on: its first trials began before that.
  const zero = begun.length ? Math.min(0, data.started[begun[0]]) : 0;
  const began = (i) => data.started[i] - zero;
  const latest = Math.max(0, ...begun.map((i) => (data.ended[i] ?? data.started[i]) - zero));
  const ended = (i) => (data.ended[i] === null ? latest + Math.max(latest * 0.02, 0.1) : data.ended[i] - zero);
  const named = data.workers.length > 0 && data.workers.length <= MOST_WORKERS && begun.every((i) => data.worker[i] !== null);
  // The first at the top.
  const workers = data.workers.toReversed();
  const free = [];
  const laneOf = (i) => {
    if (named) return workers.length - 1 - data.worker[i];
    let lane = free.findIndex((until) => until <= began(i) + 1e-6);
    if (lane < 0) lane = free.length;
    free[lane] = data.ended[i] === null ? Infinity : ended(i);
    return lane + 0.5;
  };
  const bars = begun.map((i) => ({ value: [began(i), ended(i), laneOf(i)], at: i, id: data.number[i], itemStyle: { color: look(tools, data.state[i])[0] } }));
  const label = { color: tools.token("muted"), fontFamily: tools.token("sans"), width: 110, overflow: "truncate" };
  return {
    grid: room, legend: { show: false }, tooltip: tooltip(data),
    xAxis: { type: "value", name: "seconds", ...below, min: 0 },
    yAxis: named
      ? { type: "category", data: workers, axisTick: { show: false }, axisLabel: label }
      : { type: "value", name: "at once", min: 0, max: Math.max(1, free.length), minInterval: 1, splitLine: { show: false } },
    series: [{
      type: "custom", name: "trials", data: bars, encode: { x: [0, 1], y: 2 }, clip: true,
      renderItem: (_, api) => {
        const [left, middle] = api.coord([api.value(0), api.value(2)]);
        const [right] = api.coord([api.value(1), api.value(2)]);
        const height = Math.max(1, Math.min(30, api.size([0, 1])[1] - 2));
        return { type: "rect", shape: { x: left, y: middle - height / 2, width: Math.max(1, right - left - 0.5), height }, style: { fill: api.visual("color"), opacity: 0.75 } };
      },
    }],
  };
}

// What is pointed at in one place is lit in all; a point leads to its trial; a brushed axis filters the table.
const places = new Map();
let lit = null;

// Where each trial is in a chart; of a line there is the whole of it.
function placesOf(options) {
  const found = new Map();
  options.series.forEach((series, seriesIndex) => {
    const curve = series.type === "line";
    (curve ? series.data.slice(0, 1) : series.data).forEach((one, dataIndex) => {
      if (one?.id !== undefined) found.set(one.id, curve ? { seriesIndex } : { seriesIndex, dataIndex });
    });
  });
  return found;
}

function light(id) {
  if (id === lit) return;
  const before = lit;
  lit = id;
  for (const row of document.querySelectorAll("tr.lit")) row.classList.remove("lit");
  if (id !== null) document.querySelector(`tr[data-trial="${id}"]`)?.classList.add("lit");
  for (const [element, { chart, trials }] of places) {
    if (!element.isConnected) { places.delete(element); continue; }
    if (trials.has(before)) chart.dispatchAction({ type: "downplay", ...trials.get(before) });
    if (trials.has(id)) chart.dispatchAction({ type: "highlight", ...trials.get(id) });
  }
}

// What the address asks for, by axis: ranges=rate:0.1:0.5,layers:2:4 of numbers, only=kind:deep for each option. The service reads it, too.
function brushed(address) {
  const parts = (address.searchParams.get("ranges") ?? "").split(",").map((part) => part.split(":")).filter((part) => part.length === 3);
  const found = new Map(parts.map(([name, low, high]) => [name, { range: [Number(low), Number(high)] }]));
  for (const one of address.searchParams.getAll("only")) {
    const [name, ...option] = one.split(":");
    if (!found.has(name)) found.set(name, { options: [] });
    found.get(name).options?.push(option.join(":"));
  }
  return found;
}

function ask(address, wanted) {
  address.searchParams.delete("page");
  address.searchParams.delete("only");
  const ranges = [];
  for (const [name, { range, options }] of wanted) {
    if (range) ranges.push(`${name}:${Number(range[0].toPrecision(6))}:${Number(range[1].toPrecision(6))}`);
    else for (const option of options) address.searchParams.append("only", `${name}:${option}`);
  }
  if (ranges.length) address.searchParams.set("ranges", ranges.join(","));
  else address.searchParams.delete("ranges");
}

function filtered(chart, { parallelAxisId: name, intervals = [] }) {
  const axis = chart.getOption().parallelAxis.find((one) => one.id === name);
  if (!axis) return;
  const address = new URL(location.href);
  const wanted = brushed(address);
  const [interval] = intervals;
  if (!interval) wanted.delete(name);
  else if (axis.type === "category") wanted.set(name, { options: axis.data.filter((_, k) => k >= Math.ceil(interval[0]) && k <= Math.floor(interval[1])) });
  else wanted.set(name, { range: interval });
  ask(address, wanted);
  if (address.href !== location.href) table.show(address);
}

// What the address asks for is seen on the axes.
function mark(chart, axes) {
  const wanted = brushed(new URL(location.href));
  for (const { id, data } of axes) {
    const { range, options } = wanted.get(id) ?? {};
    const places = (options ?? []).map((option) => data?.indexOf(option) ?? -1).filter((k) => k >= 0);
    const interval = range ?? (places.length ? [Math.min(...places) - 0.4, Math.max(...places) + 0.4] : null);
    chart.dispatchAction({ type: "axisAreaSelect", parallelAxisId: id, intervals: interval ? [interval] : [] });
  }
}

// The table alone is fetched; the address keeps what is shown.
const table = {
  wanted: "",
  async show(address) {
    table.wanted = address.href;
    const part = new URL(address);
    part.searchParams.set("part", "trials");
    const answer = await fetch(part, { headers: { "HX-Request": "true" } });
    if (!answer.ok || table.wanted !== address.href) return;
    document.querySelector("#trials").innerHTML = await answer.text();
    document.querySelector("#study").dataset.liveSrc = address.pathname + address.search;
    window.history.replaceState(null, "", address);
  },
};

// Only ECharts shows what is brushed.
export const urgent = () => brushed(new URL(location.href)).size > 0;

export function painted(chart, element, options) {
  places.set(element, { chart, trials: placesOf(options) });
  if (options.parallelAxis) mark(chart, options.parallelAxis);
}

export function wire(chart) {
  chart.on("mouseover", (hit) => { if (hit.data?.id !== undefined) light(hit.data.id); });
  chart.on("mouseout", () => light(null));
  chart.on("axisareaselected", (what) => { for (const one of what.batch ?? [what]) filtered(chart, one); });
  chart.on("click", (hit) => {
    if (hit.data?.id === undefined) return;
    const address = new URL(location.href);
    address.searchParams.set("trial", hit.data.id);
    location.href = address;
  });
}

document.addEventListener("mouseover", (event) => {
  if (event.target.closest?.(".chart")) return;
  const row = event.target.closest?.("tr[data-trial]");
  light(row ? Number(row.dataset.trial) : null);
});
