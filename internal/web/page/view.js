// View shows the part of the store that is in sight, as rows. Other people's text
// becomes text nodes only, never markup.

import { lets } from "./store.js";
import { clipped, count, mostShown, number, splitControls, visible } from "./words.js";

const BLOCK = 32; // entries that are shown, measured and taken away together
const SCROLL_RESTS = 200; // ms without a scroll event

const fullTime = new Intl.DateTimeFormat("en", { dateStyle: "full", timeStyle: "long" });

// Entries are in blocks. A block has a height, which is an estimate until the
// block is first shown, and an element only near the visible part. Padding stands
// for the blocks above and below.
//
// CSS content-visibility is slower: with a row per message, at 100,000 messages,
// a browser takes three times the memory and draws 9 to 18 frames per second of a
// stream of 1,000 messages per second, instead of 55 (page_measure_linux_test.go).
//
// The view follows the newest entry until somebody scrolls up. From then on the
// entry at the top edge is its anchor: whatever is measured, dropped or resized,
// that entry stays where it is.
export class View {
  filter = null;
  following = true;
  paused = false;
  matches = 0; // messages that the filter lets through
  news = 0; // messages since it stopped following, or was paused

  #receivedAtPause = 0;
  #blocks = [];
  #next = 0; // the index of the first entry that take has not seen
  #anchor = null; // { entry, shift }: px of the entry above the edge
  #lastTop = 0;
  #rest = 0; // the timer for the end of scrolling; 0 after it
  #overruled = false; // follow has overruled that scrolling
  #stale = false; // the filter has changed
  #drift = 0; // px of padding beyond the heights
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

  // take follows what the store has added and dropped.
  take() {
    if (this.#stale) this.#restart();
    if (this.paused) {
      this.news = this.#store.received - this.#receivedAtPause;
      return;
    }
    this.#takeNew();
    this.#drop();
  }

  // lay puts the blocks around the visible part into the page, measures them
  // and keeps the scroll position.
  lay() {
    this.#noteWidth();
    const seen = this.#log.clientHeight;
    const top = this.following ? this.#topOf(this.#blocks.length) - seen : this.#anchorTop();
    const [from, to] = this.#range(top - seen, top + 2 * seen);
    const coarse = !this.following && this.#anchor?.entry.row === null; // only its block was known
    this.#mount(from, to);
    for (const block of this.#blocks.slice(from, to)) block.height = block.element.getBoundingClientRect().height;
    this.#keepPlace(from, to);
    if (coarse) this.#anchor = this.#entryAtTop();
    if (!this.#covers(from, to, seen)) this.#ask();
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

  // follow goes to the newest entry and stays there, even while the browser
  // scrolls smoothly: nothing can stop that.
  follow() {
    this.following = true;
    this.#overruled = this.#rest !== 0;
    this.news = 0;
    this.#ask();
  }

  // scrolled notes the scroll position. The event calls it, and each frame: the
  // event may be a frame late.
  scrolled() {
    const top = this.#log.scrollTop;
    // Neither #scrollTo's own nor the browser's after a change of width, which
    // lay repairs.
    if (Math.abs(top - this.#lastTop) < 1 || this.#log.clientWidth !== this.#width) return;
    clearTimeout(this.#rest);
    this.#rest = setTimeout(() => this.#rested(), SCROLL_RESTS);
    const rest = this.#log.scrollHeight - this.#log.clientHeight - top;
    // Any scrolling up ends following, however short: with a tolerance, slow
    // scrolling could never leave the end.
    if (rest < 1.5) this.following = true;
    else if (top < this.#lastTop && !this.#overruled) this.following = false;
    if (this.following && !this.paused) this.news = 0;
    this.#lastTop = top;
    this.#anchor = this.#entryAtTop();
    this.#ask();
  }

  #rested() {
    this.#rest = 0;
    this.#overruled = false;
    this.#ask();
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
    this.#ask();
  }

  // restart shows the whole store again, even while paused.
  #restart() {
    this.#stale = false;
    this.#mount(0, 0);
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

  // drop removes what the store has dropped.
  #drop() {
    let n = 0;
    while (n < this.#blocks.length && this.#blocks[n].entries.at(-1).at < this.#store.first) {
      this.#unmount(this.#blocks[n]);
      this.#uncount(this.#blocks[n].entries);
      n++;
    }
    this.#blocks.splice(0, n);
    const block = this.#blocks[0];
    if (!block || block.entries[0].at >= this.#store.first) return;
    const kept = block.entries.filter((entry) => entry.at >= this.#store.first);
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

  // topOf is the scroll position of a block.
  #topOf(i) {
    return this.#rows.offsetTop + this.#drift + this.#height(0, i);
  }

  // range is the blocks between two scroll positions: the first, and one past the last.
  #range(top, bottom) {
    const { length } = this.#blocks;
    let from = 0;
    let height = this.#topOf(0);
    while (from < length - 1 && height + this.#blocks[from].height < top) height += this.#blocks[from++].height;
    let to = from;
    while (to < length && height < bottom) height += this.#blocks[to++].height;
    return [from, to];
  }

  // keepPlace sets the padding so that the anchor stays where it is. While
  // somebody scrolls, it moves the padding above instead of the scroll position:
  // setting that would stop the browser's smooth scrolling.
  #keepPlace(from, to) {
    const above = this.#height(0, from);
    const scrolling = !this.following && this.#rest !== 0;
    if (scrolling) this.#drift -= this.#anchorTop() - this.#log.scrollTop;
    if (!scrolling || above + this.#drift < 0) this.#drift = 0;
    this.#rows.style.paddingTop = `${above + this.#drift}px`;
    this.#rows.style.paddingBottom = `${this.#height(to)}px`;
    if (this.following) this.#scrollTo(this.#log.scrollHeight - this.#log.clientHeight);
    else this.#scrollTo(this.#anchorTop());
  }

  // covers reports whether no padding is in sight. Bad estimates bring it into
  // sight; the next frame has better ones.
  #covers(from, to, seen) {
    const start = this.#topOf(from) - this.#log.scrollTop;
    const end = start + this.#height(from, to);
    return (from === 0 || start <= 1) && (to === this.#blocks.length || end >= seen - 1);
  }

  #mount(from, to) {
    const wanted = new Set(this.#blocks.slice(from, to));
    for (const block of this.#blocks) if (block.element && !wanted.has(block)) this.#unmount(block);
    let spot = this.#rows.firstChild;
    for (const block of wanted) {
      block.element ??= this.#build(block);
      if (block.element === spot) spot = spot.nextSibling;
      else this.#rows.insertBefore(block.element, spot);
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
    entry.row = makeRow(entry, this.filter, () => this.open(entry));
    return entry.row;
  }

  // noteWidth estimates all heights again when the width changes.
  #noteWidth() {
    if (this.#log.clientWidth === this.#width) return;
    this.#width = this.#log.clientWidth;
    this.#mount(0, 0);
    const body = this.#probe.querySelector(".body");
    this.#columns = Math.max(8, Math.floor(body.clientWidth / body.firstChild.getBoundingClientRect().width));
    for (const block of this.#blocks) {
      block.height = block.entries.reduce((sum, entry) => sum + this.#guess(entry), 0);
    }
  }

  #guess(entry) {
    const lines = Math.ceil(Math.min(entry.text.length + entry.who.length, mostShown) / this.#columns);
    return Math.max(1, lines) * 20 + 2; // as page.css has it
  }

  #entryAtTop() {
    const edge = this.#log.getBoundingClientRect().top;
    let top = this.#topOf(0) - this.#log.scrollTop;
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

  // anchorTop is the scroll position that keeps the anchor where it was. If the
  // anchor is gone, the next entry takes its place.
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
    if (Math.abs(this.#log.scrollTop - top) >= 1) this.#log.scrollTop = top;
    this.#lastTop = this.#log.scrollTop;
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

// writeMarked is write with the matches of the filter marked.
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

// writeTime writes the local time of day into a <time>, and the full date into its title.
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


// pressedAway is for a button that disappears when it is pressed: its focus moves
// to the stream. Without focus no key would scroll.
export function pressedAway(button, act) {
  button.addEventListener("click", () => {
    const focused = document.activeElement === button;
    act();
    if (focused) document.getElementById("log").focus({ preventScroll: true });
  });
}
