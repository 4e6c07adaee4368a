// Clients of a browser's own kinds, for a page of the server's to run: what
// each of them hears is checked against the stream of numbered lines.

const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ".repeat(4);
const line = (n) => `${String(n).padStart(12, "0")} ${letters.slice(n % 53, (n % 53) + 114)}`;

window.clients = {
  heard: {}, // by name: how many lines, and the first that was none
  sockets: {},

  hears(name, text) {
    const heard = this.heard[name];
    if (text !== line(heard.lines) && !heard.wrong) heard.wrong = `line ${heard.lines}: ${text}`;
    heard.lines++;
  },

  // listen keeps an EventSource.
  listen(name) {
    this.heard[name] = { lines: 0, wrong: "", opened: 0 };
    const source = new EventSource("/");
    source.onopen = () => this.heard[name].opened++;
    source.onmessage = ({ data }) => this.hears(name, data);
  },

  // talk keeps a WebSocket.
  talk(name) {
    this.heard[name] = { lines: 0, wrong: "" };
    const socket = new WebSocket(`ws://${location.host}/`);
    socket.onmessage = ({ data }) => this.hears(name, data);
    socket.onclose = ({ code }) => { this.heard[name].wrong ||= `closed: ${code}`; };
    this.sockets[name] = socket;
  },

  // say has a WebSocket say so many lines.
  say(name, lines) {
    for (let n = 0; n < lines; n++) this.sockets[name].send(`${name} ${n}`);
  },

  // post says so many lines, each with a request of its own.
  async post(name, lines) {
    for (let n = 0; n < lines; n++) {
      const { status } = await fetch("/", { method: "POST", body: `${name} ${n}` });
      if (status !== 204) throw new Error(`${name} ${n}: ${status}`);
    }
  },
};
