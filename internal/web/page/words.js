// How numbers, bytes, names and other people's text are written. No DOM.

const NAME_BYTES = 64;
const NOT_IN_NAMES = /[\p{Cc}\u2028\u2029]|(?!\p{Join_Control})\p{Cf}/u;
const NOT_AT_NAME_ENDS = /^[\s\p{Join_Control}]+|[\s\p{Join_Control}]+$/gu;

const CLIP_CHARS = 2_000; // a longer message is shown by its beginning
const CLIP_LINES = 20;
const HEX_BYTES = 32;

const figures = new Intl.NumberFormat("en");

export const number = (n) => figures.format(n);
export const hex = (n, digits) => n.toString(16).padStart(digits, "0");
export const count = (n, one, more = `${one}s`) => `${number(n)} ${n === 1 ? one : more}`;

// Control characters, and characters that change the direction of text: the
// same that internal/visible shows. Tab and newline are laid out and harmless.
const CONTROLS = /([\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069])/;

// splitControls returns a text's parts: plain text at even indices, a control
// character at odd ones.
export function splitControls(text) {
  return text.split(CONTROLS);
}

export function visible(character) {
  const code = character.charCodeAt(0);
  return code < 0x80 ? `\\x${hex(code, 2)}` : `\\u${hex(code, 4)}`;
}

// clipped returns what is shown of a text at first.
export function clipped(text) {
  const part = whole(text, Math.min(text.length, CLIP_CHARS));
  const lines = part.split("\n", CLIP_LINES + 1);
  return lines.length > CLIP_LINES ? lines.slice(0, CLIP_LINES).join("\n") : part;
}

export const mostShown = CLIP_CHARS;

// whole cuts a text at end, but never between the halves of a character.
function whole(text, end) {
  const half = end < text.length && /[\ud800-\udbff]/.test(text[end - 1]);
  return text.slice(0, half ? end - 1 : end);
}

export function bytesIn(base64) {
  const padding = base64.endsWith("==") ? 2 : base64.endsWith("=") ? 1 : 0;
  return (base64.length / 4) * 3 - padding;
}

export function hexOf(base64) {
  const start = atob(base64.slice(0, Math.ceil(HEX_BYTES / 3) * 4)).slice(0, HEX_BYTES);
  const shown = Array.from(start, (byte) => hex(byte.charCodeAt(0), 2)).join(" ");
  return bytesIn(base64) > HEX_BYTES ? `${shown} …` : shown;
}

// fitName turns what was typed into a name that the server takes.
export function fitName(typed) {
  const encoder = new TextEncoder();
  let name = "";
  let left = NAME_BYTES;
  for (const character of typed.replace(NOT_AT_NAME_ENDS, "")) {
    if (NOT_IN_NAMES.test(character)) continue;
    left -= encoder.encode(character).length;
    if (left < 0) break;
    name += character;
  }
  return name.replace(NOT_AT_NAME_ENDS, "");
}
