package jsonl

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"hubbub.example/internal/proto"
)

// Kind is the kind of an instruction.
type Kind uint8

// The kinds of instructions.
const (
	ToAll    Kind = iota // Data goes to every client
	ToThese              // Data goes to the clients in IDs, which may be empty
	ToOthers             // Data goes to every client but those in IDs
	Rename               // the one client in IDs gets the name Name; "" is no name
	Kick                 // the clients in IDs are closed, for Reason, which may be ""
)

// Instruction is one thing that a program asks for.
type Instruction struct {
	Kind   Kind
	IDs    []uint64 // in ascending order, each once
	Data   []byte   // the message, of any length
	Name   string   // what proto.ParseName allows, or ""
	Reason string   // at most 123 bytes of UTF-8
}

const (
	longestReason = 123 // what a WebSocket's close frame holds

	// otherFields is room for a list of a hundred thousand ids.
	otherFields = 1 << 20
)

// LongestInstruction returns how long a line may have to be where a message may have
// longest bytes: each of them may be escaped.
func LongestInstruction(longest int) int { return proto.JSONLimit(longest, otherFields) }

// Decoder reads instructions. The zero value works; one goroutine at a time uses
// it.
type Decoder struct {
	json    jsontext.Decoder
	line    bytes.Buffer
	ids     []uint64
	decoded []byte // strings that had escapes, and base64
}

// Decode reads one line, with or without its newline. The instruction is
// valid until the next call, and only while the line is. The error says what is
// expected.
//
// A line is I-JSON (RFC 7493): UTF-8, no lone surrogates, no duplicate names. So
// an ambiguous line is an error.
func (d *Decoder) Decode(line []byte) (Instruction, error) {
	d.ids, d.decoded = d.ids[:0], d.decoded[:0]
	f, err := d.fields(line)
	if err != nil {
		return Instruction{}, fmt.Errorf("%s: %w", excerpt(line), err)
	}
	var c Instruction
	switch {
	case f.kick != nil:
		c, err = d.kick(&f)
	case f.text != nil, f.base64 != nil:
		c, err = d.message(&f)
	case f.to != nil, f.except != nil:
		err = errors.New("to or except without a message: it must have text or base64")
	case f.name != nil:
		c, err = d.rename(&f)
	default:
		err = fmt.Errorf("%s: no instruction; it must have text or base64, or name and id, or kick", excerpt(line))
	}
	if err != nil {
		return Instruction{}, err
	}
	return c, nil
}

// fields are the values of known fields; nil means that there is none.
type fields struct {
	text, base64, to, except, name, id, kick, reason jsontext.Value
}

// named returns the field of that name; nil if it is unknown.
func (f *fields) named(name string) *jsontext.Value {
	switch name {
	case "text":
		return &f.text
	case "base64":
		return &f.base64
	case "to":
		return &f.to
	case "except":
		return &f.except
	case "name":
		return &f.name
	case "id":
		return &f.id
	case "kick":
		return &f.kick
	case "reason":
		return &f.reason
	}
	return nil
}

// fields reads the one object of a line. It ignores unknown fields.
func (d *Decoder) fields(line []byte) (f fields, err error) {
	d.line = *bytes.NewBuffer(line)
	d.json.Reset(&d.line)
	switch start, err := d.json.ReadToken(); {
	case errors.Is(err, io.EOF):
		return f, errors.New(`empty line; a message is {"text":"…"}`)
	case err != nil:
		return f, syntax(line, err)
	case start.Kind() != jsontext.KindBeginObject:
		return f, errors.New(`not a JSON object; a message is {"text":"…"}`)
	}
	for d.json.PeekKind() != jsontext.KindEndObject {
		name, err := d.json.ReadToken()
		if err != nil {
			return f, syntax(line, err)
		}
		field := f.named(name.String())
		value, err := d.json.ReadValue()
		if err != nil {
			return f, syntax(line, err)
		}
		if field != nil {
			end := d.json.InputOffset()
			*field = line[end-int64(len(value)) : end]
		}
	}
	_, _ = d.json.ReadToken() // the end of the object
	if _, err := d.json.ReadToken(); !errors.Is(err, io.EOF) {
		return f, errors.New("something after the object; each object must be a line of its own")
	}
	return f, nil
}

// syntax converts jsontext's error into one of ours.
func syntax(line []byte, err error) error {
	at, is := errors.AsType[*jsontext.SyntacticError](err)
	if !is || at.ByteOffset >= int64(len(line)) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New(`not JSON: unexpected end; a message is {"text":"…"}`)
	}
	rest, place := line[at.ByteOffset:], at.ByteOffset+1
	r, size := utf8.DecodeRune(rest)
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		return fmt.Errorf("%s is in the object twice", excerpt([]byte(at.JSONPointer.LastToken())))
	case strings.Contains(err.Error(), "max depth"):
		return errors.New("nested too deeply")
	case r == utf8.RuneError && size == 1:
		return fmt.Errorf(`not UTF-8 at byte %d; send other bytes as {"base64":"…"}`, place)
	case r == '\\':
		return fmt.Errorf(`%s is no valid escape; send bytes that are not UTF-8 as {"base64":"…"}`, excerpt(escape(rest)))
	}
	return fmt.Errorf(`not JSON: unexpected %q at byte %d; a message is {"text":"…"}`, r, place)
}

// escape returns the escape that p begins with: \n, or \u and four digits.
func escape(p []byte) []byte {
	if bytes.HasPrefix(p, []byte(`\u`)) {
		return p[:min(len(p), 6)]
	}
	return p[:min(len(p), 2)]
}

// message reads a message and its recipients. It allows name, id and reason, so that
// a program can build an answer from the event that it answers.
func (d *Decoder) message(f *fields) (c Instruction, err error) {
	switch {
	case f.text != nil && f.base64 != nil:
		return c, errors.New("both text and base64: a message must have one of them")
	case f.to != nil && f.except != nil:
		return c, errors.New("both to and except: a message has one of them, or none and is for all")
	case f.to != nil:
		c.Kind = ToThese
		c.IDs, err = d.clients("to", f.to)
	case f.except != nil:
		c.Kind = ToOthers
		c.IDs, err = d.clients("except", f.except)
	}
	if err != nil {
		return c, err
	}
	if f.text != nil {
		c.Data, err = d.text("text", f.text)
		return c, err
	}
	c.Data, err = d.base64(f.base64)
	return c, err
}

func (d *Decoder) rename(f *fields) (c Instruction, err error) {
	if f.id == nil {
		return c, errors.New("name without id: it must have the id of the client that gets the name")
	}
	c.Kind = Rename
	if c.IDs, err = d.client("id", f.id); err != nil {
		return c, err
	}
	name, err := d.text("name", f.name)
	if err != nil {
		return c, err
	}
	if c.Name = string(name); c.Name == "" {
		return c, nil
	}
	if _, err := proto.ParseName(c.Name); err != nil {
		return c, fmt.Errorf("name %s: must be at most %d bytes without control and format characters", excerpt(f.name), proto.LongestName)
	}
	return c, nil
}

func (d *Decoder) kick(f *fields) (c Instruction, err error) {
	if f.text != nil || f.base64 != nil || f.to != nil || f.except != nil {
		return c, errors.New("kick with a message: each must be a line of its own")
	}
	c.Kind = Kick
	if c.IDs, err = d.clients("kick", f.kick); err != nil || f.reason == nil {
		return c, err
	}
	reason, err := d.text("reason", f.reason)
	if err != nil {
		return c, err
	}
	if len(reason) > longestReason {
		return c, fmt.Errorf("reason %s: must be at most %d bytes", excerpt(f.reason), longestReason)
	}
	c.Reason = string(reason)
	return c, nil
}

// clients reads an id or a list of them.
func (d *Decoder) clients(field string, value jsontext.Value) ([]uint64, error) {
	if value.Kind() != jsontext.KindBeginArray {
		return d.client(field, value)
	}
	// A value with a comma is not a list of numbers.
	list := bytes.TrimSpace(value[1 : len(value)-1])
	for more := len(list) > 0; more; {
		var id []byte
		id, list, more = bytes.Cut(list, []byte(","))
		if _, err := d.client(field, bytes.TrimSpace(id)); err != nil {
			return nil, err
		}
	}
	slices.Sort(d.ids)
	return slices.Compact(d.ids), nil
}

func (d *Decoder) client(field string, value jsontext.Value) ([]uint64, error) {
	id, err := strconv.ParseUint(string(value), 10, 64)
	if err != nil || id == 0 {
		return nil, fmt.Errorf("%s %s: must be a client's id, such as 17", field, excerpt(value))
	}
	d.ids = append(d.ids, id)
	return d.ids, nil
}

// text reads a string. The result is part of value if there is no escape.
func (d *Decoder) text(field string, value jsontext.Value) ([]byte, error) {
	if value.Kind() != jsontext.KindString {
		return nil, fmt.Errorf("%s %s: must be a string", field, excerpt(value))
	}
	if bytes.IndexByte(value, '\\') < 0 {
		return value[1 : len(value)-1], nil
	}
	from := len(d.decoded)
	var err error
	d.decoded, err = jsontext.AppendUnquote(d.decoded, value)
	return d.decoded[from:], err
}

// base64 reads RFC 4648, section 4, with padding.
func (d *Decoder) base64(value jsontext.Value) ([]byte, error) {
	s, err := d.text("base64", value)
	if err != nil {
		return nil, err
	}
	from := len(d.decoded)
	d.decoded, err = base64.StdEncoding.Strict().AppendDecode(d.decoded, s)
	if err != nil || bytes.ContainsAny(s, "\r\n") { // the decoder skips these
		return nil, fmt.Errorf("base64 %s: must be base64 with padding, such as aGVsbG8=", excerpt(value))
	}
	return d.decoded[from:], nil
}

// excerpt returns the beginning of p, for an error. It escapes invisible characters but
// not quotes, which would make JSON unreadable.
func excerpt(p []byte) string {
	const most = 60
	p, more := bytes.TrimSpace(p), ""
	if len(p) > most {
		p, more = p[:most], "..."
	}
	s := string(p)
	if strconv.CanBackquote(s) && strings.IndexFunc(s, isHidden) < 0 {
		return "`" + s + "`" + more
	}
	return strconv.Quote(s) + more
}

func isHidden(r rune) bool { return !unicode.IsPrint(r) }
