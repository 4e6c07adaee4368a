// Voice writes for a screen reader: a few messages as they are, many as their
// number, and that less and less often while they stay many. The page's own
// notices do not wait for that.

import { count } from "./words.js";

const RESTS = 2_000; // ms from one thing said to the next
const RESTS_MOST = 32_000; // while messages are many
const FEW = 3; // messages that are read out
const CHARS = 200; // of each
const CHAR_TAKES = 60; // ms to read it out

export class Voice {
  #region; // the element that a screen reader reads out
  #view;
  #words = [];
  #few = [];
  #unread = 0;
  #found = false; // the matches of a new filter are still to be read out
  #timer = 0;
  #rest = RESTS;
  #newsAt = 0; // not before

  constructor(region, view) {
    this.#region = region;
    this.#view = view;
  }

  say(words) {
    this.#words.push(words);
    this.#wake();
  }

  message(entry) {
    if (this.#view.paused) return;
    this.#unread++;
    const text = entry.bytes === undefined ? entry.text.slice(0, CHARS) : count(entry.bytes, "byte");
    if (this.#few.length < FEW) this.#few.push(`${entry.who} ${text}`);
    this.#wake();
  }

  found() {
    this.#found = true;
    this.#wake();
  }

  #wake() {
    this.#timer ||= setTimeout(() => this.#speak(), RESTS);
  }

  #speak() {
    this.#timer = 0;
    const words = this.#words.splice(0).slice(-3);
    if (this.#found && this.#view.filter) words.push(count(this.#view.matches, "match", "matches"));
    this.#found = false;
    if (this.#unread > 0 && performance.now() >= this.#newsAt) words.push(...this.#news());
    if (words.length > 0) this.#region.textContent = words.join(". ");
    if (this.#unread > 0) this.#wake();
  }

  #news() {
    const many = this.#unread > this.#few.length;
    const news = many ? [count(this.#unread, "new message")] : this.#few;
    const speaks = CHAR_TAKES * news.join("").length;
    this.#rest = many ? Math.min(2 * this.#rest, RESTS_MOST) : Math.max(RESTS, speaks);
    this.#newsAt = performance.now() + this.#rest;
    this.#few = [];
    this.#unread = 0;
    return news;
  }
}
