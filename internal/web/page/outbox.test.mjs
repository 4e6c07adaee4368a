import assert from "node:assert/strict";
import { test } from "node:test";
import { Outbox } from "./outbox.js";

const outboxOf = (...texts) => {
  const outbox = new Outbox();
  for (const text of texts) outbox.add({ text });
  return outbox;
};

const sent = (outbox, longest = Infinity) => outbox.due(longest).send.map(({ n, text }) => `${n} ${text}`);
const texts = (entries) => entries.map(({ text }) => text);

test("lines are numbered as they go, and go once on a connection", () => {
  const outbox = outboxOf("a", "b");
  assert.deepEqual(sent(outbox), ["1 a", "2 b"]);
  outbox.add({ text: "c" });
  assert.deepEqual(sent(outbox), ["3 c"]);
  assert.deepEqual(sent(outbox), []);
});

test("an ack settles all up to its number, and no more", () => {
  const outbox = outboxOf("a", "b", "c");
  sent(outbox);
  const settled = outbox.settle(2);
  assert.deepEqual(texts(settled), ["a", "b"]);
  assert.ok(settled.every(({ state }) => state === "sent"));
  assert.deepEqual(outbox.items.map(({ text, state }) => [text, state]), [["c", "pending"]]);
  assert.deepEqual(outbox.settle(2), []);
});

test("an ack settles nothing that has no number yet", () => {
  const outbox = outboxOf("a");
  assert.deepEqual(outbox.settle(5), []);
});

test("after a break all that is not acknowledged goes again, in order, under the same numbers", () => {
  const outbox = outboxOf("a", "b", "c");
  sent(outbox);
  outbox.settle(1);
  outbox.add({ text: "d" });
  outbox.begin(2, false); // it had b, and its ack was lost
  assert.deepEqual(sent(outbox), ["3 c", "4 d"]);
});

test("a server that was started anew knows no number, and the numbers go on", () => {
  const outbox = outboxOf("a", "b");
  sent(outbox);
  outbox.settle(1);
  outbox.begin(0, true);
  assert.deepEqual(sent(outbox), ["2 b"]);
});

test("a line that is too long is refused and leaves no gap", () => {
  const outbox = outboxOf("a", "long", "b");
  const { send, refused } = outbox.due(3);
  assert.deepEqual(send.map(({ n, text }) => `${n} ${text}`), ["1 a", "2 b"]);
  assert.deepEqual(refused.map(({ text, state }) => `${text} ${state}`), ["long refused"]);
  assert.deepEqual(texts(outbox.items), ["a", "b"]);
});

test("length is counted in bytes of UTF-8", () => {
  assert.equal(outboxOf("äöü").due(5).refused.length, 1);
  assert.equal(outboxOf("äöü").due(6).refused.length, 0);
});

test("a server that comes back with a smaller limit gets what it takes, numbered without a gap", () => {
  const outbox = outboxOf("a", "much too long", "b");
  sent(outbox);
  outbox.settle(1);
  outbox.begin(0, true);
  const { send, refused } = outbox.due(5);
  assert.deepEqual(texts(refused), ["much too long"]);
  assert.deepEqual(send.map(({ n, text }) => `${n} ${text}`), ["2 b"]);
});

test("a line that the server closed the connection for is refused, the others go", () => {
  const outbox = outboxOf("a", "bad", "b");
  sent(outbox);
  assert.equal(outbox.reject("no record"), true);
  const { settled, refused, why } = outbox.begin(1, false);
  assert.deepEqual([texts(settled), texts(refused), why], [["a"], ["bad"], "no record"]);
  assert.deepEqual(sent(outbox), ["2 b"]);
  assert.deepEqual(outbox.begin(1, false).refused, []); // once
});

test("no line is refused for what a server closed that is no more", () => {
  const outbox = outboxOf("a");
  sent(outbox);
  outbox.reject("no record");
  assert.deepEqual(outbox.begin(0, true).refused, []);
  assert.deepEqual(sent(outbox), ["1 a"]);
});

test("a connection that was closed before a line was sent was not closed for one", () => {
  assert.equal(outboxOf("a").reject("kicked"), false);
  assert.equal(outboxOf().reject("kicked"), false);
});

test("the next page goes on with what was saved", () => {
  const before = outboxOf("a", "b", "c");
  sent(before);
  before.settle(1);
  before.add({ text: "d" }); // typed while there is no connection
  const outbox = new Outbox();
  assert.deepEqual(texts(outbox.restore(before.save())), ["b", "c", "d"]);
  assert.equal(outbox.session, before.session);
  assert.deepEqual(texts(outbox.begin(2, false).settled), ["b"]);
  assert.deepEqual(sent(outbox), ["3 c", "4 d"]);
});

test("nothing is saved when all is acknowledged", () => {
  const outbox = outboxOf("a");
  sent(outbox);
  outbox.settle(1);
  assert.equal(outbox.save(), null);
});

test("half a character is replaced: the server would take it for a breach", () => {
  const outbox = outboxOf("a\ud83d", "🚀");
  assert.deepEqual(sent(outbox), ["1 a\ufffd", "2 🚀"]);
});

test("sessions differ, and are what the protocol allows", () => {
  const tokens = new Set(Array.from({ length: 100 }, () => new Outbox().session));
  assert.equal(tokens.size, 100);
  for (const token of tokens) assert.match(token, /^[A-Za-z0-9_-]{16,64}$/);
});
