// This file is what a client says in hubbub.v1: a JSON object in each of its
// messages (docs/protocol.md), which is read once, as it comes:
//
//	Take        goes on with what has come; it says at once what is wrong
//	step        between strings, numbers and words: one byte
//	takeString  and what else has more bytes than one
//	End         says what it was
//
// Of what comes only the message in it is held, as it will be, and nothing of
// fields that nobody asks for: a message in escapes is six times as long on its
// way. encoding/json wants all of it first.

package codec

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"hubbub.example/internal/proto"
)

// SaidKind is what a client says.
type SaidKind uint8

// What a client may say.
const (
	SaysNothing SaidKind = iota // what this hub does not know, and ignores
	SaysMessage
	SaysHeartbeat
	SaysEnd
)

// Said is one thing that a client of hubbub.v1 says.
type Said struct {
	Kind SaidKind
	N    uint64 // SaysMessage: its number in the session; 0 for none
	Data []byte // SaysMessage: the message; good until its Saying is used again
}

// greatestNumber is the last up to which a JavaScript client can count.
const greatestNumber = 1 << 53

// deepest is how many brackets may be open at once, as in encoding/json.
const deepest = 10_000

// Saying is one text message of a client, as far as it has come. The zero value
// is its beginning.
type Saying struct {
	expect expect
	open   []byte // brackets, '{' or '['
	field  field  // whose value comes
	into   sink   // where what comes goes
	isName bool   // the string is a field's name

	escape uint8 // inString: a backslash has come, or so many hex digits less one are missing
	code   rune  // of these digits
	high   rune  // the first half of a surrogate pair; 0: none
	number number
	word   string // inWord: what is missing of it

	short  [20]byte // a name, type or n
	length int      // of that; more than there is room for: too long for any

	// What is known.
	kind         SaidKind
	n            uint64
	text, base64 value
	hasN         bool
	data         []byte // of text or base64
}

// expect is what may come.
type expect uint8

const (
	anObject expect = iota
	nameOrEnd
	aName
	aColon
	aValue
	valueOrEnd
	commaOrEnd
	inString
	inNumber
	inWord // true, false, null
	theEnd
)

// field is one that is asked for.
type field uint8

const (
	noField field = iota
	ofType
	ofN
	ofText
	ofBase64
)

type sink uint8

const (
	nowhere sink = iota
	intoShort
	intoData
)

// value is what a field has.
type value uint8

const (
	missing value = iota
	noString
	aString
)

// Reset makes s as good as a new one, but for the memory it has.
func (s *Saying) Reset() { *s = Saying{open: s.open[:0], data: s.data[:0]} }

// Held is how many bytes s holds.
func (s *Saying) Held() int { return len(s.data) + len(s.open) }

// Take goes on with p. A message longer than longest is a breach, and so is
// what can be no JSON object any more.
func (s *Saying) Take(p []byte, longest int) *Breach {
	for len(p) > 0 {
		var ok bool
		switch s.expect {
		case inString:
			p, ok = s.takeString(p)
		case inNumber:
			p, ok = s.takeNumber(p)
		case inWord:
			p, ok = s.takeWord(p)
		default:
			p, ok = p[1:], s.step(p[0])
		}
		if !ok {
			return &Breach{proto.CloseProtocolError, "not a JSON object"}
		}
	}
	most := longest
	if s.base64 == aString {
		most = base64.StdEncoding.EncodedLen(longest)
	}
	if len(s.data) > most {
		return &Breach{proto.CloseTooBig, fmt.Sprintf("message longer than %d bytes", longest)}
	}
	return nil
}

// End is what was said, if all of it has come. That its text frames are UTF-8
// Frames has checked; what is not, here, becomes U+FFFD.
func (s *Saying) End() (Said, *Breach) {
	if s.expect != theEnd {
		return Said{}, &Breach{proto.CloseProtocolError, "not a JSON object"}
	}
	if s.kind != SaysMessage {
		return Said{Kind: s.kind}, nil
	}
	if s.hasN && s.n == 0 {
		return Said{}, &Breach{proto.CloseProtocolError, "n is not a number from 1 to 2^53"}
	}
	if (s.text == missing) == (s.base64 == missing) {
		return Said{}, &Breach{proto.CloseProtocolError, "message without text and base64, or with both"}
	}
	data, ok := s.data, s.text == aString
	if s.base64 == aString {
		data, ok = unbase64(data)
	} else if !utf8.Valid(data) {
		data = appendUTF8(nil, data)
	}
	if !ok {
		return Said{}, &Breach{proto.CloseProtocolError, "message that is no string, or no base64"}
	}
	return Said{SaysMessage, s.n, data}, nil
}

// unbase64 is RFC 4648, section 4.
func unbase64(p []byte) (data []byte, ok bool) {
	if bytes.ContainsAny(p, "\r\n") { // which the decoder would skip
		return nil, false
	}
	data, err := base64.StdEncoding.Strict().AppendDecode(nil, p)
	return data, err == nil
}

// step takes b, which stands outside strings, numbers and words.
func (s *Saying) step(b byte) (ok bool) {
	if b == ' ' || b == '\t' || b == '\r' || b == '\n' {
		return true
	}
	switch s.expect {
	case anObject:
		return b == '{' && s.opens(b, nameOrEnd)
	case nameOrEnd, aName:
		if b == '"' {
			s.beginName()
			return true
		}
		return s.expect == nameOrEnd && s.closes(b)
	case aColon:
		s.expect = aValue
		return b == ':'
	case aValue:
		return s.begin(b)
	case valueOrEnd:
		return b == ']' && s.closes(b) || s.begin(b)
	case commaOrEnd:
		if b != ',' {
			return s.closes(b)
		}
		if s.expect = aValue; s.open[len(s.open)-1] == '{' {
			s.expect = aName
		}
		return true
	}
	return false // behind the end
}

func (s *Saying) opens(bracket byte, then expect) (ok bool) {
	s.open = append(s.open, bracket)
	s.expect = then
	return len(s.open) <= deepest
}

func (s *Saying) closes(bracket byte) (ok bool) {
	last := len(s.open) - 1
	if bracket != s.open[last]+2 { // in ASCII each closes the one two before it
		return false
	}
	s.open = s.open[:last]
	s.endValue()
	return true
}

func (s *Saying) beginName() {
	s.expect, s.isName = inString, true
	if len(s.open) == 1 {
		s.into, s.length = intoShort, 0
	}
}

// begin is the first byte of a value.
func (s *Saying) begin(b byte) (ok bool) {
	if len(s.open) == 1 {
		s.beginField(b)
	}
	switch b {
	case '"':
		s.expect, s.isName = inString, false
	case '{':
		return s.opens(b, nameOrEnd)
	case '[':
		return s.opens(b, valueOrEnd)
	case 't':
		s.expect, s.word = inWord, "true"[1:]
	case 'f':
		s.expect, s.word = inWord, "false"[1:]
	case 'n':
		s.expect, s.word = inWord, "null"[1:]
	default:
		s.expect, s.number = inNumber, beforeNumber
		ok := s.number.goOn(b)
		s.put([]byte{b})
		return ok
	}
	return true
}

// beginField says where the value that begins with b is to go. Of a field that
// comes twice the last counts.
func (s *Saying) beginField(b byte) {
	is := noString
	if b == '"' {
		is = aString
	}
	s.length = 0
	switch s.field {
	case ofType:
		if s.kind = SaysNothing; is == aString {
			s.into = intoShort
		}
	case ofN:
		if s.hasN, s.n = true, 0; '0' <= b && b <= '9' {
			s.into = intoShort
		}
	case ofText, ofBase64:
		if s.data = s.data[:0]; is == aString {
			s.into = intoData
		}
		if s.field == ofText {
			s.text = is
		} else {
			s.base64 = is
		}
	}
}

// endValue is behind a value.
func (s *Saying) endValue() {
	if s.expect = commaOrEnd; len(s.open) == 0 {
		s.expect = theEnd
	}
	if len(s.open) != 1 {
		return
	}
	switch s.field {
	case ofType:
		s.kind = kindOf(s.shortOne())
	case ofN:
		if n, err := strconv.ParseUint(s.shortOne(), 10, 64); err == nil && n <= greatestNumber {
			s.n = n
		}
	}
	s.field, s.into = noField, nowhere
}

func (s *Saying) shortOne() string {
	if s.length > len(s.short) {
		return ""
	}
	return string(s.short[:s.length])
}

func kindOf(s string) SaidKind {
	switch s {
	case "message":
		return SaysMessage
	case "heartbeat":
		return SaysHeartbeat
	case "end":
		return SaysEnd
	}
	return SaysNothing
}

func fieldOf(s string) field {
	switch s {
	case "type":
		return ofType
	case "n":
		return ofN
	case "text":
		return ofText
	case "base64":
		return ofBase64
	}
	return noField
}

// put takes a part of what is asked for.
func (s *Saying) put(p []byte) {
	switch s.into {
	case intoShort:
		copy(s.short[min(s.length, len(s.short)):], p)
		s.length += len(p)
	case intoData:
		s.data = append(s.data, p...)
	}
}

// takeString goes on in a string, to its end at most.
func (s *Saying) takeString(p []byte) (rest []byte, ok bool) {
	for len(p) > 0 {
		switch {
		case s.escape > 0:
			if !s.goOnEscape(p[0]) {
				return nil, false
			}
			p = p[1:]
		case p[0] == '\\' && len(p) >= len(`\u0000`) && p[1] == 'u':
			code := unhex(p[2])<<12 | unhex(p[3])<<8 | unhex(p[4])<<4 | unhex(p[5])
			if code < 0 {
				return nil, false
			}
			s.putCode(code)
			p = p[len(`\u0000`):]
		case p[0] == '\\':
			s.escape = afterBackslash
			p = p[1:]
		case p[0] == '"':
			s.endPair()
			s.endString()
			return p[1:], true
		case p[0] < ' ':
			return nil, false
		default:
			n := plainRun(p, 0)
			for n < len(p) && escapes[p[n]] == 0 { // of its last word
				n++
			}
			s.endPair()
			s.put(p[:n])
			p = p[n:]
		}
	}
	return nil, true
}

func (s *Saying) endString() {
	if !s.isName {
		s.endValue()
		return
	}
	s.expect = aColon
	if len(s.open) == 1 {
		s.field, s.into = fieldOf(s.shortOne()), nowhere
	}
}

// afterBackslash is the escape of which nothing more has come; less is how many
// hex digits are missing.
const afterBackslash = 5

// goOnEscape takes the next byte of an escape.
func (s *Saying) goOnEscape(b byte) (ok bool) {
	if s.escape == afterBackslash {
		s.escape, s.code = 0, 0
		switch b {
		case 'u':
			s.escape = 4
			return true
		case 'b':
			b = '\b'
		case 'f':
			b = '\f'
		case 'n':
			b = '\n'
		case 'r':
			b = '\r'
		case 't':
			b = '\t'
		case '"', '\\', '/':
		default:
			return false
		}
		s.endPair()
		s.put([]byte{b})
		return true
	}
	s.escape--
	s.code = s.code<<4 | unhex(b)
	if s.code < 0 {
		return false
	}
	if s.escape == 0 {
		s.putCode(s.code)
	}
	return true
}

// unhex is the value of a hex digit, less than 0 for another byte.
func unhex(b byte) rune { return rune(hexDigits[b]) }

var hexDigits = func() (value [256]int8) {
	for i := range value {
		value[i] = -1
	}
	for i := range int8(16) {
		value["0123456789abcdef"[i]], value["0123456789ABCDEF"[i]] = i, i
	}
	return value
}()

// putCode takes what four hex digits say: UTF-16.
func (s *Saying) putCode(code rune) {
	if s.high != 0 {
		if r := utf16.DecodeRune(s.high, code); r != unicode.ReplacementChar {
			s.high = 0
			s.putRune(r)
			return
		}
		s.endPair()
	}
	if utf16.IsSurrogate(code) && code < 0xdc00 {
		s.high = code
		return
	}
	s.putRune(code)
}

// endPair is where the second half of a surrogate pair has not come.
func (s *Saying) endPair() {
	if s.high != 0 {
		s.high = 0
		s.putRune(unicode.ReplacementChar)
	}
}

func (s *Saying) putRune(r rune) {
	if s.into == intoData {
		s.data = utf8.AppendRune(s.data, r)
		return
	}
	var buffer [utf8.UTFMax]byte
	s.put(utf8.AppendRune(buffer[:0], r))
}

// takeWord goes on in true, false or null.
func (s *Saying) takeWord(p []byte) (rest []byte, ok bool) {
	if p[0] != s.word[0] {
		return nil, false
	}
	if s.word = s.word[1:]; s.word == "" {
		s.endValue()
	}
	return p[1:], true
}

// takeNumber goes on in a number, up to the byte behind it.
func (s *Saying) takeNumber(p []byte) (rest []byte, ok bool) {
	n := 0
	for n < len(p) && s.number.goOn(p[n]) {
		n++
	}
	s.put(p[:n])
	if n == len(p) {
		return nil, true
	}
	s.endValue()
	return p[n:], s.number.mayEnd()
}

// number is how far a number has come (RFC 8259, section 6).
type number uint8

const (
	beforeNumber number = iota
	afterMinus
	afterZero
	inWhole
	afterPoint
	inFraction
	afterE
	afterSign
	inExponent
)

func (n number) mayEnd() bool {
	return n == afterZero || n == inWhole || n == inFraction || n == inExponent
}

// goOn reports whether b belongs to the number.
func (n *number) goOn(b byte) (ok bool) {
	next := steps[*n][partOf(b)]
	if next == beforeNumber { // which none can become again
		return false
	}
	*n = next
	return true
}

// steps is what a number is behind such a part of it.
var steps = [...][parts]number{
	beforeNumber: {aZero: afterZero, aDigit: inWhole, aMinus: afterMinus},
	afterMinus:   {aZero: afterZero, aDigit: inWhole},
	afterZero:    {aPoint: afterPoint, anE: afterE},
	inWhole:      {aZero: inWhole, aDigit: inWhole, aPoint: afterPoint, anE: afterE},
	afterPoint:   {aZero: inFraction, aDigit: inFraction},
	inFraction:   {aZero: inFraction, aDigit: inFraction, anE: afterE},
	afterE:       {aZero: inExponent, aDigit: inExponent, aMinus: afterSign, aPlus: afterSign},
	afterSign:    {aZero: inExponent, aDigit: inExponent},
	inExponent:   {aZero: inExponent, aDigit: inExponent},
}

const (
	noPart = iota
	aZero
	aDigit
	aMinus
	aPlus
	aPoint
	anE
	parts
)

func partOf(b byte) int {
	switch {
	case b == '0':
		return aZero
	case '1' <= b && b <= '9':
		return aDigit
	case b == '-':
		return aMinus
	case b == '+':
		return aPlus
	case b == '.':
		return aPoint
	case b|0x20 == 'e':
		return anE
	}
	return noPart
}

const (
	ones  = 0x0101010101010101
	highs = 0x80 * ones
)

// plainRun is plainLen, where of ASCII alone is meant just if ascii is highs;
// if it is 0, other characters are plain too.
func plainRun(p []byte, ascii uint64) int {
	at := 0
	for ; len(p)-at >= 8; at += 8 {
		x := binary.LittleEndian.Uint64(p[at:])
		// (w - n×ones) &^ w has a high bit set just if a byte of w is less
		// than n. Less than 1 are the bytes of quote that were one in x.
		quote, backslash := x^'"'*ones, x^'\\'*ones
		odd := x&ascii | (x-' '*ones)&^x | (quote-ones)&^quote | (backslash-ones)&^backslash
		if odd&highs != 0 {
			return at
		}
	}
	for at < len(p) && uint64(p[at])&ascii&utf8.RuneSelf == 0 && escapes[p[at]] == 0 {
		at++
	}
	return at
}

// escapes is by how much a byte grows in a JSON string (RFC 8259, section 7).
var escapes = func() (by [256]uint8) {
	for b := range ' ' {
		by[b] = uint8(len(`\u0000`) - 1)
	}
	for _, b := range "\b\t\n\f\r\"\\" {
		by[b] = 1
	}
	return by
}()
