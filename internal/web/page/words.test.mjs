import assert from "node:assert/strict";
import { test } from "node:test";
import { bytesIn, clipped, count, fitName, hexOf, splitControls, visible } from "./words.js";

test("what obeys control characters is shown instead", () => {
  const shown = (text) => splitControls(text).map((part, i) => (i % 2 ? visible(part) : part)).join("");
  assert.equal(shown("a\x1b[31mred\u202etxet\n\t"), "a\\x1b[31mred\\u202etxet\n\t");
});

test("a long text is clipped, and no character is cut in half", () => {
  assert.equal(clipped("x".repeat(1999) + "🚀tail"), "x".repeat(1999));
  assert.equal(clipped("a\n".repeat(30)).split("\n").length, 20);
  assert.equal(clipped("short"), "short");
});

test("bytes are counted, and the first of them written in hex", () => {
  assert.deepEqual([bytesIn("/wA="), bytesIn("/w=="), bytesIn("AAAA"), bytesIn("")], [2, 1, 3, 0]);
  assert.equal(hexOf("/wA="), "ff 00");
  assert.ok(hexOf(btoa("\0".repeat(33))).endsWith("00 …"));
});

test("a typed name becomes one that the server takes", () => {
  assert.equal(fitName("  ann\u202e\x07 lee "), "ann lee");
  assert.equal(fitName("ü".repeat(64)), "ü".repeat(32));
  assert.equal(fitName("\u200dan\u200dn\u200d"), "an\u200dn");
});

test("one is no plural", () => {
  assert.deepEqual([count(1, "line"), count(1234, "line"), count(2, "match", "matches")], ["1 line", "1,234 lines", "2 matches"]);
});
