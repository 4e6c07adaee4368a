// The page a browser gets from the hub: what the hub says, and a line to
// answer with. It speaks hubbub.v1 (docs/protocol.md) and needs nothing else.
//
//	socket ──> Link ──> store ──> View ──> #log
//	   ^        the connection,    what is    the part of it
//	   │        resumed, watched   kept       that is seen
//	   └────── Outbox <── #line
//
//	Words     how numbers, times and strangers' text are written
//	Filter    what a filter lets through and marks
//	Store     the last messages, bounded
//	View      the visible part of the store, as rows
//	Link      the connection: hello, messages, heartbeats, reconnecting
//	Outbox    what was said here, until the hub has it
//	Frame     draws what has changed, at most once a frame
//	Voice     what a screen reader is told
//	Controls  buttons, fields and keys
//	Start     one of each, made in the order in which they need each other
//
// What others wrote becomes text nodes only, never markup.

const KEEP = 50_000; // entries, at most
const KEEP_CHARS = 32 << 20; // and characters in them: a browser's tallest element has 2^25 px
const DROP = 1_000; // entries dropped at once: dropping from the front of an array moves all of it

const BLOCK = 32; // entries that are shown, measured and taken away together
const CLIP_CHARS = 2_000; // a longer message is shown by its beginning
const CLIP_LINES = 20;
const HEX_BYTES = 32;

const SCROLL_RESTS = 200; // ms without a scroll event

const BACKOFF_FIRST = 500; // ms
const BACKOFF_MOST = 30_000;
const STEADY = 5_000; // ms of a connection after which the back-off begins anew
const HELLO_WITHIN = 10; // seconds

const BREACHES = [1002, 1007, 1008, 1009]; // close codes with a reason worth reading

const VOICE_RESTS = 2_000; // ms from one thing said to the next
const VOICE_RESTS_MOST = 32_000; // while messages are many
const VOICE_FEW = 3; // messages that are read out
const VOICE_CHARS = 200; // of each
const VOICE_CHAR_TAKES = 60; // ms to read it out

const HISTORY = 100; // lines
const NAME_BYTES = 64;
const NO_NAME = /[\p{Cc}\u2028\u2029]|(?!\p{Join_Control})\p{Cf}/u; // not in a name
const ROUND_NAME = /^[\s\p{Join_Control}]+|[\s\p{Join_Control}]+$/gu; // not at its ends

const $ = (id) => document.getElementById(id);

// ---------------------------------------------------------------- Words

const figures = new Intl.NumberFormat("en");
const fullTime = new Intl.DateTimeFormat("en", { dateStyle: "full", timeStyle: "long" });

const number = (n) => figures.format(n);
const hex = (n, digits) => n.toString(16).padStart(digits, "0");
const count = (n, one, more = `${one}s`) => `${number(n)} ${n === 1 ? one : more}`;

// Controls, and what turns the direction of text around: the same that
// internal/visible shows. Tab and newline are laid out, and harmless.
const OBEYED = /[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/;
const OBEYED_PARTS = new RegExp(`(${OBEYED.source})`);

function visible(character) {
  const code = character.charCodeAt(0);
  return code < 0x80 ? `\\x${hex(code, 2)}` : `\\u${hex(code, 4)}`;
}

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

// write appends text to an element, its controls visible.
function write(into, text) {
  if (!OBEYED.test(text)) {
    into.append(text);
    return;
  }
  text.split(OBEYED_PARTS).forEach((part, i) => {
    if (i % 2 === 1) into.append(element("span", "control", visible(part)));
    else if (part) into.append(part);
  });
}

// writeMarked is write, with what the filter finds marked.
function writeMarked(into, text, filter) {
  let done = 0;
  for (const found of filter ? text.matchAll(filter.all) : []) {
    if (found[0] === "") continue;
    write(into, text.slice(done, found.index));
    const mark = element("mark");
    write(mark, found[0]);
    into.append(mark);
    done = found.index + found[0].length;
  }
  write(into, text.slice(done));
}

// clipped is how much of a text is shown at first.
function clipped(text) {
  const part = whole(text, Math.min(text.length, CLIP_CHARS));
  const lines = part.split("\n", CLIP_LINES + 1);
  return lines.length > CLIP_LINES ? lines.slice(0, CLIP_LINES).join("\n") : part;
}

// whole cuts a text at end, but not between the halves of a character.
function whole(text, end) {
  const half = end < text.length && /[\ud800-\udbff]/.test(text[end - 1]);
  return text.slice(0, half ? end - 1 : end);
}

function bytesIn(base64) {
  const padding = base64.endsWith("==") ? 2 : base64.endsWith("=") ? 1 : 0;
  return (base64.length / 4) * 3 - padding;
}

function hexOf(base64) {
  const start = atob(base64.slice(0, Math.ceil(HEX_BYTES / 3) * 4)).slice(0, HEX_BYTES);
  const shown = Array.from(start, (byte) => hex(byte.charCodeAt(0), 2)).join(" ");
  return bytesIn(base64) > HEX_BYTES ? `${shown} …` : shown;
}

// writeTime gives a <time> the local time of day, and the rest on hovering.
function writeTime(into, iso) {
  const time = new Date(iso);
  if (Number.isNaN(time.getTime())) return;
  const two = (n) => String(n).padStart(2, "0");
  into.dateTime = iso;
  into.title = fullTime.format(time);
  into.append(
    `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`,
    element("i", "", `.${String(time.getMilliseconds()).padStart(3, "0")}`),
  );
}

// fitName makes of what was written a name that the hub takes.
function fitName(written) {
  const encoder = new TextEncoder();
  let name = "";
  let left = NAME_BYTES;
  for (const character of written.replace(ROUND_NAME, "")) {
    if (NO_NAME.test(character)) continue;
    left -= encoder.encode(character).length;
    if (left < 0) break;
    name += character;
  }
  return name.replace(ROUND_NAME, "");
}

// ---------------------------------------------------------------- Filter

// parseFilter makes a filter of what was written: nothing, text in any case,
// or /an expression/ with flags. What is no valid expression is text.
function parseFilter(written) {
  if (written === "") return null;
  const [, source, flags] = /^\/(.+)\/([imsu]*)$/.exec(written) ?? [];
  try {
    if (source) return finder(source, flags);
  } catch {
    // As long as someone types, most expressions are not valid.
  }
  return finder(written.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&"), "i");
}

// A RegExp that finds all remembers where it was, so testing has its own.
function finder(source, flags) {
  return { one: new RegExp(source, flags), all: new RegExp(source, `${flags}g`) };
}

// lets reports whether a filter lets an entry through. It is about what is
// said; notices are about the stream, and always stand in it.
function lets(filter, entry) {
  if (!filter || entry.kind === "notice") return true;
  return filter.one.test(entry.text) || (entry.who !== "" && filter.one.test(entry.who));
}

// ---------------------------------------------------------------- Store

// An entry is a message of the hub's, a line of our own, or a notice:
//
//	kind     "message", "mine" or "notice"
//	at       its place: 0, 1, 2, … of all entries that ever were
//	text     what it says; of bytes, the beginning in hex
//	bytes    how many bytes, if it is no text
//	who      who said it; "" for the hub
//	time     when, as the hub wrote it
//	seq      a message's number
//	state    of our own: "pending", "sent" or "refused"
//	n        of our own: its number in the session, once it has been on its way
//	open     whether a long one is shown whole
//	row      its element, while it has one
class Store {
  entries = [];
  first = 0; // the place of entries[0]
  chars = 0;
  heard = 0; // messages of the hub's, ever
  kept = 0; // entries but for the notices
  dropped = 0; // entries that are no longer kept, but for the notices

  get end() {
    return this.first + this.entries.length;
  }

  add(entry) {
    entry.at = this.end;
    entry.row = null;
    this.entries.push(entry);
    this.#count(entry);
    this.#dropOldest();
    frame.ask();
    return entry;
  }

  *from(place) {
    for (let i = Math.max(0, place - this.first); i < this.entries.length; i++) yield this.entries[i];
  }

  #dropOldest() {
    const full = this.entries.length > KEEP;
    const heavy = this.chars > KEEP_CHARS;
    if (!full && !heavy) return;
    const most = full ? KEEP - DROP : KEEP;
    const chars = heavy ? KEEP_CHARS * 0.98 : KEEP_CHARS;
    let n = 0;
    while (n < this.entries.length - 1 && (this.entries.length - n > most || this.chars > chars)) {
      this.#uncount(this.entries[n++]);
    }
    this.entries.splice(0, n);
    this.first += n;
  }

  #count(entry) {
    if (entry.kind === "notice") return;
    this.chars += entry.text.length;
    this.kept++;
    if (entry.kind === "message") this.heard++;
  }

  #uncount(entry) {
    if (entry.kind === "notice") return;
    this.chars -= entry.text.length;
    this.kept--;
    this.dropped++;
  }
}

function notice(text) {
  voice.say(text);
  return store.add({ kind: "notice", text, who: "", time: new Date().toISOString() });
}

// ---------------------------------------------------------------- View

// View shows the part of the store that is in sight. Entries stand in blocks;
// a block has a height, guessed until it is first shown, and an element only
// near the visible part. What is above and below them is padding.
//
// It follows the newest entry until one scrolls up. From then on the entry at
// the top edge is its anchor: whatever is measured, dropped or resized, that
// entry stays where it is.
class View {
  filter = null;
  following = true;
  paused = false;
  matches = 0; // messages that the filter lets through
  news = 0; // messages that came since it does not follow, or is paused

  #heardAtPause = 0;
  #blocks = [];
  #next = 0; // the place of the first entry not yet looked at
  #anchor = null; // { entry, shift }: px of the entry above the edge
  #lastTop = 0;
  #rest = 0; // the timer that tells the end of a scrolling; 0 after it
  #overruled = false; // that scrolling, by follow
  #stale = false; // the filter is another one
  #drift = 0; // px of padding that no height accounts for
  #width = 0;
  #columns = 80;

  // take looks at what the store has got and lost since the last time.
  take() {
    if (this.#stale) this.#restart();
    if (this.paused) {
      this.news = store.heard - this.#heardAtPause;
      return;
    }
    this.#takeNew();
    this.#drop();
  }

  // lay brings blocks into the page around the visible part, measures them
  // and keeps the place.
  lay() {
    this.#noteWidth();
    const seen = log.clientHeight;
    const top = this.following ? this.#topOf(this.#blocks.length) - seen : this.#anchorTop();
    const [from, to] = this.#range(top - seen, top + 2 * seen);
    const coarse = !this.following && this.#anchor?.entry.row === null; // only its block was known
    this.#mount(from, to);
    for (const block of this.#blocks.slice(from, to)) block.height = block.element.getBoundingClientRect().height;
    this.#keepPlace(from, to);
    if (coarse) this.#anchor = this.#entryAtTop();
    if (!this.#covers(from, to, seen)) frame.ask();
  }

  setFilter(filter) {
    this.filter = filter;
    this.#stale = true;
    frame.ask();
  }

  pause(paused) {
    this.paused = paused;
    this.#heardAtPause = store.heard;
    this.news = 0;
    frame.ask();
  }

  // follow goes to the newest and stays there, also while the browser scrolls
  // smoothly elsewhere: nothing can stop that.
  follow() {
    this.following = true;
    this.#overruled = this.#rest !== 0;
    this.news = 0;
    frame.ask();
  }

  // scrolled takes note of where one has scrolled to. It is called by the
  // event, and before a frame: the event may come a frame late.
  scrolled() {
    const top = log.scrollTop;
    // Not #scrollTo's own, nor the browser's after a change of width: that is
    // for lay to mend.
    if (Math.abs(top - this.#lastTop) < 1 || log.clientWidth !== this.#width) return;
    clearTimeout(this.#rest);
    this.#rest = setTimeout(() => this.#rested(), SCROLL_RESTS);
    const rest = log.scrollHeight - log.clientHeight - top;
    // Only a way up means that someone wants to stay, however short: with
    // some tolerance at the end, slow scrolling could never leave it.
    if (rest < 1.5) this.following = true;
    else if (top < this.#lastTop && !this.#overruled) this.following = false;
    if (this.following && !this.paused) this.news = 0;
    this.#lastTop = top;
    this.#anchor = this.#entryAtTop();
    frame.ask();
  }

  #rested() {
    this.#rest = 0;
    this.#overruled = false;
    frame.ask();
  }

  // open shows a long message whole.
  open(entry) {
    entry.open = true;
    this.following = false;
    this.#anchor = this.#entryAtTop();
    this.refresh(entry);
  }

  // refresh shows what has changed in an entry.
  refresh(entry) {
    if (!entry.row) return;
    const old = entry.row;
    old.replaceWith(this.#row(entry));
    frame.ask();
  }

  // restart looks at the whole store again: also while paused, when it shows
  // what there is by now.
  #restart() {
    this.#stale = false;
    this.#mount(0, 0);
    this.#blocks = [];
    this.#next = store.first;
    this.matches = 0;
    this.#takeNew();
    this.#heardAtPause = store.heard;
    this.news = 0;
  }

  #takeNew() {
    for (const entry of store.from(this.#next)) {
      if (lets(this.filter, entry)) this.#append(entry);
    }
    this.#next = store.end;
  }

  #append(entry) {
    let block = this.#blocks.at(-1);
    if (!block || block.entries.length >= BLOCK) {
      block = { entries: [], height: 0, element: null };
      this.#blocks.push(block);
    }
    block.entries.push(entry);
    block.height += this.#guess(entry);
    block.element?.append(this.#row(entry));
    if (entry.kind === "notice") return;
    this.matches++;
    if (!this.following) this.news++;
  }

  // drop forgets what the store has dropped.
  #drop() {
    let n = 0;
    while (n < this.#blocks.length && this.#blocks[n].entries.at(-1).at < store.first) {
      this.#unmount(this.#blocks[n]);
      this.#uncount(this.#blocks[n].entries);
      n++;
    }
    this.#blocks.splice(0, n);
    const block = this.#blocks[0];
    if (!block || block.entries[0].at >= store.first) return;
    const kept = block.entries.filter((entry) => entry.at >= store.first);
    const lost = block.entries.slice(0, block.entries.length - kept.length);
    for (const entry of lost) entry.row?.remove();
    this.#uncount(lost);
    block.height *= kept.length / block.entries.length;
    block.entries = kept;
  }

  #uncount(entries) {
    for (const entry of entries) if (entry.kind !== "notice") this.matches--;
  }

  #height(from = 0, to = this.#blocks.length) {
    let height = 0;
    for (let i = from; i < to; i++) height += this.#blocks[i].height;
    return height;
  }

  // topOf is where a block begins, in px of scrolling.
  #topOf(i) {
    return rows.offsetTop + this.#drift + this.#height(0, i);
  }

  // range is the blocks between two scrollings: from, and one past the last.
  #range(top, bottom) {
    const { length } = this.#blocks;
    let from = 0;
    let height = this.#topOf(0);
    while (from < length - 1 && height + this.#blocks[from].height < top) height += this.#blocks[from++].height;
    let to = from;
    while (to < length && height < bottom) height += this.#blocks[to++].height;
    return [from, to];
  }

  // keepPlace sets the padding, and has the anchor stay where it is. While
  // someone scrolls, what is above it drifts: to set the scrolling would stop
  // the browser's own smooth scrolling in its middle.
  #keepPlace(from, to) {
    const above = this.#height(0, from);
    const scrolling = !this.following && this.#rest !== 0;
    if (scrolling) this.#drift -= this.#anchorTop() - log.scrollTop;
    if (!scrolling || above + this.#drift < 0) this.#drift = 0;
    rows.style.paddingTop = `${above + this.#drift}px`;
    rows.style.paddingBottom = `${this.#height(to)}px`;
    if (this.following) this.#scrollTo(log.scrollHeight - log.clientHeight);
    else this.#scrollTo(this.#anchorTop());
  }

  // covers reports whether no padding is in sight. It may be when guesses
  // were far off; the next frame knows better.
  #covers(from, to, seen) {
    const start = this.#topOf(from) - log.scrollTop;
    const end = start + this.#height(from, to);
    return (from === 0 || start <= 1) && (to === this.#blocks.length || end >= seen - 1);
  }

  #mount(from, to) {
    const wanted = new Set(this.#blocks.slice(from, to));
    for (const block of this.#blocks) if (block.element && !wanted.has(block)) this.#unmount(block);
    let spot = rows.firstChild;
    for (const block of wanted) {
      block.element ??= this.#build(block);
      if (block.element === spot) spot = spot.nextSibling;
      else rows.insertBefore(block.element, spot);
    }
  }

  #build(block) {
    const made = element("div", "block");
    for (const entry of block.entries) made.append(this.#row(entry));
    return made;
  }

  #unmount(block) {
    block.element?.remove();
    block.element = null;
    for (const entry of block.entries) entry.row = null;
  }

  #row(entry) {
    entry.row = makeRow(entry, this.filter);
    return entry.row;
  }

  // noteWidth guesses all heights anew when lines break elsewhere.
  #noteWidth() {
    if (log.clientWidth === this.#width) return;
    this.#width = log.clientWidth;
    this.#mount(0, 0);
    const body = probe.querySelector(".body");
    this.#columns = Math.max(8, Math.floor(body.clientWidth / body.firstChild.getBoundingClientRect().width));
    for (const block of this.#blocks) {
      block.height = block.entries.reduce((sum, entry) => sum + this.#guess(entry), 0);
    }
  }

  #guess(entry) {
    const lines = Math.ceil(Math.min(entry.text.length + entry.who.length, CLIP_CHARS) / this.#columns);
    return Math.max(1, lines) * 20 + 2; // as page.css has it
  }

  #entryAtTop() {
    const edge = log.getBoundingClientRect().top;
    let top = this.#topOf(0) - log.scrollTop;
    for (const block of this.#blocks) {
      if (top + block.height > 0) return this.#rowAtTop(block, edge) ?? { entry: block.entries[0], shift: -top };
      top += block.height;
    }
    return null;
  }

  #rowAtTop(block, edge) {
    for (const entry of block.element ? block.entries : []) {
      const { top, bottom } = entry.row.getBoundingClientRect();
      if (bottom > edge) return { entry, shift: edge - top };
    }
    return null;
  }

  // anchorTop is the scrolling that has the anchor where it was. If the
  // anchor is gone, the next entry that is there stands in for it.
  #anchorTop() {
    if (!this.#anchor) return 0;
    const { entry: { at }, shift } = this.#anchor;
    const i = this.#blocks.findIndex((block) => block.entries.at(-1).at >= at);
    if (i < 0) return this.#topOf(this.#blocks.length);
    const block = this.#blocks[i];
    const entry = block.entries.find((one) => one.at >= at);
    const topIn = (element) => element.getBoundingClientRect().top;
    const into = block.element ? topIn(entry.row) - topIn(block.element) : 0;
    return this.#topOf(i) + into + (entry.at === at ? shift : 0);
  }

  #scrollTo(top) {
    if (Math.abs(log.scrollTop - top) >= 1) log.scrollTop = top;
    this.#lastTop = log.scrollTop;
  }
}

function makeRow(entry, filter) {
  const row = element("div", entry.kind === "message" ? "row" : `row ${entry.kind}`);
  if (entry.seq) row.dataset.seq = entry.seq;
  const time = element("time");
  writeTime(time, entry.time);
  if (entry.kind === "notice") row.title = time.title;
  else row.append(time);
  row.append(makeBody(entry, filter));
  if (entry.kind === "mine") {
    row.dataset.state = entry.state;
    row.append(element("span", "fate", entry.state));
  }
  return row;
}

function makeBody(entry, filter) {
  const body = element("div", "body");
  if (entry.who) {
    const who = element("b", "who");
    writeMarked(who, entry.who, filter);
    body.append(who);
  }
  if (entry.bytes !== undefined) body.append(element("span", "bytes", count(entry.bytes, "byte")));
  const text = element("span", "text");
  const part = entry.open ? entry.text : clipped(entry.text);
  writeMarked(text, part, entry.kind === "notice" ? null : filter);
  body.append(text);
  if (part.length < entry.text.length) body.append(moreButton(entry));
  return body;
}

function moreButton(entry) {
  const button = element("button", "more", `show all ${number(entry.text.length)} characters`);
  button.type = "button";
  pressedAway(button, () => view.open(entry));
  return button;
}

// ---------------------------------------------------------------- Link

// backoff is how long to wait before the next try, in ms: longer each time,
// and never the same for all the clients of a hub that has come back.
function backoff(tries) {
  return Math.min(BACKOFF_MOST, BACKOFF_FIRST * 2 ** tries) * (0.5 + Math.random() / 2);
}

// moment is now by both clocks: one that may stand still while the machine
// sleeps, and one that somebody may set.
const moment = () => ({ steady: performance.now(), wall: Date.now() });

// since is how many ms have passed, asleep or awake.
const since = ({ steady, wall }) => Math.max(performance.now() - steady, Date.now() - wall);

// newToken names this page's session: see "Arriving once" in the protocol.
function newToken() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => hex(byte, 2)).join("");
}

// Link is the connection and all that follow it. Its states:
//
//	connecting ──hello──> live ──lost──> waiting ──back-off, now()──> connecting
//	                        │──rename()──> connecting
//	                        └──closed with 1000──> ended ──now()──> connecting
class Link {
  state = "connecting";
  epoch = "";
  seq = 0; // up to here nothing is missing
  longest = Infinity;
  name = ""; // the one that we dialled with

  #ids = new Set(); // ours, in this epoch
  #socket = null;
  #tries = 0;
  #liveSince = 0;
  #wakeAt = 0;
  #lastHeard = moment();
  #silence = HELLO_WITHIN * 1000; // ms without a sign of life that are too many
  #lastSkip = null; // the notice to which further skips are added

  dial() {
    this.name = chosenName();
    this.#enter("connecting");
    this.#silence = HELLO_WITHIN * 1000;
    this.#lastHeard = moment();
    const socket = new WebSocket(this.#address(), "hubbub.v1");
    socket.onmessage = (event) => this.#hear(event.data);
    socket.onclose = (event) => this.#lost(event.code, event.reason);
    this.#socket = socket;
  }

  // now tries at once.
  now() {
    if (this.state === "waiting" || this.state === "ended") this.dial();
  }

  // rename goes on under the name that is chosen now.
  rename() {
    const socketUp = this.state === "connecting" || this.state === "live";
    if (!socketUp || this.name === chosenName()) return; // or the next connection has it
    this.#hangUp();
    this.dial();
  }

  send(message) {
    this.#socket.send(JSON.stringify(message));
  }

  // check is called every second, and when a sleep may be over: a timer for
  // when it is due would have slept too.
  check() {
    if (this.state === "waiting" && performance.now() >= this.#wakeAt) this.dial();
    const socketUp = this.state === "connecting" || this.state === "live";
    if (socketUp && since(this.#lastHeard) > this.#silence) this.#giveUp();
  }

  words() {
    if (this.state === "connecting") return this.epoch ? "reconnecting" : "connecting";
    if (this.state !== "waiting") return this.state;
    return `reconnecting in ${Math.max(1, Math.ceil((this.#wakeAt - performance.now()) / 1000))} s`;
  }

  #address() {
    const address = new URL(".", location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    const asks = address.searchParams;
    asks.set("session", outbox.session);
    if (this.name) asks.set("name", this.name);
    if (this.epoch) asks.set("since", `${this.epoch}-${this.seq}`);
    else if (asked.has("last")) asks.set("last", asked.get("last"));
    return address;
  }

  #enter(state) {
    this.state = state;
    frame.ask();
  }

  #hear(data) {
    this.#lastHeard = moment();
    const message = JSON.parse(data);
    switch (message.type) {
      case "hello": return this.#hello(message);
      case "message": return this.#message(message);
      case "private": return this.#private(message);
      case "skipped": return this.#skipped(message);
      case "passed": this.seq = Math.max(this.seq, message.seq); return undefined;
      case "ack": return outbox.settle(message.n);
      case "heartbeat": return this.send({ type: "heartbeat" });
      default: return undefined; // of a newer hub
    }
  }

  #hello(hello) {
    const anew = this.epoch !== "" && this.epoch !== hello.epoch;
    if (this.epoch !== hello.epoch) this.#ids.clear();
    this.#ids.add(hello.id);
    this.epoch = hello.epoch;
    this.seq = hello.seq;
    this.longest = hello.longest ?? Infinity;
    this.#silence = hello.heartbeat > 0 ? 2000 * hello.heartbeat : Infinity;
    this.#liveSince = performance.now();
    this.#enter("live");
    voice.say("live");
    if (anew) notice("the server was started anew: its numbers begin again");
    if (hello.missed) notice(`${count(hello.missed, "message")} ${hello.missed === 1 ? "is" : "are"} gone`);
    outbox.settle(hello.ack);
    outbox.sendAll();
  }

  #message({ seq, time, id, name, text, base64 }) {
    if (seq <= this.seq) return;
    if (seq > this.seq + 1) notice(`${count(seq - this.seq - 1, "message")} missing here`);
    this.seq = seq;
    if (this.#ids.has(id)) return; // it has stood here since it was said
    this.#show({ seq, time, who: name || (id === undefined ? "" : `client ${id}`) }, text, base64);
  }

  // private is for this page alone, and has no number.
  #private({ text, base64 }) {
    this.#show({ time: new Date().toISOString(), who: "to you" }, text, base64);
  }

  #show(entry, text, base64) {
    entry.kind = "message";
    if (base64 === undefined) entry.text = text ?? "";
    else Object.assign(entry, { text: hexOf(base64), bytes: bytesIn(base64) });
    store.add(entry);
    voice.hear(entry);
  }

  // skipped tells of a hole. Holes that nothing stands between are one.
  #skipped({ count: n, seq }) {
    this.seq = seq;
    const last = this.#lastSkip;
    const skips = last?.at === store.end - 1 ? last.skips + n : n;
    const text = `${count(skips, "message")} skipped: this browser was too slow for them`;
    if (skips === n) this.#lastSkip = notice(text);
    else view.refresh(Object.assign(last, { text }));
    this.#lastSkip.skips = skips;
  }

  #giveUp() {
    this.#hangUp();
    this.#lost(1006, "");
  }

  // hangUp does not wait for the other side's part of closing: there may be
  // no other side.
  #hangUp() {
    const socket = this.#socket;
    socket.onmessage = null;
    socket.onclose = null;
    socket.close();
  }

  #lost(code, reason) {
    if (this.state === "live") {
      voice.say("connection lost");
      // Not already with hello: a hub may say hello, and end it again.
      if (performance.now() - this.#liveSince > STEADY) this.#tries = 0;
    }
    if (BREACHES.includes(code)) notice(`the server closed the connection: ${reason || code}`);
    if (code === 1000 || (code === 1008 && /^kicked(:|$)/.test(reason))) {
      this.#enter("ended");
      return;
    }
    this.#wakeAt = performance.now() + backoff(this.#tries++);
    this.#enter("waiting");
    // A first try comes sooner than the next second.
    setTimeout(() => this.check(), this.#wakeAt - performance.now() + 1);
  }
}

// ---------------------------------------------------------------- Outbox

// Outbox keeps what was said here until the hub has acknowledged it. Numbers
// are given on the way out, not before: a line that turns out to be too long
// must not leave a gap.
//
// When the page goes it leaves what is not acknowledged to the next one in its
// tab, with the session that the numbers are of. Only that long does it stand in
// the storage: a copy of a tab must not have the session of a page that lives.
class Outbox {
  session = newToken();
  items = [];
  #last = 0;

  leave() {
    if (this.items.length === 0) return;
    const lines = this.items.map(({ time, text, n }) => ({ time, text, n }));
    leave(JSON.stringify({ session: this.session, last: this.#last, lines }));
  }

  // inherit takes what the page before left.
  inherit() {
    const left = inherited();
    if (left === null) return;
    const { session, last, lines } = JSON.parse(left);
    this.session = session;
    this.#last = last;
    for (const line of lines) this.items.push(store.add({ kind: "mine", state: "pending", who: "you", ...line }));
  }

  add(text) {
    const time = new Date().toISOString();
    const entry = store.add({ kind: "mine", state: "pending", who: "you", time, text });
    this.items.push(entry);
    if (link.state === "live") this.#send(entry);
    else voice.say("it will be sent when the connection is back");
  }

  // settle is told up to which number the hub has all.
  settle(n) {
    let settled = 0;
    while (settled < this.items.length && this.items[settled].n <= n) this.#end(this.items[settled++], "sent");
    this.items.splice(0, settled);
  }

  // sendAll sends everything that is not acknowledged, on a new connection.
  sendAll() {
    for (const entry of [...this.items]) this.#send(entry);
  }

  #send(entry) {
    if (!entry.n && this.#tooLong(entry)) return;
    entry.n ??= ++this.#last;
    link.send({ type: "message", n: entry.n, text: entry.text });
  }

  #tooLong(entry) {
    const bytes = new TextEncoder().encode(entry.text).length;
    if (bytes <= link.longest) return false;
    this.items.splice(this.items.indexOf(entry), 1);
    this.#end(entry, "refused");
    notice(`not sent: it has ${count(bytes, "byte")}, and this server takes ${number(link.longest)}`);
    return true;
  }

  #end(entry, state) {
    entry.state = state;
    view.refresh(entry);
    frame.ask();
  }
}

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
    $("now").hidden = state !== "waiting" && state !== "ended";
    put($("count"), number(store.heard));
    put($("unit"), store.heard === 1 ? "message" : "messages");
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

  // nothing says why there is nothing to see.
  #nothing(filter, paused) {
    if (paused) return filter ? "Paused: nothing from before matches the filter." : "Paused before anything was said.";
    if (filter) return `None of ${number(store.kept)} matches the filter.`;
    return link.seq > 0 ? "Nothing has been said since this page was opened." : "Nothing has been said yet.";
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

// ---------------------------------------------------------------- Voice

// Voice tells a screen reader what there is to hear: a few messages as they
// are, many as their number, and that the more rarely the longer they are many.
// What the page itself has to say does not wait for that.
class Voice {
  #words = [];
  #few = [];
  #heard = 0;
  #found = false; // what a filter finds is yet to be said
  #timer = 0;
  #rest = VOICE_RESTS;
  #newsAt = 0; // not before

  say(words) {
    this.#words.push(words);
    this.#wake();
  }

  hear(entry) {
    if (view.paused) return;
    this.#heard++;
    const text = entry.bytes === undefined ? entry.text.slice(0, VOICE_CHARS) : count(entry.bytes, "byte");
    if (this.#few.length < VOICE_FEW) this.#few.push(`${entry.who} ${text}`);
    this.#wake();
  }

  found() {
    this.#found = true;
    this.#wake();
  }

  #wake() {
    this.#timer ||= setTimeout(() => this.#speak(), VOICE_RESTS);
  }

  #speak() {
    this.#timer = 0;
    const said = this.#words.splice(0).slice(-3);
    if (this.#found && view.filter) said.push(count(view.matches, "match", "matches"));
    this.#found = false;
    if (this.#heard > 0 && performance.now() >= this.#newsAt) said.push(...this.#news());
    if (said.length > 0) $("said").textContent = said.join(". ");
    if (this.#heard > 0) this.#wake();
  }

  #news() {
    const many = this.#heard > this.#few.length;
    const news = many ? [count(this.#heard, "new message")] : this.#few;
    const speaks = VOICE_CHAR_TAKES * news.join("").length;
    this.#rest = many ? Math.min(2 * this.#rest, VOICE_RESTS_MOST) : Math.max(VOICE_RESTS, speaks);
    this.#newsAt = performance.now() + this.#rest;
    this.#few = [];
    this.#heard = 0;
    return news;
  }
}

// ---------------------------------------------------------------- Controls

// What is remembered from visit to visit, where the browser allows it.
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
    // Then it holds for this visit.
  }
}

// What a page leaves to the next one in its tab. One address may have several
// hubs, each below a path of its own.
const LEFT = `hubbub-unsent ${new URL(".", location.href).pathname}`;

function leave(text) {
  try {
    sessionStorage.setItem(LEFT, text);
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

// pressedAway is for a button that goes away when it is pressed: the focus, if
// it has it, stays with the stream. From nowhere no key would scroll.
function pressedAway(button, act) {
  button.addEventListener("click", () => {
    const focused = document.activeElement === button;
    act();
    if (focused) toStream();
  });
}

// rate tells how many messages a second came over the last five seconds.
const rate = {
  marks: [], // { time, heard }
  update() {
    const mark = { time: performance.now(), heard: store.heard };
    this.marks.push(mark);
    while (this.marks.length > 2 && mark.time - this.marks[0].time > 5500) this.marks.shift();
    const [first] = this.marks;
    const perSecond = (mark.heard - first.heard) / Math.max(1, (mark.time - first.time) / 1000);
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

function sendLine(line) {
  outbox.add(line);
  if (line) sentBefore.add(line);
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

// Where a phone's keyboard does not make the page smaller, we do.
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
  window.addEventListener("pagehide", () => outbox.leave());
  window.addEventListener("pageshow", beginAnew);
  window.visualViewport?.addEventListener("resize", fitKeyboard);
}

function nameChanged() {
  $("name").value = chosenName();
  remember("name", chosenName());
  link.rename();
}

function comeBack() {
  if (document.hidden) return;
  link.check();
  if (link.state === "waiting") link.now();
  frame.ask();
}

// A page that the browser had put away has left its lines, and somebody may have
// inherited them meanwhile: so it does not go on, but begins anew.
function beginAnew(event) {
  if (!event.persisted) return;
  outbox.items = [];
  location.reload();
}

// To close the tab loses lines; to reload does not, but cannot be told from it.
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
const rows = $("rows");
const probe = $("probe");

const store = new Store();
const frame = new Frame();
const view = new View();
const voice = new Voice();
const link = new Link();
const outbox = new Outbox();

// For tests to look at.
Object.defineProperty(window, "hubbub", {
  value: Object.freeze({
    get state() { return link.state; },
    get count() { return store.heard; },
    get lastSeq() { return link.seq; },
    get kept() { return store.kept; },
  }),
});

document.title = `${location.host} · hubbub`;
$("name").value = fitName(asked.get("name") ?? recall("name"));
setLook(looks.includes(recall("look")) ? recall("look") : "auto");
listen();
outbox.inherit();
setInterval(everySecond, 1000);
if (!matchMedia("(pointer: coarse)").matches) $("line").focus(); // a finger's keyboard would cover the half of it
link.dial();
