// What every page does: the theme, keys, times that stay true, tables without reloads. The rest is loaded where it is needed.
const head = document.querySelector("script[data-assets]");

function remember(name, value) {
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `wichtel_${name}=${value}; Path=/; Max-Age=31536000; SameSite=Lax${secure}`;
}

// Fetches a part of a page and puts it into its place; `wanted` is asked again before, since the reader may have gone on.
export async function fetchPart(address, place, swap, wanted = () => true) {
  const answer = await fetch(address, { headers: { Accept: "text/html", "HX-Request": "true", "HX-Current-URL": location.href } });
  const elsewhere = answer.headers.get("HX-Redirect");
  if (elsewhere) { location.href = elsewhere; return; }
  const text = await answer.text();
  if (!wanted() || !place.isConnected) return;
  const other = answer.headers.get("HX-Retarget");
  // What has the id of something that goes is given its style for a moment, which the page forbids.
  if (swap === "innerHTML") for (const chart of place.querySelectorAll(".chart[style]")) chart.removeAttribute("style");
  await htmx.swap({ text, target: other ? document.querySelector(other) : place, swap: other ? "innerHTML" : swap, sourceElement: place });
  if (!other) document.getElementById("messages").replaceChildren();
  document.dispatchEvent(new CustomEvent("wichtel:replaced"));
}

// -- theme: as the system has it, until somebody switches
document.querySelector("[data-theme-switch]")?.addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  remember("theme", root.dataset.theme);
  document.dispatchEvent(new CustomEvent("wichtel:theme"));
});

// -- keys
const keys = document.getElementById("keys");
document.querySelector("[data-keys-open]")?.addEventListener("click", () => keys.showModal());
let going = false;
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input:not([type=checkbox]), textarea, select, dialog")) return;
  if (going) {
    going = false;
    document.querySelector(`[data-go="${CSS.escape(event.key)}"]`)?.click();
    return;
  }
  const rows = [...document.querySelectorAll("tr[data-row]")];
  const at = rows.findIndex((row) => "at" in row.dataset);
  if (event.key === "/") {
    const search = document.querySelector("[data-search]");
    if (!search) { location.href = "/experiments"; return; }
    event.preventDefault();
    search.focus();
    search.select();
  } else if (event.key === "?") keys?.showModal();
  else if (event.key === "g") { going = true; setTimeout(() => { going = false; }, 1200); }
  else if ((event.key === "j" || event.key === "k") && rows.length) {
    if (at >= 0) delete rows[at].dataset.at;
    const next = rows[Math.min(Math.max(at + (event.key === "j" ? 1 : -1), 0), rows.length - 1)];
    next.dataset.at = "";
    next.scrollIntoView({ block: "nearest" });
  } else if (event.key === "x" && at >= 0) rows[at].querySelector("input[type=checkbox]")?.click();
  else if (event.key === "Enter" && at >= 0 && event.target === document.body) location.href = rows[at].dataset.row;
});
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") for (const menu of document.querySelectorAll("details.menu[open]")) { menu.open = false; menu.querySelector("summary").focus(); }
});

// -- times
const units = [[60, 1, "s"], [3600, 60, "min"], [86400, 3600, "h"], [2592000, 86400, "d"]];
function rough(seconds) {
  for (const [end, unit, name] of units) if (seconds < end) return `${Math.floor(seconds / unit)} ${name}`;
  return seconds < 31536000 ? `${Math.floor(seconds / 2592000)} mo` : `${(seconds / 31536000).toFixed(1)} y`;
}
setInterval(() => {
  if (document.hidden) return;
  for (const time of document.querySelectorAll("time[datetime]")) {
    const seconds = (Date.now() - Date.parse(time.dateTime)) / 1000;
    time.textContent = Math.abs(seconds) < 5 ? "just now" : seconds > 0 ? `${rough(seconds)} ago` : `in ${rough(-seconds)}`;
  }
}, 15000);

// -- questions before what cannot be undone; buttons that need a choice
document.addEventListener("submit", (event) => {
  const question = event.submitter?.dataset.confirm ?? event.target.dataset.confirm;
  if (question && !confirm(question)) event.preventDefault();
});

// -- what is shown once is taken along
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const field = document.querySelector(button.dataset.copy);
  field.select();
  // Without a certificate browsers offer no clipboard; what is selected can be copied by hand.
  await navigator.clipboard?.writeText(field.value);
  if (navigator.clipboard) button.textContent = "Copied";
});

// -- <a data-part="#place">: what it leads to is shown in that place; a second time, it goes. Without scripts it is a page.
document.addEventListener("click", async (event) => {
  const link = event.target.closest("a[data-part]");
  if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const address = link.getAttribute("href");
  const place = document.querySelector(link.dataset.part);
  const again = place.dataset.liveSrc === address;
  for (const other of document.querySelectorAll(`a[data-part="${link.dataset.part}"][data-at]`)) delete other.dataset.at;
  if (again) { delete place.dataset.liveSrc; place.replaceChildren(); return; }
  link.dataset.at = "";
  place.dataset.liveSrc = address;
  await fetchPart(address, place, "innerHTML", () => place.dataset.liveSrc === address);
  place.scrollIntoView({ block: "nearest" });
});

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-submits]")) event.target.form.requestSubmit();
});

function choices() {
  for (const button of document.querySelectorAll("[data-needs-choice]")) button.disabled = !button.form.querySelector(`td ${button.dataset.needsChoice}`);
}
choices();
document.addEventListener("change", choices);
document.addEventListener("wichtel:replaced", choices);

// -- lists: only the table is replaced, the address changes with it
const results = document.getElementById("results");
let asked = 0;
async function replace(address) {
  const number = ++asked;
  results.classList.add("htmx-request");
  try {
    await fetchPart(address, results, "innerHTML", () => number === asked);
  } finally {
    if (number === asked) results.classList.remove("htmx-request");
  }
  results.dataset.liveSrc = address;
  const first = !new URL(address, location.href).searchParams.get("cursor");
  const live = results.dataset.liveFirst ?? "experiment/";
  if (first && live) results.dataset.live = live;
  else delete results.dataset.live;
}
if (results) {
  const show = (address) => {
    history.pushState({ address }, "", address);
    replace(address);
  };
  history.replaceState({ address: location.pathname + location.search }, "");
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-swap], #results .tabs a");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const address = link.getAttribute("href");
    const query = document.querySelector("[data-search]");
    if (query) query.value = new URL(address, location.href).searchParams.get("query") ?? "";
    show(address);
  });
  document.addEventListener("submit", (event) => {
    if (!event.target.matches("form[data-swap]")) return;
    event.preventDefault();
    const given = new URLSearchParams();
    for (const [name, value] of new FormData(event.target)) if (value !== "") given.append(name, value);
    show(`${event.target.getAttribute("action")}?${given}`);
  });
  addEventListener("popstate", (event) => {
    if (!event.state?.address) return;
    const query = document.querySelector("[data-search]");
    if (query) query.value = new URL(location.href).searchParams.get("query") ?? "";
    replace(event.state.address);
  });
}

// -- the first login: the link that the service printed has the token where no server is told of it
function comeIn() {
  const field = document.querySelector("input[name=token]");
  if (location.pathname !== "/login" || !field || !location.hash.startsWith("#wt_")) return;
  field.value = location.hash.slice(1);
  history.replaceState(null, "", location.pathname + location.search);
  field.form.requestSubmit();
}
comeIn();
addEventListener("hashchange", comeIn);

if (document.querySelector("[data-complete]")) import("./complete.js");
if (document.querySelector("[data-launch]")) import("./launch.js");
if (document.querySelector("[data-onboard]")) import("./onboard.js");
if (document.querySelector("[data-live]")) import("./live.js");
function charts() {
  const waiting = document.querySelectorAll("[data-chart]:not([data-seen])");
  if (!waiting.length) return;
  const draw = (element) => import("./charts.js").then((module) => module.draw(element, head.dataset.assets));
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      seen.unobserve(entry.target);
      draw(entry.target);
    }
  }, { rootMargin: "200px" });
  for (const element of waiting) {
    element.dataset.seen = "1";
    const { top, bottom, width } = element.getBoundingClientRect();
    // What is in view is not to wait until it is first painted.
    if (top < innerHeight && bottom > 0 && width) draw(element);
    else seen.observe(element);
  }
}
charts();
document.addEventListener("wichtel:replaced", charts);
