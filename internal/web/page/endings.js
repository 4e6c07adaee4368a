// What an end of the connection means. internal/proto has the same tables, and
// a Go test compares them.

// Reasons of hubbub.v1 after which another connection would end the same way.
export const FINAL_REASONS = ["kicked", "replaced", "too_long", "breach", "denied"];

// Close codes (RFC 6455, section 7.4) that mean the same where the server gives
// no reason. After any other the page connects again.
export const FINAL_CODES = [1002, 1007, 1009];

// Final reasons that may be about a line that the page sent: without that line
// another connection may last. So may FINAL_CODES.
export const LINE_REASONS = ["too_long", "breach"];

export function isFinal(code, reason) {
  return reason ? FINAL_REASONS.includes(reason) : FINAL_CODES.includes(code);
}

export function isAboutLine(code, reason) {
  return reason ? LINE_REASONS.includes(reason) : FINAL_CODES.includes(code);
}
