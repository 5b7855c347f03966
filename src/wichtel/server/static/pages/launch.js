// Launch: what is typed is checked by the service at once. All of it is in the address.
import { fetchPart } from "./main.js";

const WAIT = 250;
const place = document.getElementById("launch");
let asked = 0;
let timer = 0;

const form = () => document.getElementById("launch-form");
const box = () => document.getElementById("add-model");

function address() {
  const given = new URLSearchParams();
  for (const field of form().elements) {
    if (!field.name || field === box() || field.name === "key" || field.tagName === "BUTTON") continue;
    if (field.type === "checkbox" && !field.checked) continue;
    const value = field.value.trim();
    if (value && value !== field.dataset.default) given.append(field.name, value);
  }
  return given.size ? `/launch?${given}` : "/launch";
}

async function refresh() {
  clearTimeout(timer);
  const number = ++asked;
  const wanted = address();
  place.setAttribute("aria-busy", "true");
  try {
    // Whoever typed on is answered by what they ask next.
    await fetchPart(wanted, place, "innerMorph", () => number === asked && address() === wanted);
    if (number === asked) history.replaceState(null, "", wanted);
  } catch {
    // The service is away for a moment; the next change asks again.
  } finally {
    if (number === asked) place.removeAttribute("aria-busy");
  }
  for (const field of form().elements) {
    if (field !== document.activeElement && field.value === "" && field.dataset.default) field.value = field.dataset.default;
  }
  if (document.activeElement === document.body) box().focus();
}

function add() {
  const text = box().value.trim();
  box().value = "";
  if (!text) return;
  const chip = document.createElement("input");
  Object.assign(chip, { type: "checkbox", name: "model", value: text, checked: true, hidden: true });
  document.getElementById("chips").append(chip);
  refresh();
}

place.addEventListener("input", (event) => {
  if (event.target === box()) return;
  clearTimeout(timer);
  timer = setTimeout(refresh, event.target.matches("select, [type=checkbox]") ? 0 : WAIT);
});
place.addEventListener("focusout", (event) => {
  if (event.target.dataset.default && event.target.value === "") event.target.value = event.target.dataset.default;
});
place.addEventListener("wichtel:taken", add);
place.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.defaultPrevented) return;
  if (event.ctrlKey || event.metaKey) {
    event.preventDefault();
    document.getElementById("launch-button").click();
  } else if (event.target.matches("input:not([type=checkbox])")) {
    event.preventDefault();
    if (event.target === box()) add();
    else refresh();
  }
});
place.addEventListener("submit", (event) => {
  if (event.submitter?.id !== "launch-button") {
    event.preventDefault();
    refresh();
  }
});
// Somebody may have begun before this was there.
if (new URL(address(), location.href).search !== `?${new URLSearchParams(location.search)}`.replace(/^\?$/, "")) refresh();
