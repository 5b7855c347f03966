// Ways to go on with a query, asked of the service while somebody types.
const box = document.querySelector("[data-complete]");
const list = document.getElementById(box.getAttribute("aria-controls"));
let found = [];
// What stood before the caret when these were asked for; somebody may have typed on since.
let askedFor = "";
let at = -1;
let asked = 0;
let timer = 0;

function close() {
  list.hidden = true;
  at = -1;
  box.setAttribute("aria-expanded", "false");
  box.removeAttribute("aria-activedescendant");
}

function show() {
  list.replaceChildren(...found.map((one, i) => {
    const item = document.createElement("li");
    item.id = `completion-${i}`;
    item.role = "option";
    item.ariaSelected = "false";
    const text = document.createElement("span");
    text.className = "mono";
    text.textContent = one.text;
    const help = document.createElement("span");
    help.textContent = one.help;
    item.append(text, help);
    item.addEventListener("mousedown", (event) => { event.preventDefault(); take(i); });
    return item;
  }));
  list.hidden = !found.length;
  box.setAttribute("aria-expanded", String(!list.hidden));
}

function choose(next) {
  // Whoever chooses from what is shown is shown nothing else meanwhile.
  clearTimeout(timer);
  asked += 1;
  at = (next + found.length) % found.length;
  [...list.children].forEach((item, i) => { item.ariaSelected = String(i === at); });
  list.children[at].scrollIntoView({ block: "nearest" });
  box.setAttribute("aria-activedescendant", `completion-${at}`);
}

function take(i) {
  const one = found[i];
  const caret = box.selectionStart;
  const begin = Math.min(caret, askedFor.length - one.replaces);
  // What is no part of a sentence is somebody else's from here on.
  const whole = "completeWhole" in box.dataset;
  const end = whole || /[:>.]$/.test(one.text) ? one.text : `${one.text} `;
  box.value = box.value.slice(0, begin) + end + box.value.slice(caret);
  box.setSelectionRange(begin + end.length, begin + end.length);
  close();
  if (whole) box.dispatchEvent(new Event("wichtel:taken", { bubbles: true }));
  else ask();
}

async function ask() {
  const number = ++asked;
  const before = box.value.slice(0, box.selectionStart);
  const answer = await fetch(`${box.dataset.complete}?${new URLSearchParams({ before })}`);
  if (!answer.ok || number !== asked || document.activeElement !== box) return;
  found = await answer.json();
  askedFor = before;
  at = -1;
  show();
}

box.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(ask, 120); });
box.addEventListener("blur", close);
box.addEventListener("keydown", (event) => {
  if (list.hidden) {
    if (event.key === "ArrowDown") { event.preventDefault(); ask(); }
    return;
  }
  if (event.key === "ArrowDown") { event.preventDefault(); choose(at + 1); }
  else if (event.key === "ArrowUp") { event.preventDefault(); choose(at - 1); }
  else if ((event.key === "Enter" || event.key === "Tab") && at >= 0) { event.preventDefault(); take(at); }
  else if (event.key === "Enter") { asked += 1; close(); }
  else if (event.key === "Escape") { asked += 1; close(); }
});
// Somebody may have begun before this was there.
if (document.activeElement === box && box.value !== box.defaultValue) ask();
