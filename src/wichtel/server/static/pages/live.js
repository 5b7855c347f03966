// Keeps what is shown true: one stream of events for the page; whatever is about a subject that something happened to is fetched anew.
//
// data-live="experiment/e-1"   what this part of the page is about; with nothing after the slash, all of that kind; several with blanks between
// data-live-src="/address"     on it or around it: where the part comes from
// data-live-every="2"          fetched so often besides, for what makes no events
import { fetchPart } from "./main.js";

const WAIT = 400;
const AWAY = 5000;
let last = Number(document.body.dataset.cursor ?? 0);
let stream = null;
const due = new Set();
const TRIES = 8;
const failed = new WeakMap();
let timer = 0;

const parts = () => [...document.querySelectorAll("[data-live]")];

function prefix() {
  const subjects = parts().flatMap((part) => part.dataset.live.split(" "));
  if (!subjects.length) return null;
  return subjects.reduce((a, b) => { let i = 0; while (i < a.length && a[i] === b[i]) i += 1; return a.slice(0, i); });
}

function about(subject, part) {
  return part.dataset.live.split(" ").some((mine) => (mine.endsWith("/") ? subject.startsWith(mine) : subject === mine || subject.startsWith(`${mine}/`)));
}

function happened(event) {
  last = Number(event.lastEventId) || last;
  const { subject } = JSON.parse(event.data);
  for (const part of parts()) if (about(subject, part)) mark(part.closest("[data-live-src]"));
}

function mark(place) {
  if (!place) return;
  due.add(place);
  timer ||= setTimeout(fetchDue, WAIT);
}

async function fetchDue() {
  const places = [...due].filter((place) => place.isConnected);
  due.clear();
  // While somebody is choosing, nothing moves under their hands.
  const busy = places.filter((place) => place.querySelector("details.menu[open], td input:checked"));
  try {
    await Promise.all(places.filter((place) => !busy.includes(place)).map(refresh));
  } catch {
    // Whoever was asked may be away, and another there.
    for (const place of places) if (failed.get(place) !== TRIES) { failed.set(place, (failed.get(place) ?? 0) + 1); due.add(place); }
  } finally {
    timer = 0;
    for (const place of busy) { due.add(place); timer ||= setTimeout(fetchDue, 2000); }
    if (due.size) timer ||= setTimeout(fetchDue, WAIT);
  }
}

async function refresh(place) {
  const address = place.dataset.liveSrc;
  await fetchPart(address, place, "innerMorph", () => place.dataset.liveSrc === address);
  failed.delete(place);
  const titled = place.querySelector("[data-title]");
  if (titled) document.title = titled.dataset.title;
  if (!document.hidden) connect();
}

let streaming = null;
function connect() {
  const wanted = prefix();
  if (wanted === streaming && stream) return;
  stream?.close();
  streaming = wanted;
  if (wanted === null) { stream = null; return; }
  // Without names, since browsers hear only those they are told to listen for; of whatever kind, what counts is its subject.
  stream = new EventSource(`/v1/events:stream?subject=${encodeURIComponent(wanted)}&named=false&cursor=${last}`);
  stream.onmessage = happened;
  stream.onerror = () => {
    // Browsers come back by themselves, with the last id; not after a refusal, such as when the session is over.
    if (stream?.readyState === EventSource.CLOSED) { stream = null; setTimeout(() => { if (!document.hidden) connect(); }, AWAY); }
  };
}

function disconnect() {
  stream?.close();
  stream = null;
}

const often = new Map();
const began = Date.now();
setInterval(() => {
  if (document.hidden) return;
  for (const part of document.querySelectorAll("[data-live-every]")) {
    const place = part.closest("[data-live-src]");
    const now = Date.now();
    if (now - (often.get(place) ?? began) < Number(part.dataset.liveEvery) * 1000) continue;
    often.set(place, now);
    mark(place);
  }
}, 500);

document.addEventListener("visibilitychange", () => (document.hidden ? disconnect() : connect()));
addEventListener("pagehide", disconnect);
addEventListener("pageshow", () => { if (!document.hidden) connect(); });
if (!document.hidden) connect();
