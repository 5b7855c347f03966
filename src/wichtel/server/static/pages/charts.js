// Charts, each fed by the public API. A kind of chart is a function of what was fetched that gives ECharts its options.
const drawn = new Set();

function token(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

const number = (value) => (typeof value === "string" ? { $Infinity: Infinity, "$-Infinity": -Infinity }[value] ?? NaN : value);

const kinds = {
  // Metrics by step: the first metric that all have, the others to be chosen in the legend.
  curves(fetched, names) {
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
  },
};

export async function draw(element, assets) {
  const [echarts, ...fetched] = await Promise.all([
    import(`${assets}vendor/echarts/echarts.esm.min.js`),
    ...element.dataset.src.split(" ").map((address) => fetch(address).then((answer) => answer.json())),
  ]);
  element.replaceChildren();
  const chart = echarts.init(element, null, { renderer: "canvas" });
  const paint = () => {
    const text = { color: token("muted"), fontFamily: token("sans") };
    const axis = { axisLine: { lineStyle: { color: token("line-strong") } }, splitLine: { lineStyle: { color: token("line") } }, axisLabel: text, nameTextStyle: text };
    const options = kinds[element.dataset.chart](fetched, element.dataset.names.split(" "));
    for (const name of ["xAxis", "yAxis"]) options[name] = { ...axis, ...options[name] };
    options.legend = { textStyle: text, inactiveColor: token("line-strong"), top: 0, ...options.legend };
    // As text on the canvas: markup would bring styles along, which the page forbids.
    chart.setOption({ animation: false, grid: { left: 8, right: 16, top: 40, bottom: 8, containLabel: true }, tooltip: { trigger: "axis", renderMode: "richText" }, ...options }, true);
  };
  paint();
  new ResizeObserver(() => chart.resize()).observe(element);
  drawn.add(paint);
}

document.addEventListener("wichtel:theme", () => { for (const paint of drawn) paint(); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { for (const paint of drawn) paint(); });
