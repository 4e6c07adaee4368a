#!/usr/bin/env node
// A quiz: who answers first has a point. "score" tells it.
//
//     hubbub serve :9000 --json -- examples/quiz/quiz.js
const questions = [
  ["What has keys but opens no door?", "piano"],
  ["What gets wetter the more it dries?", "towel"],
  ["What has hands but cannot clap?", "clock"],
];
const names = new Map(); // by id, of who is here
const points = new Map(); // likewise
let now = 0;

const say = (command) => console.log(JSON.stringify(command));
const ask = () => `Question ${now + 1}: ${questions[now % questions.length][0]}`;
const score = () => [...names].map(([id, name]) => `${name} ${points.get(id)}`).join(", ");

const on = {
  join({ id, name }) {
    names.set(id, name ?? `player ${id}`);
    points.set(id, 0);
    say({ to: id, text: ask() });
  },
  leave({ id }) {
    names.delete(id);
  },
  message({ id, text = "" }) {
    const word = text.trim().toLowerCase();
    if (word === "score") return say({ to: id, text: score() });
    if (word !== questions[now % questions.length][1]) return say({ to: id, text: "No." });
    points.set(id, points.get(id) + 1);
    now++;
    say({ text: `${names.get(id)} is right: ${word}. ${ask()}` });
  },
};

require("node:readline")
  .createInterface({ input: process.stdin })
  .on("line", (line) => {
    const event = JSON.parse(line);
    on[event.type]?.(event);
  });
