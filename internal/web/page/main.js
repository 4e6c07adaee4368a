// The page a browser gets from the server: what the server sends, and a line to
// answer with. It speaks hubbub.v1 (docs/protocol.md) and needs nothing else.
//
//	socket ──> Link ──> Store ──> View ──> #log
//	   ^        link.js   store.js  view.js
//	   └────── Outbox <── #line
//	            outbox.js
//
//	words.js    how numbers, bytes and names are written
//	endings.js  what an end of the connection means
//	voice.js    what a screen reader is told
//	main.js     makes one of each and connects them:
//
//	Frame     draws what has changed, at most once a frame
//	Arriving  what the link reports
//	Controls  buttons, fields and keys
//	Start     makes one of each, in the order in which they need each other

import { Link } from "./link.js";
import { bytesOf, Outbox } from "./outbox.js";
import { parseFilter, Store } from "./store.js";
import { pressedAway, View } from "./view.js";
import { Voice } from "./voice.js";
import { count, fitName, number } from "./words.js";

const HISTORY = 100; // lines

const $ = (id) => document.getElementById(id);

// ---------------------------------------------------------------- Frame

// Frame changes the page, once for all that has happened since the last time.
// Animation frames stop in a tab that nobody sees; a timer goes on there.
class Frame {
  #frame = 0;
  #timer = 0;

  ask() {
    if (this.#frame) return;
    this.#frame = requestAnimationFrame(() => this.#draw());
    this.#timer = setTimeout(() => this.#draw(), 250);
  }

  #draw() {
    cancelAnimationFrame(this.#frame);
    clearTimeout(this.#timer);
    this.#frame = 0;
    view.scrolled();
    view.take();
    view.lay();
    this.#header();
    this.#stream();
    this.#line();
  }

  #header() {
    const { state } = link;
    put($("state"), link.words());
    $("state").dataset.state = state;
    put($("now"), state === "ended" ? "reconnect" : "now");
    $("now").hidden = state !== "waiting" && state !== "ended";
    put($("count"), number(store.received));
    put($("unit"), store.received === 1 ? "message" : "messages");
    put($("matches"), view.filter ? `${number(view.matches)} of ${number(store.kept)}` : "");
  }

  #stream() {
    const { following, paused, news, matches, filter } = view;
    $("follow").hidden = following && !paused;
    put($("follow"), news > 0 ? `${number(news)} new below` : "to the newest");
    $("dropped").hidden = store.dropped === 0;
    put($("dropped"), `${count(store.dropped, "older message")} no longer kept here`);
    put($("empty"), matches === 0 && link.epoch ? this.#nothing(filter, paused) : "");
  }

  // nothing is why there is nothing to see.
  #nothing(filter, paused) {
    if (paused) return filter ? "Paused: no earlier message matches the filter." : "Paused before the first message.";
    if (filter) return `None of ${number(store.kept)} matches the filter.`;
    return link.seq > 0 ? "No messages since this page was opened." : "No messages yet.";
  }

  #line() {
    const waiting = outbox.items.length;
    const away = link.state !== "live";
    const waits = waiting > 0 && away;
    put($("hint"), waits ? `${count(waiting, "line")} will be sent when the connection is back.` : "");
    $("hint").hidden = !waits;
  }
}

// put writes only what is new: writing the same again would lay out again.
function put(into, text) {
  if (into.textContent !== text) into.textContent = text;
}

// ---------------------------------------------------------------- Arriving

// keep adds an entry to the store and shows it.
function keep(entry) {
  frame.ask();
  return store.add(entry);
}

function notice(text) {
  voice.say(text);
  return keep({ kind: "notice", text, who: "", time: new Date().toISOString() });
}

function changed(entries) {
  for (const entry of entries) view.refresh(entry);
  frame.ask();
}

// sendDue sends the lines that wait, on a live connection.
function sendDue() {
  const { send, refused } = outbox.due(link.longest);
  for (const { n, text } of send) link.send({ type: "message", n, text });
  changed(refused);
  for (const { text } of refused) {
    notice(`not sent: the line has ${count(bytesOf(text), "byte")}; this server takes up to ${number(link.longest)}`);
  }
}

let lastSkip = null; // the notice to which further skips are added

// skipped adds a notice of missing messages, or counts them in the last one if
// nothing came in between.
function skipped(n) {
  const follows = lastSkip !== null && lastSkip.at === store.end - 1;
  const skips = follows ? lastSkip.skips + n : n;
  const text = `${count(skips, "message")} skipped: this browser was too slow`;
  if (follows) changed([Object.assign(lastSkip, { text })]);
  else lastSkip = notice(text);
  lastSkip.skips = skips;
}

const listener = {
  changed: () => frame.ask(),
  live(ack, anew) {
    voice.say("live");
    const { settled, refused, why } = outbox.begin(ack, anew);
    changed([...settled, ...refused]);
    if (refused.length > 0) notice(`not sent: ${why}`);
    sendDue();
  },
  message(entry) {
    voice.message(keep(entry));
  },
  skipped,
  notice,
  ack: (n) => changed(outbox.settle(n)),
  lost: () => voice.say("connection lost"),
  rejected: (why) => outbox.reject(why),
};

let dialledName = "";

// addressOf is where the link connects to.
function addressOf(since) {
  dialledName = chosenName();
  const address = new URL(".", location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  address.searchParams.set("session", outbox.session);
  if (dialledName) address.searchParams.set("name", dialledName);
  if (since) address.searchParams.set("since", since);
  else if (asked.has("last")) address.searchParams.set("last", asked.get("last"));
  return address;
}

// ---------------------------------------------------------------- Controls

// recall and remember keep a setting between visits, where the browser allows it.
function recall(key) {
  try {
    return localStorage.getItem(`hubbub-${key}`) ?? "";
  } catch {
    return "";
  }
}

function remember(key, value) {
  try {
    localStorage.setItem(`hubbub-${key}`, value);
  } catch {
    // It holds for this visit only.
  }
}

// LEFT is where a page leaves its lines to the next one in its tab. One address
// may have several servers, each below a path of its own.
const LEFT = `hubbub-unsent ${new URL(".", location.href).pathname}`;

function leaveUnsent() {
  const saved = outbox.save();
  if (saved === null) return;
  try {
    sessionStorage.setItem(LEFT, saved);
  } catch {
    // Then it is lost. The person was warned: see warnOfUnsent.
  }
}

function inherited() {
  try {
    const left = sessionStorage.getItem(LEFT);
    sessionStorage.removeItem(LEFT);
    return left;
  } catch {
    return null;
  }
}

// inherit takes over the lines of the page before. They stand in the storage
// only between two pages: a copied tab must not get the session of the first.
function inherit() {
  const left = inherited();
  if (left === null) return;
  for (const line of outbox.restore(left)) keep(Object.assign(line, { kind: "mine", who: "you" }));
}

function chosenName() {
  return fitName($("name").value);
}

function setPause(paused) {
  view.pause(paused);
  $("pause").setAttribute("aria-pressed", paused);
}

function goToEnd() {
  setPause(false);
  view.follow();
}

function toStream() {
  log.focus({ preventScroll: true });
}

// rate shows the messages per second over the last five seconds.
const rate = {
  marks: [], // { time, received }
  update() {
    const mark = { time: performance.now(), received: store.received };
    this.marks.push(mark);
    while (this.marks.length > 2 && mark.time - this.marks[0].time > 5500) this.marks.shift();
    const [first] = this.marks;
    const perSecond = (mark.received - first.received) / Math.max(1, (mark.time - first.time) / 1000);
    put($("rate"), perSecond > 0 && perSecond < 10 ? perSecond.toFixed(1) : number(Math.round(perSecond)));
  },
};

// sentBefore is the history; the line being written is its last.
const sentBefore = {
  lines: [],
  place: 0,
  draft: "",
  add(line) {
    if (this.lines.at(-1) !== line) this.lines.push(line);
    if (this.lines.length > HISTORY) this.lines.shift();
    this.place = this.lines.length;
  },
  go(step) {
    const place = this.place + step;
    if (place < 0 || place > this.lines.length) return;
    if (this.place === this.lines.length) this.draft = $("line").value;
    this.place = place;
    $("line").value = this.lines[place] ?? this.draft;
  },
};

function sendLine(text) {
  outbox.add(keep({ kind: "mine", who: "you", time: new Date().toISOString(), text }));
  if (link.state === "live") sendDue();
  else voice.say("the line waits for the connection");
  if (text) sentBefore.add(text);
  if (!view.paused) view.follow();
}

function submit(event) {
  event.preventDefault();
  const { value } = $("line");
  if (value === "") return;
  $("line").value = "";
  sendLine(value);
}

// paste sends each of several lines; the field itself would join them.
function paste(event) {
  const pasted = event.clipboardData.getData("text/plain");
  if (!/[\r\n]/.test(pasted)) return;
  event.preventDefault();
  const { value, selectionStart, selectionEnd } = $("line");
  const text = value.slice(0, selectionStart) + pasted + value.slice(selectionEnd);
  $("line").value = "";
  text.replace(/\r?\n$|\r$/, "").split(/\r\n|\r|\n/).forEach(sendLine);
}

const looks = ["auto", "light", "dark"];

function setLook(look) {
  if (look === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = look;
  $("theme").textContent = look[0].toUpperCase() + look.slice(1);
  $("theme").setAttribute("aria-label", `Look: ${look}`);
}

function nextLook() {
  const now = document.documentElement.dataset.theme ?? "auto";
  const look = looks[(looks.indexOf(now) + 1) % looks.length];
  remember("look", look);
  setLook(look);
}

function filterChanged() {
  const { value } = $("filter");
  $("filter").classList.toggle("on", value !== "");
  view.setFilter(parseFilter(value));
  voice.found();
}

function toOrFromLine() {
  if (document.activeElement === $("line")) toStream();
  else $("line").focus();
}

const keysAnywhere = {
  Escape: toOrFromLine,
};

const keysUnlessWriting = {
  "/": () => $("filter").select(),
  "?": () => $("help").showModal(),
  p: () => setPause(!view.paused),
  End: goToEnd,
};

const keysInLine = {
  ArrowUp: () => sentBefore.go(-1),
  ArrowDown: () => sentBefore.go(1),
  PageUp: () => log.scrollBy(0, -0.9 * log.clientHeight),
  PageDown: () => log.scrollBy(0, 0.9 * log.clientHeight),
};

function meaning({ key, target }) {
  // In an empty field End has nothing of its own to do.
  const writing = target.matches("input") && !(key === "End" && target.value === "");
  const inLine = target === $("line");
  return keysAnywhere[key] || (inLine && keysInLine[key]) || (!writing && keysUnlessWriting[key]);
}

function keyPressed(event) {
  if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing || $("help").open) return;
  const act = meaning(event);
  if (!act) return;
  event.preventDefault();
  act();
}

// fitKeyboard makes the page smaller where a phone's keyboard does not.
function fitKeyboard() {
  const { height, scale } = window.visualViewport;
  if (scale !== 1) return; // zoomed in, which is no keyboard
  document.documentElement.style.setProperty("--height", `${height}px`);
  window.scrollTo(0, 0); // iOS has moved the page to show the line
}

function listen() {
  log.addEventListener("scroll", () => view.scrolled(), { passive: true });
  // At once, not in the next frame: the browser's own scroll event, which
  // moves the anchor, comes before that.
  new ResizeObserver(() => view.lay()).observe(log);
  $("say").addEventListener("submit", submit);
  $("line").addEventListener("paste", paste);
  // The button does not take the focus, and a phone's keyboard stays.
  $("send").addEventListener("mousedown", (event) => event.preventDefault());
  $("filter").addEventListener("input", filterChanged);
  $("pause").addEventListener("click", () => setPause(!view.paused));
  pressedAway($("follow"), goToEnd);
  $("theme").addEventListener("click", nextLook);
  $("keys").addEventListener("click", () => $("help").showModal());
  pressedAway($("now"), () => link.now());
  $("name").addEventListener("change", nameChanged);
  document.addEventListener("keydown", keyPressed);
  document.addEventListener("visibilitychange", comeBack);
  window.addEventListener("online", comeBack);
  window.addEventListener("beforeunload", warnOfUnsent);
  window.addEventListener("pagehide", leaveUnsent);
  window.addEventListener("pageshow", beginAnew);
  window.visualViewport?.addEventListener("resize", fitKeyboard);
}

function nameChanged() {
  $("name").value = chosenName();
  remember("name", chosenName());
  if (chosenName() !== dialledName) link.redial();
}

function comeBack() {
  if (document.hidden) return;
  link.check();
  if (link.state === "waiting") link.now();
  frame.ask();
}

// beginAnew reloads a page that the browser had put away: it left its lines, and
// another page may have them by now.
function beginAnew(event) {
  if (!event.persisted) return;
  outbox.items = [];
  location.reload();
}

// warnOfUnsent warns of a closed tab, which loses lines. A reload does not, but
// looks the same.
function warnOfUnsent(event) {
  if (outbox.items.length > 0) event.preventDefault();
}

function everySecond() {
  link.check();
  rate.update();
  if (link.state === "waiting") frame.ask();
}

// ---------------------------------------------------------------- Start

const asked = new URLSearchParams(location.search); // ?last=N and ?name=NAME, as for any client
const log = $("log");

const store = new Store();
const frame = new Frame();
const view = new View(store, { log, rows: $("rows"), probe: $("probe") }, () => frame.ask());
const voice = new Voice($("said"), view);
const outbox = new Outbox();
const link = new Link(addressOf, listener);

// For tests to look at.
Object.defineProperty(window, "hubbub", {
  value: Object.freeze({
    get state() { return link.state; },
    get count() { return store.received; },
    get lastSeq() { return link.seq; },
    get kept() { return store.kept; },
  }),
});

$("unstarted").remove();
document.title = `${location.host} · hubbub`;
$("name").value = fitName(asked.get("name") ?? recall("name"));
setLook(looks.includes(recall("look")) ? recall("look") : "auto");
listen();
inherit();
setInterval(everySecond, 1000);
if (!matchMedia("(pointer: coarse)").matches) $("line").focus(); // a finger's keyboard would cover the half of it
link.dial();
