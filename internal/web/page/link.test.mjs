import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { FINAL_CODES, FINAL_REASONS, LINE_REASONS } from "./endings.js";
import { backoff, Link } from "./link.js";

// A clock that stands still until a test moves it, and timers that only it runs.
let now = 0;
let timers = [];
performance.now = () => now;
Date.now = () => now;
globalThis.setTimeout = (act, ms) => timers.push({ act, at: now + ms });

function pass(ms) {
  now += ms;
  const due = timers.filter(({ at }) => at <= now);
  timers = timers.filter(({ at }) => at > now);
  for (const { act } of due) act();
}

let sockets = [];
globalThis.WebSocket = class {
  sent = [];
  closed = false;
  constructor(address, protocol) {
    Object.assign(this, { address, protocol });
    sockets.push(this);
  }
  send(text) {
    this.sent.push(JSON.parse(text));
  }
  close() {
    this.closed = true;
  }
  says(...messages) {
    for (const message of messages) this.onmessage({ data: JSON.stringify(message) });
  }
  ends(code, reason = "") {
    this.onclose({ code, reason });
  }
};

const hello = (fields) => ({ type: "hello", epoch: "e1", id: 1, seq: 0, heartbeat: 25, longest: 100, ack: 0, ...fields });
const message = (seq, text, fields) => ({ type: "message", seq, time: "2026-11-24T12:00:00.123Z", text, ...fields });

// A link that has dialled, and what it told.
function dialled({ rejected = false } = {}) {
  const told = [];
  const tell = (what) => (...details) => void told.push([what, ...details].join(" "));
  const listener = {
    changed() {},
    live: tell("live"),
    message: ({ seq, who, text }) => void told.push(`message ${[seq, who, text].filter(Boolean).join(" ")}`),
    skipped: tell("skipped"),
    notice: tell("notice"),
    ack: tell("ack"),
    lost: tell("lost"),
    rejected: (why) => (told.push(`rejected ${why}`), rejected),
  };
  const link = new Link((since) => `ws://host/?since=${since}`, listener);
  link.dial();
  return { link, told };
}

const socket = () => sockets.at(-1);

// closes ends the connection as the server does: with a reason, or without.
function closes(code, reason) {
  if (reason) socket().says({ type: "close", code: reason, reason: "why" });
  socket().ends(code, "why");
}

beforeEach(() => {
  sockets = [];
  timers = [];
});

test("it asks for hubbub.v1, is live with hello, and passes messages on", () => {
  const { link, told } = dialled();
  assert.equal(socket().protocol, "hubbub.v1");
  assert.equal(link.state, "connecting");
  socket().says(hello({ seq: 4, ack: 3 }), message(5, "a"), message(6, "b", { id: 7 }), message(7, "c", { id: 8, name: "ann" }));
  assert.equal(link.state, "live");
  assert.equal(link.longest, 100);
  assert.deepEqual(told, ["live 3 false", "message 5 a", "message 6 client 7 b", "message 7 ann c"]);
});

test("after a break it goes on where it was", () => {
  const { link } = dialled();
  socket().says(hello(), message(1, "a"));
  socket().ends(1006);
  assert.equal(link.state, "waiting");
  pass(501);
  assert.equal(link.state, "connecting");
  assert.equal(socket().address, "ws://host/?since=e1-1");
});

test("no message is shown twice, and one that is missing is told of", () => {
  const { told } = dialled();
  socket().says(hello(), message(1, "a"), message(1, "a"), message(3, "c"), { type: "passed", seq: 5 }, message(6, "f"));
  assert.deepEqual(told, ["live 0 false", "message 1 a", "notice 1 message missing here", "message 3 c", "message 6 f"]);
});

test("what is gone, what was skipped, and a server that was restarted are told of", () => {
  const { link, told } = dialled();
  socket().says(hello(), message(1, "a"));
  socket().ends(1006);
  link.now();
  socket().says(hello({ seq: 5, missed: 4 }), { type: "skipped", count: 2, seq: 7 });
  socket().ends(1006);
  link.now();
  socket().says(hello({ epoch: "e2" }));
  assert.deepEqual(told.slice(2), [
    "lost", "notice 4 messages no longer available", "live 0 false", "skipped 2",
    "lost", "notice the server was restarted: its numbers begin again", "live 0 true",
  ]);
});

test("its own messages, also of a connection before, are not shown again", () => {
  const { link, told } = dialled();
  socket().says(hello({ id: 1 }));
  socket().ends(1006);
  link.now();
  socket().says(hello({ id: 2 }), message(1, "mine", { id: 1 }), message(2, "mine", { id: 2 }), message(3, "theirs", { id: 3 }));
  assert.deepEqual(told.slice(3), ["message 3 client 3 theirs"]);
  assert.equal(link.seq, 3);
});

test("a private message has no number, and bytes are shown in hex", () => {
  const { link, told } = dialled();
  socket().says(hello(), { type: "private", text: "psst" }, { type: "private", base64: "/wA=" });
  assert.deepEqual(told.slice(1), ["message to you psst", "message to you ff 00"]);
  assert.equal(link.seq, 0);
});

test("it ignores what it does not know", () => {
  const { told } = dialled();
  socket().says(hello(), { type: "of tomorrow", seq: 9 });
  assert.deepEqual(told, ["live 0 false"]);
});

test("it answers heartbeats, and gives up a connection that has none", () => {
  const { link } = dialled();
  socket().says(hello({ heartbeat: 25 }), { type: "heartbeat" });
  assert.deepEqual(socket().sent, [{ type: "heartbeat" }]);
  pass(50_000);
  link.check();
  assert.equal(link.state, "live");
  pass(1);
  link.check();
  assert.equal(link.state, "waiting");
  assert.ok(socket().closed);
});

test("a server that does not begin is given up after ten seconds", () => {
  const { link } = dialled();
  pass(10_001);
  link.check();
  assert.equal(link.state, "waiting");
});

test("tries are further and further apart, up to half a minute, until one lasts", () => {
  for (let tries = 0; tries < 20; tries++) {
    const most = Math.min(30_000, 500 * 2 ** tries);
    const ms = backoff(tries);
    assert.ok(ms >= most / 2 && ms <= most);
  }
  const { link } = dialled();
  for (let tries = 0; tries < 6; tries++) {
    socket().ends(1006);
    pass(30_001);
  }
  assert.equal(sockets.length, 7);
  socket().says(hello());
  pass(6_000);
  socket().ends(1006);
  pass(501);
  assert.equal(link.state, "connecting");
});

test("another name is another connection, and the old one is not heard any more", () => {
  const { link, told } = dialled();
  socket().says(hello());
  const [old] = sockets;
  link.redial();
  assert.ok(old.closed && old.onmessage === null && old.onclose === null);
  assert.equal(sockets.length, 2);
  assert.deepEqual(told, ["live 0 false"]);
});

test("only a final end is the last: it is told, and a person may want another", () => {
  for (const [code, reason] of [...FINAL_CODES.map((c) => [c]), ...FINAL_REASONS.map((r) => [1008, r]), [1000]]) {
    const { link, told } = dialled();
    socket().says(hello());
    closes(code, reason);
    assert.equal(link.state, "ended", `${code} ${reason}`);
    assert.equal(told.includes("notice the server closed the connection: why"), code !== 1000, `${code} ${reason}`);
    link.now();
    assert.equal(link.state, "connecting");
  }
});

test("any other end is not: it tries again", () => {
  const tryAgain = [1001, 1006, 1008, 1011, 1012, 1013, 1014, 3000, 4999];
  for (const [code, reason] of [...tryAgain.map((c) => [c]), [1008, "lapped"], [1008, "slow"], [1008, "of tomorrow"], [1001, "shutdown"]]) {
    const { link } = dialled();
    socket().says(hello());
    closes(code, reason);
    assert.equal(link.state, "waiting", `${code} ${reason}`);
  }
});

test("after each of many such lines it tries again soon", () => {
  const { link } = dialled({ rejected: true });
  for (let lines = 0; lines < 20; lines++) {
    socket().says(hello());
    closes(1009);
    pass(501);
    assert.equal(link.state, "connecting", `after ${lines}`);
  }
});

// A person's words are no reason: only the enumerated one counts.
test("no text is taken for a reason", () => {
  const { link } = dialled();
  socket().says(hello(), { type: "close", code: "lapped" });
  socket().ends(1008, "kicked: not really");
  assert.equal(link.state, "waiting");
});

test("a line that the server closed the connection for does not end it", () => {
  for (const [code, reason] of [...FINAL_CODES.map((c) => [c]), ...LINE_REASONS.map((r) => [1008, r])]) {
    const { link, told } = dialled({ rejected: true });
    socket().says(hello());
    closes(code, reason);
    assert.equal(link.state, "waiting", `${code} ${reason}`);
    assert.ok(told.includes("rejected the server closed the connection: why"));
  }
});

test("a reason belongs to one connection", () => {
  const { link } = dialled();
  socket().says(hello(), { type: "close", code: "kicked" });
  link.redial();
  socket().says(hello());
  socket().ends(1006);
  assert.equal(link.state, "waiting");
});
