// What a page of another site can try with a server: to say something to it,
// and to hear what it says. Each try is over when its promise is kept.

const closed = (socket) => new Promise((done) => { socket.onclose = () => done(true); });

window.foreignPage = {
  heard: [],

  async webSocket(host) {
    const socket = new WebSocket(`ws://${host}/?last=1`);
    socket.onopen = () => socket.send("by WebSocket");
    socket.onmessage = ({ data }) => { this.heard.push(data); socket.close(); };
    return closed(socket);
  },

  async hubbubV1(host) {
    const socket = new WebSocket(`ws://${host}/?last=1`, "hubbub.v1");
    socket.onopen = () => socket.send('{"type":"message","text":"by hubbub.v1"}');
    socket.onmessage = ({ data }) => {
      const { type, text } = JSON.parse(data);
      if (type !== "message") return;
      this.heard.push(text);
      socket.send('{"type":"end"}');
    };
    return closed(socket);
  },

  async events(host) {
    const source = new EventSource(`http://${host}/?last=1`);
    await new Promise((done) => {
      source.onmessage = ({ data }) => { this.heard.push(data); done(); };
      source.onerror = done;
    });
    source.close();
  },

  async read(host) {
    const { ok, body } = await fetch(`http://${host}/?last=1`);
    if (!ok) return;
    const { value } = await body.getReader().read();
    this.heard.push(new TextDecoder().decode(value).trim());
  },

  async blindPost(host) {
    await fetch(`http://${host}/`, { method: "POST", mode: "no-cors", body: "by a blind post" });
  },

  async beacon(host) {
    await fetch(`http://${host}/`, { method: "POST", mode: "no-cors", keepalive: true, credentials: "include", body: "by a beacon" });
  },

  async post(host) {
    await fetch(`http://${host}/`, { method: "POST", headers: { "Content-Type": "application/json" }, body: "by an asked post" });
  },

  // form is over when it is refused: a form that is taken leaves its page be.
  async form(host) {
    document.body.innerHTML = `<iframe name="answer"></iframe>
      <form method="post" enctype="text/plain" target="answer" action="http://${host}/"><input name="by a form" value=""></form>`;
    const answered = new Promise((done) => { document.querySelector("iframe").onload = done; });
    document.querySelector("form").submit();
    await answered;
  },

  // all tries all of it, one after the other.
  async all(host, allowed) {
    for (const way of ["webSocket", "hubbubV1", "events", "read", "blindPost", "beacon", "post"]) {
      await this[way](host).catch(() => {});
    }
    const refused = this.form(host);
    if (!allowed) await refused;
    return this.heard;
  },
};
