// Outbox keeps what was typed here until the server has acknowledged it. No DOM.
//
//	add      a line waits
//	due      numbers the lines to send now; refuses those that are too long
//	settle   the server has all up to a number
//	begin    a new connection: all that is not acknowledged becomes due again
//	reject   the server closed the connection for the oldest line that it lacks
//	save     for the next page in this tab; restore reads it
//
// A number belongs to one connection. The server's hello says up to which
// number it has all, and the lines after that are numbered anew from there. So
// a line that the server has become unable to take leaves no gap.

import { hex } from "./words.js";

const LONE_SURROGATE = /\p{Surrogate}/gu; // half a character: not UTF-8, and not JSON to the server

// newToken names this page's session; see "Arriving once" in docs/protocol.md.
function newToken() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => hex(byte, 2)).join("");
}

export class Outbox {
  session = newToken();
  items = []; // lines that are not acknowledged, in order
  #acked = 0; // up to here the server has all
  #last = 0; // the highest number on this connection
  #rejected = ""; // why the server closed the last connection, if for a line

  add(entry) {
    entry.text = entry.text.replace(LONE_SURROGATE, "\ufffd");
    entry.state = "pending";
    this.items.push(entry);
  }

  // due returns the lines to send now, numbered, and those that the server
  // would not take.
  due(longest) {
    const send = [];
    const refused = [];
    for (const entry of this.items) {
      if (entry.n) continue;
      if (bytesOf(entry.text) > longest) refused.push(this.#end(entry, "refused"));
      else send.push(Object.assign(entry, { n: ++this.#last }));
    }
    this.items = this.items.filter((entry) => entry.n);
    return { send, refused };
  }

  // settle returns the lines that the server has, as of now.
  settle(n) {
    const settled = [];
    while (this.items[0]?.n <= n) settled.push(this.#end(this.items.shift(), "sent"));
    this.#acked = Math.max(this.#acked, n);
    return settled;
  }

  // begin returns the lines that the server has, and one that it rejected. A
  // restarted server did not see the last connection.
  begin(ack, anew) {
    const settled = this.settle(ack);
    const refused = [];
    if (this.#rejected && !anew && this.items[0]?.n) refused.push(this.#end(this.items.shift(), "refused"));
    const why = this.#rejected;
    this.#rejected = "";
    this.#last = this.#acked;
    for (const entry of this.items) entry.n = 0;
    return { settled, refused, why };
  }

  // reject reports whether the server can have meant a line.
  reject(why) {
    this.#rejected = this.items[0]?.n ? why : "";
    return this.#rejected !== "";
  }

  save() {
    if (this.items.length === 0) return null;
    const lines = this.items.map(({ time, text, n }) => ({ time, text, n }));
    return JSON.stringify({ session: this.session, last: this.#last, lines });
  }

  // restore takes over what the page before saved, and returns its lines.
  restore(saved) {
    const { session, last, lines } = JSON.parse(saved);
    this.session = session;
    this.#last = last;
    this.#acked = last - lines.filter(({ n }) => n).length;
    this.items = lines.map((line) => ({ ...line, state: "pending" }));
    return this.items;
  }

  #end(entry, state) {
    return Object.assign(entry, { state });
  }
}

export const bytesOf = (text) => new TextEncoder().encode(text).length;
