// The first picture of a chart, as SVG: what ECharts makes of the same options, as far as our charts use them. A browser that never saw
// ECharts needs half a second for its megabyte; this is there at once. When somebody points at it, ECharts takes its place (charts.js).
const SPACE = "http://www.w3.org/2000/svg";
const TEXT = 12;
const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const TIMES = [HOUR / 60, HOUR / 12, HOUR / 4, HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 4 * DAY, 7 * DAY, 14 * DAY];
const MONTHS = [1, 2, 3, 6, 12, 24, 60, 120];
const MONTH = 30.4 * DAY;
const TICKS = 8;
const ruler = document.createElement("canvas").getContext("2d");

function make(name, attributes, ...children) {
  const made = document.createElementNS(SPACE, name);
  for (const [key, value] of Object.entries(attributes)) if (value !== undefined && value !== null) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function measured(text, font) {
  ruler.font = `${TEXT}px ${font}`;
  return ruler.measureText(text).width;
}

function cut(text, room, font) {
  if (!room || measured(text, font) <= room) return text;
  let end = text.length;
  while (end > 1 && measured(`${text.slice(0, end)}…`, font) > room) end -= 1;
  return `${text.slice(0, end)}…`;
}

const px = (v) => Math.round(v * 10) / 10;
const write = (x, y, text, style, more = {}) => make("text", { x: px(x), y: px(y), fill: style?.color, "font-family": style?.fontFamily, "font-size": style?.fontSize ?? TEXT, ...more }, text);
const rule = (x1, y1, x2, y2, line) => make("line", { x1: px(x1), y1: px(y1), x2: px(x2), y2: px(y2), stroke: line?.color, "stroke-width": line?.width ?? 1 });
const dashes = { dashed: "8 6", dotted: "2 3" };

// -- scales: where a value is between 0 and 1, and what is written beside it

// Not by toLocaleString, whose first word takes as long as a whole chart.
const plain = (v) => {
  const [whole, ...rest] = String(typeof v === "number" ? Number(v.toPrecision(10)) : v).split(".");
  return [whole.replace(/\B(?=(\d{3})+$)/g, ","), ...rest].join(".");
};

function nice(step) {
  const power = 10 ** Math.floor(Math.log10(step));
  const lead = step / power;
  return (lead < 1.5 ? 1 : lead < 2.5 ? 2 : lead < 4 ? 3 : lead < 7 ? 5 : 10) * power;
}

function linear(axis, low, high) {
  const given = (end, own) => (end === undefined || end === null ? null : typeof end === "number" ? end : own);
  const [least, most] = [given(axis.min, low), given(axis.max, high)];
  let [from, to] = axis.scale ? [low, high] : [Math.min(0, low), Math.max(0, high)];
  [from, to] = [least ?? from, most ?? to];
  if (from === to) [from, to] = [least ?? from - (Math.abs(from) / 2 || 1), most ?? to + (Math.abs(to) / 2 || 1)];
  if (from === to) to += 1;
  const step = Math.max(nice((to - from) / (axis.splitNumber ?? 5)), axis.minInterval ?? 0);
  if (least === null) from = Math.floor(from / step + 1e-9) * step;
  if (most === null) to = Math.ceil(to / step - 1e-9) * step;
  const ticks = [];
  for (let n = Math.ceil(from / step - 1e-9); n * step <= to + step * 1e-9; n += 1) ticks.push(Number((n * step).toPrecision(12)));
  if (ticks[0] > from + step * 1e-6) ticks.unshift(from);
  if (ticks.at(-1) < to - step * 1e-6) ticks.push(to);
  return { at: (v) => (v - from) / (to - from), ticks, from, to };
}

function logarithmic(axis, low, high) {
  const end = (given, own, round) => (typeof given === "number" ? Math.log10(given) : given ? Math.log10(own) : round(Math.log10(own)));
  let [from, to] = [end(axis.min, low, Math.floor), end(axis.max, high, Math.ceil)];
  if (from === to) [from, to] = [from - 0.5, to + 0.5];
  const every = Math.max(1, Math.ceil((to - from) / 5));
  const ticks = [];
  for (let n = Math.ceil(from - 1e-9); n <= to + 1e-9; n += every) ticks.push(Number((10 ** n).toPrecision(12)));
  if (from % 1) ticks.unshift(10 ** from);
  if (to % 1) ticks.push(10 ** to);
  return { at: (v) => (Math.log10(v) - from) / (to - from), ticks, from: 10 ** from, to: 10 ** to };
}

function temporal(low, high) {
  if (low === high) [low, high] = [low - HOUR, high + HOUR];
  const ticks = [];
  const step = TIMES.find((one) => (high - low) / one <= TICKS);
  if (step) {
    const shift = new Date(low).getTimezoneOffset() * (HOUR / 60);
    for (let t = Math.ceil((low - shift) / step) * step + shift; t <= high; t += step) ticks.push(t);
  } else {
    const months = MONTHS.find((one) => (high - low) / MONTH / one <= TICKS) ?? MONTHS.at(-1);
    for (let n = 0, t = -Infinity; t <= high; n += months) {
      t = Number(new Date(new Date(low).getFullYear(), n, 1));
      if (t >= low && t <= high) ticks.push(t);
    }
  }
  const form = new Intl.DateTimeFormat("en", step < DAY ? { hour: "2-digit", minute: "2-digit", hourCycle: "h23" } : step ? { month: "short", day: "numeric" } : { month: "short" });
  const label = (t) => (!step && new Date(t).getMonth() === 0 ? String(new Date(t).getFullYear()) : form.format(t));
  return { at: (v) => (v - low) / (high - low), ticks, from: low, to: high, label };
}

function banded(names) {
  const place = new Map(names.map((name, i) => [String(name), i]));
  return { at: (v) => ((typeof v === "number" ? v : (place.get(v) ?? NaN)) + 0.5) / names.length, ticks: names.map((_, i) => i), label: (i) => String(names[i]), band: 1 / names.length };
}

function scaled(axis, values) {
  if (axis.type === "category") return banded(axis.data);
  let [low, high] = [Infinity, -Infinity];
  for (const v of values) if (Number.isFinite(v) && (axis.type !== "log" || v > 0)) { low = Math.min(low, v); high = Math.max(high, v); }
  if (low > high) [low, high] = [axis.type === "log" ? 0.1 : 0, 1];
  if (axis.type === "time") return temporal(low, high);
  return axis.type === "log" ? logarithmic(axis, low, high) : linear(axis, low, high);
}

// What is written at the ticks of an axis; the ends only where they are wanted.
function labelled(axis, scale, font) {
  const { showMinLabel, showMaxLabel, formatter, width } = axis.axisLabel ?? {};
  return scale.ticks.map((tick, i) => {
    const hidden = (i === 0 && showMinLabel === false && tick === scale.from) || (i === scale.ticks.length - 1 && showMaxLabel === false && tick === scale.to);
    return hidden ? "" : cut(String(formatter ? formatter(scale.label ? scale.label(tick) : tick) : (scale.label ?? plain)(tick)), width, font);
  });
}

// -- marks

function shape(symbol, x, y, size) {
  const r = size / 2;
  switch (symbol.replace("empty", "").toLowerCase()) {
    case "triangle": return `M${px(x)} ${px(y - r)}L${px(x + r)} ${px(y + r)}H${px(x - r)}Z`;
    case "diamond": return `M${px(x)} ${px(y - r)}L${px(x + r)} ${px(y)} ${px(x)} ${px(y + r)} ${px(x - r)} ${px(y)}Z`;
    case "rect": return `M${px(x - r)} ${px(y - r)}h${size}v${size}h${-size}Z`;
    default: return `M${px(x - r)} ${px(y)}a${r} ${r} 0 1 0 ${size} 0a${r} ${r} 0 1 0 ${-size} 0`;
  }
}

// A path of its own, drawn as large as a mark.
function drawnPath(path, x, y, size, look) {
  const numbers = path.match(/-?[\d.]+/g).map(Number);
  const extent = (odd) => { const own = numbers.filter((_, i) => i % 2 === odd); return [Math.min(...own), Math.max(...own)]; };
  const [[left, right], [top, bottom]] = [extent(0), extent(1)];
  const grow = size / Math.max(right - left, bottom - top, 1e-9);
  return make("path", { d: path, transform: `translate(${px(x - size / 2)} ${px(y - size / 2)}) scale(${grow}) translate(${-left} ${-top})`, ...look });
}

const filled = (symbol, style, surface) => (symbol.startsWith("empty")
  ? { fill: surface, stroke: style.color, "stroke-width": 2, opacity: style.opacity }
  : { fill: style.color, stroke: style.borderColor, "stroke-width": style.borderWidth, opacity: style.opacity });

const trace = (points) => {
  let path = "";
  let broken = true;
  for (const [x, y] of points) {
    const known = Number.isFinite(x) && Number.isFinite(y);
    if (known) path += `${broken ? "M" : "L"}${px(x)} ${px(y)}`;
    broken = !known;
  }
  return path;
};

const stepped = (points) => points.flatMap(([x, y], i) => (i ? [[x, points[i - 1][1]], [x, y]] : [[x, y]]));

function element(one) {
  const { shape: at, style } = one;
  if (one.type === "group") return make("g", {}, ...one.children.map(element));
  if (one.type === "line") return make("line", { ...at, stroke: style.stroke, "stroke-width": style.lineWidth, opacity: style.opacity });
  return make("rect", { ...at, fill: style.fill, opacity: style.opacity });
}

// -- a chart with two axes

function values(one) {
  const value = one !== null && typeof one === "object" && !Array.isArray(one) ? one.value : one;
  return value;
}

function cartesian(options, size, tools) {
  const { grid, xAxis, yAxis } = options;
  const text = { color: tools.token("muted"), fontFamily: tools.token("sans") };
  const hidden = options.legend.selected ?? {};
  const series = options.series.filter((one) => hidden[one.name] !== false);
  const clock = (v) => (xAxis.type === "time" && typeof v === "string" ? Date.parse(v) : v);
  const place = (one, i) => {
    const value = values(one);
    if (Array.isArray(value)) return [clock(value[0]), value[1]];
    return yAxis.type === "category" ? [value, i] : [i, value];
  };
  // What each axis has to show.
  const seen = { x: [], y: [] };
  const heights = new Map();
  for (const one of series) {
    one.data.forEach((item, i) => {
      if (one.encode) {
        for (const way of ["x", "y"]) seen[way].push(...[one.encode[way]].flat().map((k) => values(item)[k]));
        return;
      }
      const [x, y] = place(item, i);
      if (one.type === "bar" && yAxis.type !== "category") {
        const key = `${one.stack ?? one.name} ${x}`;
        heights.set(key, (one.stack ? heights.get(key) ?? 0 : 0) + (y ?? 0));
        seen.y.push(heights.get(key));
      } else {
        seen.x.push(x);
        seen.y.push(y);
      }
    });
  }
  const [xs, ys] = [scaled(xAxis, seen.x), scaled(yAxis, seen.y)];
  const [below, beside] = [xAxis.show === false ? [] : labelled(xAxis, xs, text.fontFamily), yAxis.show === false ? [] : labelled(yAxis, ys, text.fontFamily)];
  const left = grid.left + (grid.containLabel && beside.length ? Math.max(...beside.map((label) => measured(label, text.fontFamily))) + 8 : 0);
  const bottom = size.height - grid.bottom - (grid.containLabel ? TEXT + 3 : 0);
  const [top, right] = [grid.top, size.width - grid.right];
  const across = (v) => left + xs.at(v) * (right - left);
  const up = (v) => bottom - ys.at(v) * (bottom - top);
  const drawn = [];

  // Lines and numbers of the axes.
  const style = (axis) => ({ ...text, ...axis.axisLabel });
  if (yAxis.show !== false) {
    const lines = yAxis.splitLine?.show ?? yAxis.type !== "category";
    ys.ticks.forEach((tick, i) => {
      if (lines && !ys.band) drawn.push(rule(left, up(tick), right, up(tick), yAxis.splitLine.lineStyle));
      if (lines && ys.band) drawn.push(rule(left, up(tick - 0.5), right, up(tick - 0.5), yAxis.splitLine.lineStyle));
      drawn.push(write(left - 8, up(tick) + 4, beside[i], style(yAxis), { "text-anchor": "end" }));
    });
    if (yAxis.axisLine?.show ?? (xAxis.type === "value" || xAxis.type === "log")) drawn.push(rule(left, top, left, bottom, yAxis.axisLine?.lineStyle));
    if (yAxis.name) drawn.push(yAxis.nameLocation === "middle"
      ? write(0, 0, yAxis.name, text, { "text-anchor": "middle", transform: `translate(${px(left - yAxis.nameGap)} ${px((top + bottom) / 2)}) rotate(-90)` })
      : write(left, top - 15, yAxis.name, text, { "text-anchor": "middle" }));
  }
  if (xAxis.show !== false) {
    const lines = xAxis.splitLine?.show ?? (xAxis.type === "value" || xAxis.type === "log");
    let free = -Infinity;
    xs.ticks.forEach((tick, i) => {
      const x = across(tick);
      if (lines) drawn.push(rule(x, top, x, bottom, xAxis.splitLine?.lineStyle));
      const half = measured(below[i], text.fontFamily) / 2;
      if (!below[i] || x - half < free) return;
      free = x + half + 8;
      drawn.push(write(x, bottom + 15, below[i], style(xAxis), { "text-anchor": "middle" }));
    });
    if (xAxis.axisLine?.show !== false) drawn.push(rule(left, bottom, right, bottom, xAxis.axisLine?.lineStyle));
    if (xAxis.name) drawn.push(xAxis.nameLocation === "middle" ? write((left + right) / 2, bottom + (xAxis.nameGap ?? 15) + 8, xAxis.name, text, { "text-anchor": "middle" }) : write(right + 4, bottom + 4, xAxis.name, text));
  }

  const stacked = new Map();
  const marks = series.map((one) => [one.z ?? 2, () => {
    const { itemStyle = {}, lineStyle = {} } = one;
    const at = one.type === "custom" ? [] : one.data.map((item, i) => { const [x, y] = place(item, i); return [across(x), up(y)]; });
    const group = make("g", {});
    for (const [[from, to]] of one.markArea ? [one.markArea.data] : []) {
      const bound = (v, of, low, high) => (v === undefined || v === -Infinity ? low : v === Infinity ? high : of(v));
      const [x1, x2] = [bound(from.coord?.[0] ?? from.xAxis, across, left, right), bound(to.coord?.[0] ?? to.xAxis ?? Infinity, across, left, right)];
      const [y1, y2] = [bound(from.coord?.[1] ?? from.yAxis, up, bottom, top), bound(to.coord?.[1] ?? to.yAxis ?? Infinity, up, bottom, top)];
      group.append(make("rect", { x: px(Math.min(x1, x2)), y: px(Math.min(y1, y2)), width: px(Math.abs(x2 - x1)), height: px(Math.abs(y2 - y1)), fill: one.markArea.itemStyle.color, opacity: one.markArea.itemStyle.opacity }));
    }
    for (const mark of one.markLine?.data ?? []) {
      const line = rule(left, up(mark.yAxis), right, up(mark.yAxis), one.markLine.lineStyle);
      line.setAttribute("stroke-dasharray", dashes[one.markLine.lineStyle.type]);
      group.append(line);
    }
    if (one.type === "line") {
      group.append(make("path", { d: trace(one.step ? stepped(at) : at), fill: "none", stroke: lineStyle.color ?? itemStyle.color, "stroke-width": lineStyle.width ?? 2, opacity: lineStyle.opacity, "stroke-dasharray": dashes[lineStyle.type], "stroke-linejoin": "round" }));
      if (one.showSymbol === false || one.symbol === "none") return group;
      at.forEach(([x, y], i) => {
        const symbol = typeof one.symbol === "function" ? one.symbol(one.data[i], { dataIndex: i }) : one.symbol ?? "emptyCircle";
        if (symbol !== "none" && Number.isFinite(y)) group.append(make("path", { d: shape(symbol, x, y, one.symbolSize ?? 4), ...filled(symbol, itemStyle, tools.token("surface")) }));
      });
    } else if (one.type === "scatter") {
      const together = new Map();
      at.forEach(([x, y], i) => {
        if (!Number.isFinite(x) || !Number.isFinite(y)) return;
        const item = one.data[i];
        const look = { symbol: "circle", symbolSize: 10, ...one, ...(item?.itemStyle ? item : {}) };
        const looks = filled(look.symbol, { opacity: 0.8, ...itemStyle, ...item?.itemStyle }, tools.token("surface"));
        if (look.symbol.startsWith("path://")) {
          group.append(drawnPath(look.symbol.slice(7), x, y, look.symbolSize, looks));
        } else {
          const key = JSON.stringify(looks);
          together.set(key, (together.get(key) ?? "") + shape(look.symbol, x, y, look.symbolSize));
        }
        if (one.label?.show) group.append(write(x + look.symbolSize / 2 + 5, y + 4, one.label.formatter, one.label, { stroke: one.label.textBorderColor, "stroke-width": one.label.textBorderWidth, "paint-order": "stroke" }));
      });
      for (const [looks, path] of together) group.append(make("path", { d: path, ...JSON.parse(looks) }));
    } else if (one.type === "bar") {
      const flat = yAxis.type === "category";
      const band = Math.abs(flat ? (bottom - top) * ys.band : (right - left) * xs.band);
      const thick = Math.min(band * 0.8, one.barMaxWidth ?? Infinity);
      one.data.forEach((item, i) => {
        const value = values(item) ?? 0;
        const begin = one.stack ? stacked.get(i) ?? 0 : 0;
        stacked.set(i, begin + value);
        if (!value) return;
        if (flat) {
          group.append(make("rect", { x: px(across(0)), y: px(up(i) - thick / 2), width: px(across(value) - across(0)), height: px(thick), fill: itemStyle.color }));
          if (one.label?.show) group.append(write(across(value) + 5, up(i) + 4, one.label.formatter({ value }), one.label));
        } else {
          group.append(make("rect", { x: px(across(i) - thick / 2), y: px(up(begin + value)), width: px(thick), height: px(up(begin) - up(begin + value)), fill: itemStyle.color }));
        }
      });
    } else if (one.type === "custom") {
      for (const item of one.data) {
        const api = { value: (k) => values(item)[k], coord: ([x, y]) => [across(x), up(y)], size: ([w, h]) => [Math.abs(across(w) - across(0)), Math.abs(up(h) - up(0))], visual: () => item.itemStyle?.color };
        group.append(element(one.renderItem({}, api)));
      }
    }
    return group;
  }]);
  const inside = make("g", { "clip-path": `url(#clip-${size.name})` });
  for (const [, mark] of marks.toSorted((a, b) => a[0] - b[0])) inside.append(mark());
  const clip = make("clipPath", { id: `clip-${size.name}` }, make("rect", { x: left - 6, y: top - 6, width: Math.max(0, right - left + 60), height: Math.max(0, bottom - top + 12) }));
  return [clip, ...drawn, inside, ...legend(options, size, tools)];
}

function legend({ legend: given, series }, size, tools) {
  if (given.show === false) return [];
  const font = tools.token("sans");
  const names = [...new Set(given.data ?? series.map((one) => one.name))].filter((name) => name !== undefined);
  const widths = names.map((name) => given.itemWidth + 5 + measured(name, font) + given.itemGap);
  let x = Math.max(5, (size.width - widths.reduce((a, b) => a + b, -given.itemGap)) / 2);
  return names.flatMap((name, i) => {
    const one = series.find((s) => s.name === name) ?? {};
    const off = given.selected?.[name] === false;
    const color = off ? given.inactiveColor : one.itemStyle?.color ?? one.data?.find((item) => item?.itemStyle)?.itemStyle.borderColor ?? one.lineStyle?.color;
    const begin = x;
    x += widths[i];
    if (x - given.itemGap > size.width) return [];
    const middle = begin + given.itemWidth / 2;
    const symbol = given.icon ?? (one.type === "bar" ? "rect" : typeof one.symbol === "string" && one.symbol !== "none" ? one.symbol : "circle");
    const line = one.type === "line" && !given.icon;
    const mark = line ? rule(begin, 9, begin + given.itemWidth, 9, { color, width: 2 }) : make("path", { d: shape(symbol, middle, 9, given.itemHeight), ...filled(symbol, { color, opacity: one.itemStyle?.opacity }, tools.token("surface")) });
    if (line && one.lineStyle?.type in dashes) mark.setAttribute("stroke-dasharray", "4 3");
    return [mark, write(begin + given.itemWidth + 5, 13, name, { color: off ? given.inactiveColor : tools.token("muted"), fontFamily: font })];
  });
}

// -- lines through many axes

function parallel(options, size, tools) {
  const { parallel: grid, parallelAxis: axes, visualMap, series: [one] } = options;
  const font = tools.token("sans");
  const [top, bottom] = [grid.top, size.height - grid.bottom];
  const gap = (size.width - grid.left - grid.right) / Math.max(1, axes.length - 1);
  const at = (dim) => (axes.length > 1 ? grid.left + dim * gap : size.width / 2);
  const scales = axes.map((axis) => scaled(axis, one.data.map((item) => item.value[axis.dim])));
  const up = (dim, v) => bottom - scales[dim].at(v) * (bottom - top);
  const drawn = one.data.map(({ value }) => {
    const share = Math.round(Math.min(1, Math.max(0, (value[visualMap.dimension] - visualMap.min) / (visualMap.max - visualMap.min))) * 100);
    const [low, high] = visualMap.inRange.color;
    return make("path", { d: trace(axes.map(({ dim }) => [at(dim), up(dim, value[dim])])), fill: "none", stroke: `color-mix(in srgb, ${high} ${share}%, ${low})`, "stroke-width": one.lineStyle.width, opacity: one.lineStyle.opacity });
  });
  for (const axis of axes) {
    const { dim } = axis;
    const scale = scales[dim];
    drawn.push(rule(at(dim), top, at(dim), bottom, axis.axisLine?.lineStyle), write(at(dim), top - 15, axis.name, axis.nameTextStyle, { "text-anchor": "middle" }));
    let free = Infinity;
    labelled(axis, scale, font).forEach((label, i) => {
      const y = up(dim, scale.ticks[i]);
      if (!label || y > free) return;
      free = y - TEXT;
      drawn.push(rule(at(dim), y, at(dim) + 5, y, axis.axisLine?.lineStyle), write(at(dim) + 8, y + 4, label, axis.axisLabel));
    });
  }
  return drawn;
}

// The options as a picture of that size.
export function sketch(options, { width, height, name }, tools) {
  const size = { width, height, name };
  const picture = make("svg", { width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
  if (options.title) picture.append(write(width / 2, height / 2 + 5, options.title.text, options.title.textStyle, { "text-anchor": "middle" }));
  else picture.append(...(options.parallel ? parallel : cartesian)(options, size, tools));
  return picture;
}
