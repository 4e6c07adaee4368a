package codec

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"hubbub.example/internal/proto"
)

// What the first byte of a frame says (RFC 6455, section 5.2).
const (
	fin          = 0x80
	continuation = 0x0
	text         = 0x1
	binaryData   = 0x2
	closing      = 0x8
	ping         = 0x9
	pong         = 0xa
)

// sent returns a frame as a client sends it: masked, its length as short as can be.
func sent(first byte, payload string) string {
	return masked(first, payload, [4]byte{0x37, 0xfa, 0x21, 0x3d})
}

func masked(first byte, payload string, mask [4]byte) string {
	p := []byte{first}
	switch n := len(payload); {
	case n <= 125:
		p = append(p, 0x80|byte(n))
	case n <= 65535:
		p = append(p, 0x80|126, byte(n>>8), byte(n))
	default:
		p = append(p, 0x80|127, 0, 0, 0, 0, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	p = append(p, mask[:]...)
	for i := range len(payload) {
		p = append(p, payload[i]^mask[i%4])
	}
	return string(p)
}

func closePayload(code proto.CloseCode, reason string) string {
	return string(binary.BigEndian.AppendUint16(nil, uint16(code))) + reason
}

// hearing is what came out of Frames, messages put together; a breach is the
// last of what was heard.
type hearing struct {
	heard  []string
	reason string // of a breach
}

// hear returns the pieces to Frames one after the other, and checks what has to
// be true of each step.
func hear(t *testing.T, longest int, pieces ...string) hearing {
	t.Helper()
	var f Frames
	var h hearing
	var message []byte
	given, taken, open := 0, 0, false
	const slowest = 300 // bytes for which what f holds is compared each time
	soFar := ""
	for _, piece := range pieces {
		p := []byte(piece)
		taken += len(p)
		if taken <= slowest {
			soFar += piece
		}
		for {
			part, rest, err := f.Next(p, longest)
			given += len(part.Data)
			if given > taken {
				t.Fatalf("%d bytes came out of %d", given, taken)
			}
			switch {
			case err != nil:
				h.heard = append(h.heard, fmt.Sprintf("breach %d", err.Code))
				h.reason = err.Reason
				return h
			case part.Kind == Ping:
				h.heard = append(h.heard, "ping "+string(part.Data))
			case part.Kind == Pong:
				h.heard = append(h.heard, "pong "+string(part.Data))
			case part.Kind == Close:
				h.heard = append(h.heard, fmt.Sprintf("close %d %s", part.Code, part.Data))
				return h
			case part.Kind == Data:
				checkInPlace(t, p, rest, part.Data)
				if part.First == open {
					t.Fatalf("a part is First: %v, and a message is open: %v", part.First, open)
				}
				message, open = append(message, part.Data...), !part.Last
				if part.Last {
					h.heard = append(h.heard, fmt.Sprintf("%s %s", map[bool]string{true: "text", false: "binary"}[part.Text], message))
					message = nil
				}
			}
			if part.Kind == Nothing {
				if len(rest) > 0 {
					t.Fatalf("nothing more in %q", rest)
				}
				break
			}
			p = rest
		}
		if taken > slowest {
			continue
		}
		if _, between := heardSlowly([]byte(soFar), longest); f.Between() != between {
			t.Fatalf("behind %q, Between is %v", soFar, f.Between())
		}
	}
	return h
}

// checkInPlace checks that data is what stood just before rest in p.
func checkInPlace(t *testing.T, p, rest, data []byte) {
	t.Helper()
	if end := len(p) - len(rest); len(data) > 0 && &data[0] != &p[end-len(data)] {
		t.Fatal("a message's data lies elsewhere")
	}
}

// heardSlowly returns what Frames is compared with: it has all the bytes at once,
// and puts a message together before it looks at it. between says that data
// ends between two messages.
func heardSlowly(data []byte, longest int) (heard []string, between bool) {
	breach := func(code int) ([]string, bool) { return append(heard, fmt.Sprintf("breach %d", code)), false }
	var message []byte
	open, isText := false, false
	for {
		if len(data) < 2 {
			return heard, len(data) == 0 && !open
		}
		op, length, header := data[0]&0xf, int64(data[1]&0x7f), 2
		switch length {
		case 126:
			header = 4
		case 127:
			header = 10
		}
		isMasked := data[1]&0x80 != 0
		if len(data) < header || isMasked && len(data) < header+4 {
			return heard, false
		}
		switch header {
		case 4:
			length = int64(data[2])<<8 | int64(data[3])
		case 10:
			length = 0
			for _, b := range data[2:10] {
				length = length<<8 | int64(b)
			}
		}
		control, final := op >= 8, data[0]&0x80 != 0
		switch {
		case length < 0, header == 4 && length < 126, header == 10 && length < 65536,
			data[0]&0x70 != 0, !isMasked, !slices.Contains([]byte{0, 1, 2, 8, 9, 10}, op),
			control && (!final || length > 125), op == continuation && !open, (op == text || op == binaryData) && open:
			return breach(1002)
		case !control && length > int64(longest-len(message)):
			return breach(1009)
		}
		mask := data[header : header+4]
		data = data[header+4:]
		n := min(length, int64(len(data)))
		payload := slices.Clone(data[:n])
		for i := range payload {
			payload[i] ^= mask[i%4]
		}
		data = data[n:]
		whole := n == length
		if control {
			if !whole {
				return heard, false
			}
			switch op {
			case ping:
				heard = append(heard, "ping "+string(payload))
			case pong:
				heard = append(heard, "pong "+string(payload))
			default:
				return append(heard, closedSlowly(payload)), false
			}
			continue
		}
		if op != continuation {
			open, isText = true, op == text
		}
		message = append(message, payload...)
		if complete := whole && final; isText && !utf8.Valid(message) && (complete || !canBecomeUTF8(message)) {
			return breach(1007)
		}
		switch {
		case !whole:
			return heard, false
		case final && isText:
			heard = append(heard, "text "+string(message))
		case final:
			heard = append(heard, "binary "+string(message))
		}
		if final {
			message, open = nil, false
		}
	}
}

func closedSlowly(payload []byte) string {
	if len(payload) == 0 {
		return "close 1005 "
	}
	if len(payload) == 1 {
		return "breach 1002"
	}
	code := int(payload[0])<<8 | int(payload[1])
	switch {
	case !slices.Contains([]int{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014}, code) && (code < 3000 || code > 4999):
		return "breach 1002"
	case !utf8.Valid(payload[2:]):
		return "breach 1007"
	}
	return fmt.Sprintf("close %d %s", code, payload[2:])
}

// canBecomeUTF8 tries what could come: the second byte of a rune has to be
// one of these for some first byte, and further ones may always be 0x80.
func canBecomeUTF8(p []byte) bool {
	for _, more := range []string{
		"", "\x80", "\x90", "\xa0", "\x80\x80", "\x90\x80", "\xa0\x80", "\x80\x80\x80", "\x90\x80\x80",
	} {
		if utf8.Valid(append(slices.Clone(p), more...)) {
			return true
		}
	}
	return false
}

// conformance is one thing that RFC 6455 says.
type conformance struct {
	section string
	sent    string
	heard   []string
}

const atMost = 70000

// What the RFC says, in its order.
func conformances() []conformance {
	return slices.Concat(framing(), masking(), fragmentation(), controlFrames(), closeFrames(), texts())
}

// Section 5.2: a frame's header.
func framing() []conformance {
	var all []conformance
	for _, n := range []int{0, 1, 125, 126, 127, 65535, 65536, atMost - 1, atMost} {
		payload := strings.Repeat("a", n)
		all = append(all,
			conformance{fmt.Sprintf("5.2 text of %d bytes", n), sent(fin|text, payload), []string{"text " + payload}},
			conformance{fmt.Sprintf("5.2 binary of %d bytes", n), sent(fin|binaryData, payload), []string{"binary " + payload}})
	}
	all = append(all,
		conformance{"5.2 longer than allowed", sent(fin|binaryData, strings.Repeat("a", atMost+1)), []string{"breach 1009"}},
		conformance{"5.2 the longest length", "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff1234", []string{"breach 1009"}},
		conformance{"5.2 a length of 64 bits", "\x82\xff\x80\x00\x00\x00\x00\x00\x00\x001234", []string{"breach 1002"}},
		conformance{"5.2 0 in 16 bits", "\x82\xfe\x00\x001234", []string{"breach 1002"}},
		conformance{"5.2 125 in 16 bits", "\x82\xfe\x00\x7d1234", []string{"breach 1002"}},
		conformance{"5.2 0 in 64 bits", "\x82\xff\x00\x00\x00\x00\x00\x00\x00\x001234", []string{"breach 1002"}},
		conformance{"5.2 65535 in 64 bits", "\x82\xff\x00\x00\x00\x00\x00\x00\xff\xff1234", []string{"breach 1002"}},
		conformance{"5.2 a header that is not whole", "\x82\xff\x00\x00", nil},
		conformance{"5.2 a payload that is not whole", "\x82\x82abcd1", nil},
	)
	for _, rsv := range []byte{0x10, 0x20, 0x40, 0x70} {
		for _, op := range []byte{text, binaryData, closing, ping, pong} {
			all = append(all, conformance{fmt.Sprintf("5.2 reserved bits %#x with opcode %d", rsv, op), sent(fin|rsv|op, ""), []string{"breach 1002"}})
		}
		all = append(all, conformance{
			fmt.Sprintf("5.2 reserved bits %#x in a continuation", rsv),
			sent(text, "a") + sent(fin|rsv|continuation, "b"),
			[]string{"breach 1002"},
		})
	}
	for _, op := range []byte{3, 4, 5, 6, 7, 11, 12, 13, 14, 15} {
		all = append(all,
			conformance{fmt.Sprintf("5.2 reserved opcode %d", op), sent(fin|op, "a"), []string{"breach 1002"}},
			conformance{fmt.Sprintf("5.2 reserved opcode %d, not final", op), sent(op, ""), []string{"breach 1002"}},
			conformance{fmt.Sprintf("5.2 reserved opcode %d behind a message", op), sent(fin|text, "a") + sent(fin|op, ""), []string{"text a", "breach 1002"}})
	}
	return all
}

// Sections 5.1 and 5.3: every client masks, each frame anew.
func masking() []conformance {
	return []conformance{
		{"5.7 a masked text message", "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", []string{"text Hello"}},
		{"5.1 text without a mask", "\x81\x05Hello", []string{"breach 1002"}},
		{"5.1 nothing without a mask", "\x82\x00", []string{"breach 1002"}},
		{"5.1 a ping without a mask", "\x89\x05Hello", []string{"breach 1002"}},
		{"5.1 a close without a mask", "\x88\x00", []string{"breach 1002"}},
		{"5.1 a fragment without a mask", sent(text, "a") + "\x80\x01b", []string{"breach 1002"}},
		{"5.1 16 bits of length without a mask", "\x82\x7e\x00\x7e" + strings.Repeat("a", 126), []string{"breach 1002"}},
		{"5.3 a mask of zeros", masked(fin|text, "Hello", [4]byte{}), []string{"text Hello"}},
		{"5.3 a mask of ones", masked(fin|text, "Hello", [4]byte{255, 255, 255, 255}), []string{"text Hello"}},
		{
			"5.3 a mask for each fragment",
			masked(text, "abcde", [4]byte{1, 2, 3, 4}) + masked(continuation, "fghijk", [4]byte{5, 6, 7, 8}) + masked(fin, "lmnopqr", [4]byte{9, 10, 11, 12}),
			[]string{"text abcdefghijklmnopqr"},
		},
		{"5.3 a mask that looks like a message", masked(fin|binaryData, "hello", [4]byte{0x81, 0x80, 1, 2}), []string{"binary hello"}},
		{"5.2 a length that looks like a message", masked(fin|binaryData, strings.Repeat("a", 0x8180), [4]byte{}), []string{"binary " + strings.Repeat("a", 0x8180)}},
		{"5.3 a ping that looks like a message", masked(fin|ping, "\x81\x80abcd", [4]byte{}), []string{"ping \x81\x80abcd"}},
		{"5.3 a message that looks like one", masked(fin|binaryData, "\x81\x80abcd", [4]byte{}), []string{"binary \x81\x80abcd"}},
		{
			"5.3 a payload long enough for every way to unmask",
			masked(fin|binaryData, strings.Repeat("0123456789abcdefghi", 20), [4]byte{1, 2, 3, 4}),
			[]string{"binary " + strings.Repeat("0123456789abcdefghi", 20)},
		},
	}
}

// Section 5.4: messages of several frames.
func fragmentation() []conformance {
	half := strings.Repeat("a", atMost/2)
	return []conformance{
		{"5.4 two fragments", sent(text, "a") + sent(fin, "b"), []string{"text ab"}},
		{"5.4 three fragments", sent(binaryData, "a") + sent(continuation, "b") + sent(fin, "c"), []string{"binary abc"}},
		{"5.4 the first empty", sent(text, "") + sent(fin, "b"), []string{"text b"}},
		{"5.4 the middle empty", sent(text, "a") + sent(continuation, "") + sent(fin, "c"), []string{"text ac"}},
		{"5.4 the last empty", sent(text, "a") + sent(fin, ""), []string{"text a"}},
		{"5.4 all empty", sent(text, "") + sent(continuation, "") + sent(fin, ""), []string{"text "}},
		{"5.4 two messages", sent(text, "a") + sent(fin, "b") + sent(binaryData, "c") + sent(fin, "d"), []string{"text ab", "binary cd"}},
		{"5.4 a ping between", sent(text, "a") + sent(fin|ping, "p") + sent(fin, "b"), []string{"ping p", "text ab"}},
		{"5.4 a ping before the first byte", sent(text, "") + sent(fin|ping, "p") + sent(fin, "b"), []string{"ping p", "text b"}},
		{"5.4 a pong and pings between", sent(text, "a") + sent(fin|pong, "") + sent(fin|ping, "1") + sent(fin|ping, "2") + sent(fin, "b"), []string{"pong ", "ping 1", "ping 2", "text ab"}},
		{"5.4 a close between", sent(text, "a") + sent(fin|closing, ""), []string{"close 1005 "}},
		{"5.4 a rune in two fragments, a ping between", sent(text, "\xc3") + sent(fin|ping, "\xff") + sent(fin, "\xa9"), []string{"ping \xff", "text é"}},
		{"5.4 a continuation of nothing", sent(continuation, "a"), []string{"breach 1002"}},
		{"5.4 a last continuation of nothing", sent(fin, "a"), []string{"breach 1002"}},
		{"5.4 a continuation behind a message", sent(fin|text, "a") + sent(fin, "b"), []string{"text a", "breach 1002"}},
		{"5.4 a continuation behind fragments", sent(text, "a") + sent(fin, "b") + sent(continuation, "c"), []string{"text ab", "breach 1002"}},
		{"5.4 a text within a message", sent(text, "a") + sent(fin|text, "b"), []string{"breach 1002"}},
		{"5.4 a binary within a message", sent(text, "") + sent(fin|binaryData, "b"), []string{"breach 1002"}},
		{"5.4 the longest message", sent(binaryData, half) + sent(fin, half), []string{"binary " + half + half}},
		{"5.4 a byte longer", sent(binaryData, half) + sent(fin, half+"a"), []string{"breach 1009"}},
		{"5.4 a byte longer, later", sent(binaryData, half) + sent(continuation, half) + sent(fin, "a"), []string{"breach 1009"}},
		{"5.4 a ping is not counted", sent(binaryData, half) + sent(fin|ping, "p") + sent(fin, half), []string{"ping p", "binary " + half + half}},
		{"5.4 each message is counted for itself", sent(fin|binaryData, half+half) + sent(fin|binaryData, half+half), []string{"binary " + half + half, "binary " + half + half}},
	}
}

// Section 5.5: pings and pongs.
func controlFrames() []conformance {
	most := strings.Repeat("p", 125)
	all := []conformance{
		{"5.5.2 a ping", sent(fin|ping, "Hello"), []string{"ping Hello"}},
		{"5.5.2 an empty ping", sent(fin|ping, ""), []string{"ping "}},
		{"5.5.2 a ping that is no text", sent(fin|ping, "\x00\xff\xfe"), []string{"ping \x00\xff\xfe"}},
		{"5.5.2 the longest ping", sent(fin|ping, most), []string{"ping " + most}},
		{"5.5.2 a ping that is not whole", sent(fin|ping, most)[:100], nil},
		{"5.5.3 a pong nobody asked for", sent(fin|pong, "a") + sent(fin|text, "b"), []string{"pong a", "text b"}},
		{"5.5.3 the longest pong", sent(fin|pong, most), []string{"pong " + most}},
		{"5.5.3 two pings", sent(fin|ping, "1") + sent(fin|ping, "22"), []string{"ping 1", "ping 22"}},
	}
	for _, op := range []byte{closing, ping, pong} {
		all = append(all,
			conformance{fmt.Sprintf("5.5 opcode %d of 126 bytes", op), sent(fin|op, closePayload(1000, strings.Repeat("p", 124))), []string{"breach 1002"}},
			conformance{fmt.Sprintf("5.5 opcode %d of 65536 bytes", op), sent(fin|op, strings.Repeat("p", 65536)), []string{"breach 1002"}},
			conformance{fmt.Sprintf("5.5 opcode %d in fragments", op), sent(op, "") + sent(fin, ""), []string{"breach 1002"}},
			conformance{fmt.Sprintf("5.5 opcode %d in fragments within a message", op), sent(text, "a") + sent(op, "") + sent(fin, "b"), []string{"breach 1002"}})
	}
	return all
}

// Sections 5.5.1 and 7.4: closing.
func closeFrames() []conformance {
	reason := strings.Repeat("r", 123)
	all := []conformance{
		{"5.5.1 without a code", sent(fin|closing, ""), []string{"close 1005 "}},
		{"5.5.1 with half a code", sent(fin|closing, "\x03"), []string{"breach 1002"}},
		{"5.5.1 with a code", sent(fin|closing, closePayload(1000, "")), []string{"close 1000 "}},
		{"5.5.1 with a reason", sent(fin|closing, closePayload(1001, "Tschüs")), []string{"close 1001 Tschüs"}},
		{"5.5.1 with the longest reason", sent(fin|closing, closePayload(1000, reason)), []string{"close 1000 " + reason}},
		{"5.5.1 with a reason that is not UTF-8", sent(fin|closing, closePayload(1000, "a\xffb")), []string{"breach 1007"}},
		{"5.5.1 with half a rune", sent(fin|closing, closePayload(1000, "a\xc3")), []string{"breach 1007"}},
		{"5.5.1 behind a message", sent(fin|text, "a") + sent(fin|closing, closePayload(1000, "")), []string{"text a", "close 1000 "}},
	}
	for _, code := range []proto.CloseCode{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999} {
		all = append(all, conformance{fmt.Sprintf("7.4 code %d", code), sent(fin|closing, closePayload(code, "r")), []string{fmt.Sprintf("close %d r", code)}})
	}
	for _, code := range []proto.CloseCode{0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 1999, 2000, 2999, 5000, 65535} {
		all = append(all, conformance{fmt.Sprintf("7.4 code %d", code), sent(fin|closing, closePayload(code, "")), []string{"breach 1002"}})
	}
	return all
}

// Whatever may stand in text, and what may not: the boundaries of Unicode,
// and of each length of a rune.
var (
	utf8Texts = []string{
		"Hello-µ@ßöäüàá-UTF-8!!", "κόσμε", "\x00", "\x7f",
		"\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbd",
		"\xef\xbf\xbe", "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "\xf0\x9f\xbf\xbe",
	}
	otherTexts = []string{
		"\xf4\x90\x80\x80", "\xf7\xbf\xbf\xbf", "\xf8\x88\x80\x80\x80", "\xfb\xbf\xbf\xbf\xbf",
		"\xfc\x84\x80\x80\x80\x80", "\xfd\xbf\xbf\xbf\xbf\xbf", // beyond Unicode
		"\x80", "\xbf", "\x80\xbf\x80\xbf", // continuations of nothing
		"\xc2 ", "\xdf ", "\xe0 ", "\xef ", "\xf0 ", "\xf4 ", "\xe2\x82 ", "\xf0\x90\x80 ", // broken off
		"\xfe", "\xff", "\xfe\xfe\xff\xff", // never anything
		"\xc0\xaf", "\xc1\xbf", "\xe0\x80\xaf", "\xe0\x9f\xbf", "\xf0\x80\x80\xaf", "\xf0\x8f\xbf\xbf", "\xc0\x80", // longer than need be
		"\xed\xa0\x80", "\xed\xaf\xbf", "\xed\xb0\x80", "\xed\xbf\xbf", "\xed\xa0\x80\xed\xb0\x80", // surrogates
	}
	cutTexts = []string{"\xc3", "\xe2", "\xe2\x82", "\xf0", "\xf0\x90", "\xf0\x90\x80", "κόσμ\xce"}
)

// Section 8.1: text is UTF-8, in however many fragments.
func texts() []conformance {
	var all []conformance
	add := func(s, heard string) {
		all = append(all, conformance{fmt.Sprintf("8.1 %q", s), sent(fin|text, s), []string{heard}})
		for i := range len(s) + 1 {
			all = append(all, conformance{fmt.Sprintf("8.1 %q and %q", s[:i], s[i:]), sent(text, s[:i]) + sent(fin, s[i:]), []string{heard}})
		}
	}
	for _, s := range utf8Texts {
		add(s, "text "+s)
		add("abc"+s+"def", "text abc"+s+"def")
	}
	for _, s := range otherTexts {
		add("abc"+s+"def", "breach 1007")
		add(s, "breach 1007")
		all = append(all, conformance{fmt.Sprintf("8.1 %q is no text, so it may be binary", s), sent(binaryData, s) + sent(fin, s), []string{"binary " + s + s}})
	}
	for _, s := range cutTexts {
		add(s, "breach 1007")
		add("abc"+s, "breach 1007")
		all = append(all, conformance{fmt.Sprintf("8.1 %q and half a message", s), sent(text, s), nil})
	}
	return all
}

// What a client's bytes mean does not depend on how they are cut.
func TestFramesFollowTheRFCHoweverTheyAreCut(t *testing.T) {
	for _, c := range conformances() {
		t.Run(c.section, func(t *testing.T) {
			whole := hear(t, atMost, c.sent)
			if !slices.Equal(whole.heard, c.heard) {
				t.Fatalf("whole: heard %.200q, want %.200q", whole.heard, c.heard)
			}
			if slow, _ := heardSlowly([]byte(c.sent), atMost); !slices.Equal(slow, c.heard) {
				t.Fatalf("the slow reader hears %.200q, want %.200q", slow, c.heard)
			}
			same := func(how string, h hearing) {
				t.Helper()
				if !slices.Equal(h.heard, whole.heard) || h.reason != whole.reason {
					t.Fatalf("%s: heard %.200q (%s), want %.200q (%s)", how, h.heard, h.reason, whole.heard, whole.reason)
				}
			}
			same("byte by byte", hear(t, atMost, each(c.sent)...))
			for _, at := range cutsOf(len(c.sent)) {
				same(fmt.Sprintf("cut at %d", at), hear(t, atMost, c.sent[:at], c.sent[at:]))
			}
		})
	}
}

// each is s byte by byte.
func each(s string) []string {
	pieces := make([]string, len(s))
	for i := range pieces {
		pieces[i] = s[i : i+1]
	}
	return pieces
}

// cutsOf returns where to cut n bytes: everywhere, or near both ends and in the
// middle of many.
func cutsOf(n int) []int {
	var cuts []int
	for i := range n + 1 {
		if n < 1000 || i < 20 || i > n-20 || i > n/2-10 && i < n/2+10 {
			cuts = append(cuts, i)
		}
	}
	return cuts
}

// A header that breaks the protocol is known for it before its payload comes.
func TestBreachOfAHeaderIsKnownWithTheHeader(t *testing.T) {
	for _, c := range []struct {
		header string
		code   proto.CloseCode
	}{
		{"\x82\x7e\x00\x7e", proto.CloseProtocolError},
		{"\xc1\xfe\x10\x00abcd", proto.CloseProtocolError},
		{"\x83\x85abcd", proto.CloseProtocolError},
		{"\x80\x85abcd", proto.CloseProtocolError},
		{"\x89\xfe\x00\x7eabcd", proto.CloseProtocolError},
		{"\x82\xe5abcd", proto.CloseTooBig},
		{"\x81\xff\x00\x00\x00\x00\x10\x00\x00\x00abcd", proto.CloseTooBig},
	} {
		var f Frames
		part, rest, err := f.Next([]byte(c.header[:len(c.header)-1]), 100)
		if part.Kind != Nothing || len(rest) > 0 || err != nil {
			t.Errorf("%q, not whole: %v, %v", c.header, part, err)
		}
		if _, _, err = f.Next([]byte(c.header[len(c.header)-1:]), 100); err == nil || err.Code != c.code {
			t.Errorf("%q: %v, want code %d", c.header, err, c.code)
		}
	}
}

// Text that is not UTF-8 is a breach with the first byte that cannot be.
func TestBrokenTextIsKnownWithItsFirstWrongByte(t *testing.T) {
	for _, c := range []struct {
		text  string
		first int // the wrong byte
	}{
		{"\x80", 0},
		{"a\xff", 1},
		{"a\xc3é", 2},
		{"a\xc0\x80", 1},
		{"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80edited", 12},
		{"\xce\xba\xed\xa0\x80edited", 3},
		{"\xe0\x9f\xbf", 1},
		{"\xe2\x82\x28", 2},
		{"\xf0\x8f\xbf\xbf", 1},
		{"\xf0\x9f\x98a", 3},
		{"\xf5\x80\x80\x80", 0},
	} {
		for _, fragments := range []bool{false, true} {
			var f Frames
			const header = 6
			stream := sent(fin|text, c.text+"more")
			if fragments {
				stream = ""
				for _, b := range each(c.text) {
					stream += sent(map[bool]byte{true: text, false: continuation}[stream == ""], b)
				}
			}
			at := header + c.first
			if fragments {
				at = (header+1)*c.first + header
			}
			for i, b := range []byte(stream) {
				p := []byte{b}
				part, rest, err := f.Next(p, 100)
				if part.Kind != Nothing && err == nil {
					part, rest, err = f.Next(rest, 100)
				}
				if part.Kind != Nothing || len(rest) > 0 {
					t.Fatalf("one byte gives two parts: %v", part)
				}
				if wrong := i == at; wrong != (err != nil) {
					t.Fatalf("%q, in fragments %v: byte %d of the stream: %v; %d is the first wrong", c.text, fragments, i, err, at)
				} else if wrong {
					if err.Code != proto.CloseInvalidPayload {
						t.Errorf("%q: %v", c.text, err)
					}
					break
				}
			}
		}
	}
}

// A message's bytes come as they come: nothing of it waits for its end.
func TestMessageIsGivenOutAsItComes(t *testing.T) {
	stream := sent(text, "abc") + sent(fin|ping, "p") + sent(fin, "de")
	want := []Part{
		{Kind: Data, Data: []byte("a"), First: true, Text: true},
		{Kind: Data, Data: []byte("bc"), Text: true},
		{Kind: Ping, Data: []byte("p")},
		{Kind: Data, Data: []byte("d"), Text: true},
		{Kind: Data, Data: []byte("e"), Last: true, Text: true},
	}
	var f Frames
	var got []Part
	for _, piece := range []string{stream[:7], stream[7:23], stream[23:]} {
		for p := []byte(piece); ; {
			part, rest, err := f.Next(p, 5)
			if err != nil {
				t.Fatal(err)
			}
			if part.Kind == Nothing {
				break
			}
			got, p = append(got, part), rest
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("parts are %v, want %v", got, want)
	}
	if !f.Between() {
		t.Error("behind a message there is something to keep")
	}
}

// A ping that was cut stays what it was while the next one is read.
func TestControlFrameThatWasCutIsItsOwn(t *testing.T) {
	var f Frames
	one, two := sent(fin|ping, "one"), sent(fin|ping, "two")
	f.Next([]byte(one[:7]), 100)
	first, _, _ := f.Next([]byte(one[7:]), 100)
	f.Next([]byte(two[:7]), 100)
	second, _, _ := f.Next([]byte(two[7:]), 100)
	if string(first.Data) != "one" || string(second.Data) != "two" {
		t.Errorf("pings are %q and %q", first.Data, second.Data)
	}
}

// Messages are read at the speed of memory: nothing is allocated for them.
func TestReadingMessagesAllocatesNothing(t *testing.T) {
	stream := []byte(sent(fin|text, "hello") + sent(binaryData, "some") + sent(fin, "thing") + sent(fin|ping, "ping"))
	var f Frames
	p := make([]byte, len(stream))
	if n := testing.AllocsPerRun(100, func() {
		for _, at := range []int{0, 3, 20, len(stream)} {
			copy(p, stream)
			for _, piece := range [][]byte{p[:at], p[at:]} {
				for {
					part, rest, err := f.Next(piece, 100)
					if err != nil {
						t.Fatal(err)
					}
					if part.Kind == Nothing {
						break
					}
					piece = rest
				}
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// What the server sends has the shortest header, and no mask.
func TestFramesOfTheServer(t *testing.T) {
	for _, c := range []struct {
		length int
		header string
	}{
		{0, "\x00"},
		{1, "\x01"},
		{125, "\x7d"},
		{126, "\x7e\x00\x7e"},
		{127, "\x7e\x00\x7f"},
		{65535, "\x7e\xff\xff"},
		{65536, "\x7f\x00\x00\x00\x00\x00\x01\x00\x00"},
	} {
		utf8Text := strings.Repeat("a", c.length)
		check := func(what string, got []byte, want string) {
			t.Helper()
			if string(got) != "before"+want {
				t.Errorf("%s of %d bytes begins %.20q, want %.20q", what, c.length, got, want)
			}
		}
		check("text", AppendText([]byte("before"), []byte(utf8Text)), "\x81"+c.header+utf8Text)
		check("a message", AppendMessage([]byte("before"), []byte(utf8Text)), "\x81"+c.header+utf8Text)
		if c.length > 0 {
			other := utf8Text[1:] + "\xff"
			check("a message that is not UTF-8", AppendMessage([]byte("before"), []byte(other)), "\x82"+c.header+other)
		}
		if c.length <= 125 {
			check("a pong", AppendPong([]byte("before"), []byte(utf8Text)), "\x8a"+c.header+utf8Text)
		}
	}
}

func TestControlFrameThatIsTooLongIsABug(t *testing.T) {
	defer func() {
		if s, _ := recover().(string); !strings.HasPrefix(s, "codec: ") {
			t.Errorf("126 bytes: panic is %q", s)
		}
	}()
	AppendPong(nil, make([]byte, 126))
}

// A close frame's reason is cut to what fits, and never within a rune.
func TestCloseOfTheServer(t *testing.T) {
	a := strings.Repeat("a", 200)
	for _, c := range []struct {
		code         proto.CloseCode
		reason, want string
	}{
		{proto.CloseNormal, "", "\x88\x02\x03\xe8"},
		{proto.ClosePolicyViolation, "lapped", "\x88\x08\x03\xf0lapped"},
		{0, "never seen", "\x88\x00"},
		{proto.CloseNoStatus, "never seen", "\x88\x00"},
		{4999, "", "\x88\x02\x13\x87"},
		{proto.CloseNormal, a[:123], "\x88\x7d\x03\xe8" + a[:123]},
		{proto.CloseNormal, a[:124], "\x88\x7d\x03\xe8" + a[:123]},
		{proto.CloseNormal, a[:121] + "é", "\x88\x7d\x03\xe8" + a[:121] + "é"},
		{proto.CloseNormal, a[:122] + "é", "\x88\x7c\x03\xe8" + a[:122]},
		{proto.CloseNormal, a[:120] + "😀", "\x88\x7a\x03\xe8" + a[:120]},
		{proto.CloseNormal, a[:119] + "😀", "\x88\x7d\x03\xe8" + a[:119] + "😀"},
		{proto.CloseNormal, "a\xffb", "\x88\x07\x03\xe8a\uFFFDb"},
	} {
		if got := string(AppendClose([]byte("before"), c.code, c.reason)); got != "before"+c.want {
			t.Errorf("close %d %q is %q, want %q", c.code, c.reason, got, c.want)
		}
	}
}

// However a client's bytes are cut, and whatever they are, Frames hears what
// the slow reader hears.
func FuzzFrames(f *testing.F) {
	for _, c := range conformances() {
		if len(c.sent) < 500 {
			f.Add([]byte(c.sent), []byte{1, 2, 3}, uint16(100))
		}
	}
	f.Fuzz(func(t *testing.T, data, cuts []byte, longest uint16) {
		want, _ := heardSlowly(data, int(longest))
		whole := hear(t, int(longest), string(data))
		if !slices.Equal(whole.heard, want) {
			t.Fatalf("%q: heard %q, want %q", data, whole.heard, want)
		}
		var pieces []string
		rest := string(data)
		for _, cut := range cuts {
			n := min(int(cut), len(rest))
			pieces, rest = append(pieces, rest[:n]), rest[n:]
		}
		for _, pieces := range [][]string{each(string(data)), append(pieces, rest)} {
			if h := hear(t, int(longest), pieces...); !slices.Equal(h.heard, want) || h.reason != whole.reason {
				t.Errorf("%q: heard %q (%s), want %q (%s)", pieces, h.heard, h.reason, want, whole.reason)
			}
		}
	})
}

// One whole text message, as most are.
func BenchmarkFrames(b *testing.B) {
	for _, n := range []int{16, 100, 1000, 65536} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			stream := []byte(masked(fin|text, strings.Repeat("a", n), [4]byte{}))
			var f Frames
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				if part, rest, err := f.Next(stream, n); err != nil || !part.Last || len(rest) > 0 {
					b.Fatal(part.Kind, err)
				}
			}
		})
	}
}

func BenchmarkAppendMessage(b *testing.B) {
	message := bytes.Repeat([]byte("a"), 100)
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = AppendMessage(dst[:0], message)
	}
}
