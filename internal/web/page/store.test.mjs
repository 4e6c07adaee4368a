import assert from "node:assert/strict";
import { test } from "node:test";
import { KEEP, KEEP_CHARS, lets, parseFilter, Store } from "./store.js";

const message = (text, who = "") => ({ kind: "message", text, who });
const notice = (text) => ({ kind: "notice", text, who: "" });

test("entries stand in the order in which they came", () => {
  const store = new Store();
  for (const text of ["a", "b", "c"]) store.add(message(text));
  assert.deepEqual([...store.from(0)].map(({ at, text }) => `${at} ${text}`), ["0 a", "1 b", "2 c"]);
  assert.deepEqual([...store.from(2)].map(({ text }) => text), ["c"]);
  assert.equal(store.end, 3);
});

test("the oldest are dropped, counted, and those that are kept keep their index", () => {
  const store = new Store();
  const all = KEEP + 12_345;
  for (let i = 0; i < all; i++) store.add(message(`m${i}`));
  assert.ok(store.entries.length <= KEEP && store.entries.length > 0.9 * KEEP);
  assert.equal(store.received, all);
  assert.equal(store.kept + store.dropped, all);
  assert.equal(store.end, all);
  for (const entry of store.from(0)) assert.equal(entry.text, `m${entry.at}`);
  assert.equal([...store.from(0)][0].at, store.first);
});

test("the size is bounded too, and the newest is always kept", () => {
  const store = new Store();
  const big = "x".repeat(KEEP_CHARS / 4);
  for (let i = 0; i < 20; i++) {
    store.add(message(big));
    assert.ok(store.chars <= KEEP_CHARS);
  }
  store.add(message("y".repeat(KEEP_CHARS + 1)));
  assert.equal(store.entries.length, 1);
});

test("notices are neither received nor dropped messages", () => {
  const store = new Store();
  store.add(notice("n"));
  store.add({ kind: "mine", text: "m", who: "you" });
  assert.deepEqual([store.received, store.kept, store.chars], [0, 1, 1]);
});

test("a filter is text in any case, or an expression with flags", () => {
  const found = (typed, text, who) => lets(parseFilter(typed), message(text, who));
  assert.ok(found("ODD", "an odd line"));
  assert.ok(!found("even", "an odd line"));
  assert.ok(found("/^an o+dd/", "an odd line"));
  assert.ok(!found("/^AN/", "an odd line"));
  assert.ok(found("/^AN/i", "an odd line"));
  assert.ok(found("a.b", "a.b") && !found("a.b", "axb"));
  assert.ok(found("/(/", "text with /(/ in it")); // not valid: text
  assert.ok(found("ann", "hello", "Ann"));
});

test("no filter lets all through, and every filter lets notices through", () => {
  assert.equal(parseFilter(""), null);
  assert.ok(lets(null, message("a")));
  assert.ok(lets(parseFilter("b"), notice("a")));
});

test("testing twice finds twice", () => {
  const filter = parseFilter("/a/");
  assert.ok(lets(filter, message("a")) && lets(filter, message("a")));
});
