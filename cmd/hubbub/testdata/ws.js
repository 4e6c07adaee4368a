// A WebSocket client of npm's ws, as nc is one of TCP: what it hears are lines
// on STDOUT, lines on STDIN are what it says, and with STDIN it ends.
//
//	node ws.js ws://HOST:PORT/ [SUBPROTOCOL]
"use strict";

const readline = require("node:readline");
const WebSocket = require("../../../bin/node_modules/ws"); // tools/needs puts it there

const [address, ...subprotocols] = process.argv.slice(2);
const socket = new WebSocket(address, subprotocols);

socket.on("message", (data) => process.stdout.write(`${data}\n`));
socket.on("open", () => {
  const lines = readline.createInterface({ input: process.stdin });
  lines.on("line", (line) => socket.send(line));
  lines.on("close", () => socket.close(1000));
});
socket.on("error", (error) => {
  console.error(error.message);
  process.exit(1);
});
socket.on("close", (code, reason) => {
  if (code !== 1000) console.error(`${code} ${reason}`);
  process.exit(code === 1000 ? 0 : 1);
});
