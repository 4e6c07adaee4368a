// Link is the connection to the server, and every one after it: it resumes,
// watches and reconnects. No DOM. Its states:
//
//	connecting ──hello──> live ──lost──> waiting ──back-off, now()──> connecting
//	                        │──redial()──> connecting
//	                        └──closed for good──> ended ──now()──> connecting
//
// It tells its listener:
//
//	changed()           the state is another
//	live(ack, anew)     hello has come: the server has our messages up to ack;
//	                    anew: it was restarted
//	message(entry)      a message from the server, for the store
//	skipped(n)          the server has left out n messages
//	notice(text)        a notice for people
//	ack(n)              the server has our messages up to n
//	lost()              a live connection has ended
//	rejected(why)       the server did not take a line; reports whether there is one

import { isAboutLine, isFinal } from "./endings.js";
import { bytesIn, count, hexOf } from "./words.js";

const BACKOFF_FIRST = 500; // ms
const BACKOFF_MOST = 30_000;
const STEADY = 5_000; // ms of a connection after which the back-off begins anew
const HELLO_WITHIN = 10; // seconds

const DONE = 1000; // close codes
const POLICY = 1008;

// backoff is how long to wait before the next try, in ms: longer each time,
// and random, so that clients do not reconnect in step.
export function backoff(tries) {
  return Math.min(BACKOFF_MOST, BACKOFF_FIRST * 2 ** tries) * (0.5 + Math.random() / 2);
}

// moment is now by two clocks: one may stand still while the machine sleeps,
// somebody may set the other.
const moment = () => ({ steady: performance.now(), wall: Date.now() });

// since is how many ms have passed, asleep or awake.
const since = ({ steady, wall }) => Math.max(performance.now() - steady, Date.now() - wall);

export class Link {
  state = "connecting";
  epoch = "";
  seq = 0; // up to here nothing is missing
  longest = Infinity; // bytes of a message that the server takes

  #address;
  #listener;
  #ids = new Set(); // ours, in this epoch
  #socket = null;
  #tries = 0;
  #liveSince = 0;
  #wakeAt = 0;
  #receivedAt = moment();
  #silence = HELLO_WITHIN * 1000; // ms without a sign of life that are too many
  #reason = ""; // why the server is about to close the connection: a code

  // address(since) is where to connect; since is the resume point, or "".
  constructor(address, listener) {
    this.#address = address;
    this.#listener = listener;
  }

  dial() {
    this.#enter("connecting");
    this.#silence = HELLO_WITHIN * 1000;
    this.#reason = "";
    this.#receivedAt = moment();
    const socket = new WebSocket(this.#address(this.epoch && `${this.epoch}-${this.seq}`), "hubbub.v1");
    socket.onmessage = (event) => this.#receive(event.data);
    socket.onclose = (event) => this.#lost(event.code, event.reason);
    this.#socket = socket;
  }

  // now tries at once.
  now() {
    if (this.state === "waiting" || this.state === "ended") this.dial();
  }

  // redial replaces a connection that is up: the address has changed.
  redial() {
    if (!this.#isUp()) return;
    this.#hangUp();
    this.dial();
  }

  send(message) {
    this.#socket.send(JSON.stringify(message));
  }

  // check is called every second, and when a sleep may be over: a timer set for
  // the right moment would have slept too.
  check() {
    if (this.state === "waiting" && performance.now() >= this.#wakeAt) this.dial();
    if (this.#isUp() && since(this.#receivedAt) > this.#silence) this.#giveUp();
  }

  words() {
    if (this.state === "connecting") return this.epoch ? "reconnecting" : "connecting";
    if (this.state === "ended") return "disconnected";
    if (this.state === "live") return "live";
    return `reconnecting in ${Math.max(1, Math.ceil((this.#wakeAt - performance.now()) / 1000))} s`;
  }

  #isUp() {
    return this.state === "connecting" || this.state === "live";
  }

  #enter(state) {
    this.state = state;
    this.#listener.changed();
  }

  #receive(data) {
    this.#receivedAt = moment();
    const message = JSON.parse(data);
    switch (message.type) {
      case "hello": return this.#hello(message);
      case "message": return this.#message(message);
      case "private": return this.#private(message);
      case "skipped": return this.#skipped(message);
      case "passed": this.seq = Math.max(this.seq, message.seq); return undefined;
      case "ack": return this.#listener.ack(message.n);
      case "heartbeat": return this.send({ type: "heartbeat" });
      case "close": this.#reason = message.code; return undefined;
      default: return undefined; // of a newer server
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
    if (anew) this.#listener.notice("the server was restarted: its numbers begin again");
    if (hello.missed) this.#listener.notice(`${count(hello.missed, "message")} no longer available`);
    this.#listener.live(hello.ack, anew);
  }

  #message({ seq, time, id, name, text, base64 }) {
    if (seq <= this.seq) return;
    if (seq > this.seq + 1) this.#listener.notice(`${count(seq - this.seq - 1, "message")} missing here`);
    this.seq = seq;
    if (this.#ids.has(id)) return; // ours: it is shown since it was typed
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
    this.#listener.message(entry);
  }

  #skipped({ count: n, seq }) {
    this.seq = seq;
    this.#listener.skipped(n);
  }

  #giveUp() {
    this.#hangUp();
    this.#lost(1006, "");
  }

  // hangUp does not wait for the other side to close: there may be none.
  #hangUp() {
    const socket = this.#socket;
    socket.onmessage = null;
    socket.onclose = null;
    socket.close();
  }

  #lost(code, why) {
    if (this.state === "live") {
      this.#listener.lost();
      // Not at hello: a server may send hello and close at once.
      if (performance.now() - this.#liveSince > STEADY) this.#tries = 0;
    }
    if (this.#isOver(code, why)) {
      this.#enter("ended");
      return;
    }
    this.#wakeAt = performance.now() + backoff(this.#tries++);
    this.#enter("waiting");
    // A first try comes sooner than the next second.
    setTimeout(() => this.check(), this.#wakeAt - performance.now() + 1);
  }

  // isOver reports whether to connect again only if a person wants it. If the
  // server closed for a line of ours, we continue without that line.
  #isOver(code, why) {
    const reason = this.#reason;
    this.#reason = "";
    const closedBy = `the server closed the connection: ${why || reason || code}`;
    if (isAboutLine(code, reason) && this.#listener.rejected(closedBy)) {
      this.#tries = 0; // the others need not wait long: it is one line less
      return false;
    }
    if (isFinal(code, reason) || code === POLICY) this.#listener.notice(closedBy);
    return code === DONE || isFinal(code, reason);
  }
}
