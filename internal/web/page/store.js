// Store keeps the last messages, bounded by number and by size; a filter says
// which of them are shown. No DOM.

export const KEEP = 50_000; // entries, at most
export const KEEP_CHARS = 32 << 20; // and characters in them: a browser's tallest element has 2^25 px
const DROP = 1_000; // entries dropped at once: dropping from the front of an array moves all of it

// An entry is a message from the server, a line of our own, or a notice:
//
//	kind     "message", "mine" or "notice"
//	at       its index among all entries that ever were: 0, 1, 2, …
//	text     the message; if it is not text, its first bytes in hex
//	bytes    how many bytes, if it is not text
//	who      the sender; "" for the server
//	time     when, as the server wrote it
//	seq      a message's number
//	state    of our own: "pending", "sent" or "refused"
//	n        of our own: its number in the session, once it is on its way
//	open     whether a long one is shown whole
//	row      its element, while it has one
export class Store {
  entries = [];
  first = 0; // the index of entries[0]
  chars = 0;
  received = 0; // messages from the server, ever
  kept = 0; // entries without notices
  dropped = 0; // entries that are no longer kept, without notices

  get end() {
    return this.first + this.entries.length;
  }

  add(entry) {
    entry.at = this.end;
    entry.row = null;
    this.entries.push(entry);
    this.#count(entry);
    this.#dropOldest();
    return entry;
  }

  *from(index) {
    for (let i = Math.max(0, index - this.first); i < this.entries.length; i++) yield this.entries[i];
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
    if (entry.kind === "message") this.received++;
  }

  #uncount(entry) {
    if (entry.kind === "notice") return;
    this.chars -= entry.text.length;
    this.kept--;
    this.dropped++;
  }
}

// parseFilter makes a filter of what was typed: nothing, text in any case, or
// /an expression/ with flags. An invalid expression is text.
export function parseFilter(typed) {
  if (typed === "") return null;
  const [, source, flags] = /^\/(.+)\/([imsu]*)$/.exec(typed) ?? [];
  try {
    if (source) return finder(source, flags);
  } catch {
    // While somebody types, most expressions are invalid.
  }
  return finder(typed.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&"), "i");
}

// A RegExp that finds all remembers where it was, so testing has its own.
function finder(source, flags) {
  return { one: new RegExp(source, flags), all: new RegExp(source, `${flags}g`) };
}

// lets reports whether a filter lets an entry through. It always lets notices
// through: they are about the stream, not in it.
export function lets(filter, entry) {
  if (!filter || entry.kind === "notice") return true;
  return filter.one.test(entry.text) || (entry.who !== "" && filter.one.test(entry.who));
}
