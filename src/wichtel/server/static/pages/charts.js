import { sketch } from "./sketch.js";

// Charts, each fed by the public API. data-chart="experiment.curves" is the function `curves` of charts/experiment.js: of what was fetched, its
// names, and what `tools` has, it gives ECharts its options. A page asks for one such file, whatever it draws. A source such as #points is an
// element of the page whose data-json has it; it is read anew when a part of the page was replaced. `wire` of the file, if there is one, is
// handed each chart that was made, and `painted` each that was painted, with its options. The first picture is a sketch; ECharts, which is
// large, draws when somebody points at one, or at once if `urgent` of the file says so.
const drawn = new Set();

const tools = {
  // A colour or a font of main.css, as it is in this light.
  token: (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim(),
  // A number of the API, which writes those that JSON does not know as words.
  number: (value) => (typeof value === "string" ? { $Infinity: Infinity, "$-Infinity": -Infinity }[value] ?? NaN : value),
};
const { token } = tools;

const carried = (address) => JSON.parse(document.querySelector(address).dataset.json);

// Charts of one page that read the same, as of the same moment, ask for it once.
const asked = new Map();
function ask(address, as = "") {
  const key = `${as} ${address}`;
  if (!asked.has(key)) {
    asked.set(key, fetch(address).then((answer) => { if (!answer.ok) throw new Error(`${address}: ${answer.status}`); return answer.json(); }));
    asked.get(key).catch(() => asked.delete(key));
    setTimeout(() => asked.delete(key), 1000);
  }
  return asked.get(key);
}

// Fetched a while after the first pictures, so that it is there when somebody points at a chart.
let library = null;
const echarts = (assets) => (library ??= import(`${assets}vendor/echarts/echarts.esm.min.js`));
const LATER = 1000;

export async function draw(element, assets) {
  const [file, kind] = element.dataset.chart.split(".");
  const sources = element.dataset.src.split(" ");
  const { follows } = element.dataset;
  // What is fetched is at least as new as this, which is read before.
  let seen = follows && document.querySelector(follows)?.dataset.json;
  const [kinds, ...found] = await Promise.all([
    import(`${assets}pages/charts/${file}.js`),
    ...sources.map((address) => (address.startsWith("#") ? null : ask(address, seen))),
  ]);
  if (!element.isConnected) return;
  let chart = null;
  const paint = () => {
    if (!element.isConnected) { drawn.delete(paint); chart?.dispose(); return; }
    const fetched = found.map((one, i) => one ?? carried(sources[i]));
    const text = { color: token("muted"), fontFamily: token("sans") };
    const axis = { axisLine: { lineStyle: { color: token("line-strong") } }, splitLine: { lineStyle: { color: token("line") } }, axisLabel: text, nameTextStyle: text };
    const options = kinds[kind](fetched, element.dataset.names.split(" "), tools);
    for (const name of ["xAxis", "yAxis"]) options[name] = { ...axis, ...options[name] };
    options.legend = { textStyle: text, inactiveColor: token("line-strong"), top: 0, type: "scroll", itemWidth: 14, itemHeight: 10, itemGap: 14, ...options.legend };
    options.grid ??= { left: 8, right: 16, top: 40, bottom: 8, containLabel: true };
    if (!chart) {
      element.replaceChildren(sketch(options, { width: element.clientWidth, height: element.clientHeight, name: element.id }, tools));
      return;
    }
    // As text on the canvas: markup would bring styles along, which the page forbids.
    chart.setOption({ animation: false, tooltip: { trigger: "axis", renderMode: "richText" }, ...options }, true);
    kinds.painted?.(chart, element, options);
  };
  paint();
  paint.enliven = async () => {
    const { init } = await echarts(assets);
    if (chart || !element.isConnected) return;
    element.replaceChildren();
    chart = init(element, null, { renderer: "canvas" });
    paint();
    kinds.wire?.(chart, element);
  };
  // It tells of the size that there is, too, and to draw all again takes as long as to draw it.
  let { clientWidth: width, clientHeight: height } = element;
  new ResizeObserver(() => {
    if (width === element.clientWidth && height === element.clientHeight) return;
    [width, height] = [element.clientWidth, element.clientHeight];
    if (chart) chart.resize();
    else paint();
  }).observe(element);
  paint.element = element;
  paint.carried = found.includes(null);
  paint.follow = follows && (async () => {
    const now = document.querySelector(follows)?.dataset.json;
    if (now === undefined || now === seen) return;
    const before = seen;
    seen = now;
    try {
      const fresh = await Promise.all(sources.map((address) => ask(address, now)));
      // Meanwhile more happened: what is asked for since then is newer.
      if (seen !== now) return;
      found.splice(0, found.length, ...fresh);
    } catch {
      // The service is away for a moment; the next time asks again.
      if (seen === now) seen = before;
      return;
    }
    paint();
  });
  drawn.add(paint);
  if (paint.follow) paint.follow();
  if (pointing || kinds.urgent?.()) paint.enliven();
  else setTimeout(echarts, LATER, assets);
}

// A chart that is pointed at, and with it the others, of which it lights what belongs together.
let pointing = false;
function enliven(event) {
  const place = event.target.closest?.(".chart, tr[data-trial], [data-point]");
  if (!place || pointing) return;
  pointing = true;
  for (const paint of [...drawn].sort((a, b) => (b.element === place) - (a.element === place))) paint.enliven();
}
for (const how of ["pointerover", "pointerdown", "focusin"]) document.addEventListener(how, enliven);

document.addEventListener("wichtel:replaced", () => {
  for (const paint of drawn) {
    if (paint.carried) paint();
    else if (paint.follow) paint.follow();
  }
});
document.addEventListener("wichtel:theme", () => { for (const paint of drawn) paint(); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { for (const paint of drawn) paint(); });
