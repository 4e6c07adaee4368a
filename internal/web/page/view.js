// View shows the part of the store that is in sight, as rows. What others wrote
// becomes text nodes only, never markup.

import { lets } from "./store.js";
import { clipped, count, mostShown, number, splitControls, visible } from "./words.js";

const BLOCK = 32; // entries that are shown, measured and taken away together
const SCROLL_RESTS = 200; // ms without a scroll event

const fullTime = new Intl.DateTimeFormat("en", { dateStyle: "full", timeStyle: "long" });

// View shows the store. Entries stand in blocks, which the browser lays out and
// paints only near the visible part (content-visibility), and keeps in place as
// others come and go (overflow-anchor).
export class View {
  filter = null;
  following = true;
  paused = false;
  matches = 0; // messages that the filter lets through
  news = 0; // messages that came since it does not follow, or is paused

  #receivedAtPause = 0;
  #blocks = [];
  #next = 0; // the place of the first entry not yet looked at
  #lastTop = 0;
  #stale = false; // the filter is another one
  #width = 0;
  #columns = 80;

  #store;
  #log; // what scrolls
  #rows; // the rows in it
  #probe; // a row that nobody sees, to measure
  #ask; // for a frame

  constructor(store, { log, rows, probe }, ask) {
    this.#store = store;
    this.#log = log;
    this.#rows = rows;
    this.#probe = probe;
    this.#ask = ask;
  }

  take() {
    if (this.#stale) this.#restart();
    if (this.paused) {
      this.news = this.#store.received - this.#receivedAtPause;
      return;
    }
    this.#takeNew();
    this.#drop();
  }

  lay() {
    this.#noteWidth();
    if (!this.following) return;
    this.#log.scrollTop = this.#log.scrollHeight;
    this.#lastTop = this.#log.scrollTop;
  }

  setFilter(filter) {
    this.filter = filter;
    this.#stale = true;
    this.#ask();
  }

  pause(paused) {
    this.paused = paused;
    this.#receivedAtPause = this.#store.received;
    this.news = 0;
    this.#ask();
  }

  follow() {
    this.following = true;
    this.news = 0;
    this.#ask();
  }

  scrolled() {
    const top = this.#log.scrollTop;
    if (Math.abs(top - this.#lastTop) < 1) return;
    const rest = this.#log.scrollHeight - this.#log.clientHeight - top;
    if (rest < 1.5) this.following = true;
    else if (top < this.#lastTop) this.following = false;
    if (this.following && !this.paused) this.news = 0;
    this.#lastTop = top;
    this.#ask();
  }

  open(entry) {
    entry.open = true;
    this.following = false;
    this.refresh(entry);
  }

  refresh(entry) {
    if (!entry.row) return;
    entry.row.replaceWith(this.#row(entry));
    this.#ask();
  }

  #restart() {
    this.#stale = false;
    this.#rows.replaceChildren();
    for (const block of this.#blocks) for (const entry of block.entries) entry.row = null;
    this.#blocks = [];
    this.#next = this.#store.first;
    this.matches = 0;
    this.#takeNew();
    this.#receivedAtPause = this.#store.received;
    this.news = 0;
  }

  #takeNew() {
    for (const entry of this.#store.from(this.#next)) {
      if (lets(this.filter, entry)) this.#append(entry);
    }
    this.#next = this.#store.end;
  }

  #append(entry) {
    let block = this.#blocks.at(-1);
    if (!block || block.entries.length >= BLOCK) {
      block = { entries: [], height: 0, element: element("div", "block") };
      this.#blocks.push(block);
      this.#rows.append(block.element);
    }
    block.entries.push(entry);
    block.height += this.#guess(entry);
    block.element.append(this.#row(entry));
    block.element.style.containIntrinsicBlockSize = `auto ${block.height}px`;
    if (entry.kind === "notice") return;
    this.matches++;
    if (!this.following) this.news++;
  }

  #drop() {
    let n = 0;
    while (n < this.#blocks.length && this.#blocks[n].entries.at(-1).at < this.#store.first) {
      this.#blocks[n].element.remove();
      this.#uncount(this.#blocks[n].entries);
      n++;
    }
    this.#blocks.splice(0, n);
  }

  #uncount(entries) {
    for (const entry of entries) {
      entry.row = null;
      if (entry.kind !== "notice") this.matches--;
    }
  }

  #row(entry) {
    entry.row = makeRow(entry, this.filter, () => this.open(entry));
    return entry.row;
  }

  #noteWidth() {
    if (this.#log.clientWidth === this.#width) return;
    this.#width = this.#log.clientWidth;
    const body = this.#probe.querySelector(".body");
    this.#columns = Math.max(8, Math.floor(body.clientWidth / body.firstChild.getBoundingClientRect().width));
  }

  #guess(entry) {
    const lines = Math.ceil(Math.min(entry.text.length + entry.who.length, mostShown) / this.#columns);
    return Math.max(1, lines) * 20 + 2; // as page.css has it
  }
}

function makeRow(entry, filter, open) {
  const row = element("div", entry.kind === "message" ? "row" : `row ${entry.kind}`);
  if (entry.seq) row.dataset.seq = entry.seq;
  const time = element("time");
  writeTime(time, entry.time);
  if (entry.kind === "notice") row.title = time.title;
  else row.append(time);
  row.append(makeBody(entry, filter, open));
  if (entry.kind === "mine") {
    row.dataset.state = entry.state;
    row.append(element("span", "fate", entry.state));
  }
  return row;
}

function makeBody(entry, filter, open) {
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
  if (part.length < entry.text.length) body.append(moreButton(entry, open));
  return body;
}

function moreButton(entry, open) {
  const button = element("button", "more", `show all ${number(entry.text.length)} characters`);
  button.type = "button";
  pressedAway(button, open);
  return button;
}

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

// write appends text to an element, its control characters visible.
function write(into, text) {
  splitControls(text).forEach((part, i) => {
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


// pressedAway is for a button that goes away when it is pressed: the focus, if
// it has it, stays with the stream. From nowhere no key would scroll.
export function pressedAway(button, act) {
  button.addEventListener("click", () => {
    const focused = document.activeElement === button;
    act();
    if (focused) document.getElementById("log").focus({ preventScroll: true });
  });
}
