package jsonl

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"hubbub.example/internal/proto"
)

// instructions are lines, and what Decode returns for each.
var instructions = []struct {
	line string
	want Instruction
}{
	{`{"text":"hello"}`, Instruction{Data: []byte("hello")}},
	{`{"text":""}`, Instruction{}},
	{`{"base64":"/w=="}`, Instruction{Data: []byte("\xff")}},
	{`{"base64":""}`, Instruction{}},
	{`{"base64":"\/\u0077=="}`, Instruction{Data: []byte("\xff")}},
	{" \t{ \"to\" : 17 , \"text\" : \"a\" } \r\n", Instruction{Kind: ToThese, IDs: []uint64{17}, Data: []byte("a")}},
	{`{"text":"a","to":18446744073709551615}`, Instruction{Kind: ToThese, IDs: []uint64{18446744073709551615}, Data: []byte("a")}},
	{`{"to":[18,17, 18 ,	1],"text":"a"}`, Instruction{Kind: ToThese, IDs: []uint64{1, 17, 18}, Data: []byte("a")}},
	{`{"to":[17],"base64":"YQ=="}`, Instruction{Kind: ToThese, IDs: []uint64{17}, Data: []byte("a")}},
	{`{"to":[ ],"text":"a"}`, Instruction{Kind: ToThese, Data: []byte("a")}},
	{`{"except":17,"text":"a"}`, Instruction{Kind: ToOthers, IDs: []uint64{17}, Data: []byte("a")}},
	{`{"except":[17,18],"text":"a"}`, Instruction{Kind: ToOthers, IDs: []uint64{17, 18}, Data: []byte("a")}},
	{`{"except":[],"text":"a"}`, Instruction{Kind: ToOthers, Data: []byte("a")}},
	{`{"name":"ann","id":17}`, Instruction{Kind: Rename, IDs: []uint64{17}, Name: "ann"}},
	{`{"name":"\u00e9","id":17}`, Instruction{Kind: Rename, IDs: []uint64{17}, Name: "é"}},
	{`{"name":"","id":17}`, Instruction{Kind: Rename, IDs: []uint64{17}}},
	{`{"name":"` + strings.Repeat("a", 64) + `","id":17}`, Instruction{Kind: Rename, IDs: []uint64{17}, Name: strings.Repeat("a", 64)}},
	{`{"kick":17,"reason":"spam"}`, Instruction{Kind: Kick, IDs: []uint64{17}, Reason: "spam"}},
	{`{"kick":17}`, Instruction{Kind: Kick, IDs: []uint64{17}}},
	{`{"kick":[18,17],"reason":""}`, Instruction{Kind: Kick, IDs: []uint64{17, 18}}},
	{`{"kick":17,"reason":"` + strings.Repeat("a", 123) + `"}`, Instruction{Kind: Kick, IDs: []uint64{17}, Reason: strings.Repeat("a", 123)}},

	// Text is what was meant, and only that.
	{`{"text":"\ud83d\ude00\u0000\n\r\t\b\f\"\\\/\u00e9é\ufffd"}`, Instruction{Data: []byte("😀\x00\n\r\t\b\f\"\\/éé\ufffd")}},
	{`{"text":"}],{\"to\":5"}`, Instruction{Data: []byte(`}],{"to":5`)}},
	{`{"te\u0078t":"a"}`, Instruction{Data: []byte("a")}},

	// What nobody asked for is ignored: an event with to is an answer.
	{`{"text":"a","Text":1,"TO":2,"x":{"text":"b","y":["}","]",{"to":0}]},"z":null,"":false}`, Instruction{Data: []byte("a")}},
	{`{"type":"message","time":"T","id":17,"name":"ann","addr":"unix","text":"a","to":17}`, Instruction{Kind: ToThese, IDs: []uint64{17}, Data: []byte("a")}},
	{`{"text":"a","id":"x","name":5,"reason":null}`, Instruction{Data: []byte("a")}},
	{`{"kick":17,"name":5,"id":{}}`, Instruction{Kind: Kick, IDs: []uint64{17}}},
	{`{"name":"ann","id":17,"reason":5}`, Instruction{Kind: Rename, IDs: []uint64{17}, Name: "ann"}},
}

// mistakes are lines that are no instructions, and a part of the error for each.
// Of those that are marked the schema has no word: whoever writes JSON cannot
// see how it is written.
var mistakes = []struct {
	line, says string
	unseen     bool
}{
	{line: ``, says: `empty line; a message is {"text":`},
	{line: " \r\n", says: `empty line`},
	{line: `hello`, says: "`hello`: not JSON: unexpected 'h' at byte 1; a message is {\"text\":\"…\"}"},
	{line: `{"text":"a"`, says: `not JSON: unexpected end`},
	{line: `{"text":"a",}`, says: `unexpected ',' at byte 12`},
	{line: `{'text':"a"}`, says: `unexpected '\'' at byte 2`},
	{line: `{text:"a"}`, says: `not JSON: unexpected 'e' at byte 3`},
	{line: "{\"text\":\"a\nb\"}", says: `unexpected '\n' at byte 11`},
	{line: "\uFEFF" + `{"text":"a"}`, says: `unexpected '\ufeff' at byte 1`},
	{line: `{"text":"a"}{"text":"b"}`, says: `something after the object`},
	{line: `{"text":"a"} b`, says: `something after the object`},
	{line: `{"text":"\x"}`, says: "`\\x` is no valid escape"},
	{line: `{"text":"a","x":01}`, says: `unexpected '1' at byte 18`},
	{line: `{"text":"a","x":` + strings.Repeat("[", 50000) + strings.Repeat("]", 50000) + `}`, says: `nested too deeply`},
	{line: "{\"text\":\"a\xff\"}", says: `: not UTF-8 at byte 11; send other bytes as {"base64":"…"}`, unseen: true},
	{line: "{\"text\":\"a\",\"x\":\"\xff\"}", says: `not UTF-8 at byte 18`, unseen: true},
	{line: `{"text":"\ud83d"}`, says: "`\\ud83d` is no valid escape", unseen: true},
	{line: `{"text":"\ude00\ud83d"}`, says: "`\\ude00` is no valid escape", unseen: true},
	{line: `{"text":"\ud83d\u0041"}`, says: "`\\ud83d` is no valid escape", unseen: true},
	{line: `{"text":"\udcff"}`, says: `send bytes that are not UTF-8 as {"base64":"…"}`, unseen: true},
	{line: `{"to":17,"to":18,"text":"a"}`, says: "`to` is in the object twice", unseen: true},
	{line: `{"to":17,"t\u006f":17,"text":"a"}`, says: "`to` is in the object twice", unseen: true},
	{line: `{"text":"a","x":{"y":1,"y":1}}`, says: "`y` is in the object twice", unseen: true},

	{line: `"text"`, says: `not a JSON object`},
	{line: `[{"text":"a"}]`, says: `not a JSON object`},
	{line: `null`, says: `not a JSON object`},
	{line: `{}`, says: "`{}`: no instruction; it must have text or base64, or name and id, or kick"},
	{line: `{"Text":"a"}`, says: `no instruction`},
	{line: `{"id":17,"reason":"a"}`, says: `no instruction`},
	{line: `{"to":17}`, says: `to or except without a message`},
	{line: `{"except":17,"name":"ann","id":17}`, says: `to or except without a message`},
	{line: `{"name":"ann"}`, says: `name without id`},

	{line: `{"text":"a","base64":"YQ=="}`, says: `both text and base64`},
	{line: `{"to":17,"except":18,"text":"a"}`, says: `both to and except`},
	{line: `{"kick":17,"text":"a"}`, says: `kick with a message`},
	{line: `{"kick":17,"base64":""}`, says: `kick with a message`},
	{line: `{"kick":17,"to":17}`, says: `kick with a message`},
	{line: `{"kick":17,"except":17}`, says: `kick with a message`},

	{line: `{"text":null}`, says: "text `null`: must be a string"},
	{line: `{"text":["a"]}`, says: `must be a string`},
	{line: `{"text":5}`, says: "text `5`: must be a string"},
	{line: `{"base64":5}`, says: "base64 `5`: must be a string"},
	{line: `{"base64":"YQ"}`, says: "base64 `\"YQ\"`: must be base64 with padding, such as aGVsbG8="},
	{line: `{"base64":"YR=="}`, says: `must be base64`},
	{line: `{"base64":"YQ==\n"}`, says: `must be base64`},
	{line: `{"base64":"Y\rQ=="}`, says: `must be base64`},
	{line: `{"base64":"_w=="}`, says: `must be base64`},

	{line: `{"to":null,"text":"a"}`, says: "to `null`: must be a client's id, such as 17"},
	{line: `{"to":"17","text":"a"}`, says: "to `\"17\"`: must be a client's id"},
	{line: `{"to":0,"text":"a"}`, says: "to `0`: must be a client's id"},
	{line: `{"to":-17,"text":"a"}`, says: "to `-17`: must be a client's id"},
	{line: `{"to":-0,"text":"a"}`, says: `must be a client's id`},
	{line: `{"to":17.0,"text":"a"}`, says: "to `17.0`: must be a client's id", unseen: true},
	{line: `{"to":1e3,"text":"a"}`, says: `must be a client's id`, unseen: true},
	{line: `{"to":17.5,"text":"a"}`, says: `must be a client's id`},
	{line: `{"to":18446744073709551616,"text":"a"}`, says: `must be a client's id`},
	{line: `{"to":true,"text":"a"}`, says: `must be a client's id`},
	{line: `{"to":{"17":18},"text":"a"}`, says: `must be a client's id`},
	{line: `{"to":[17,null],"text":"a"}`, says: "to `null`: must be a client's id"},
	{line: `{"to":["17"],"text":"a"}`, says: `must be a client's id`},
	{line: `{"to":[[17]],"text":"a"}`, says: `must be a client's id`},
	{line: `{"to":[17,"a,b"],"text":"a"}`, says: `must be a client's id`},
	{line: `{"except":[17,0],"text":"a"}`, says: "except `0`: must be a client's id"},
	{line: `{"kick":"ann"}`, says: "kick `\"ann\"`: must be a client's id"},
	{line: `{"kick":null}`, says: "kick `null`: must be a client's id"},
	{line: `{"name":"ann","id":[17]}`, says: "id `[17]`: must be a client's id"},
	{line: `{"name":"ann","id":null}`, says: "id `null`: must be a client's id"},

	{line: `{"name":null,"id":17}`, says: "name `null`: must be a string"},
	{line: `{"name":"a\nb","id":17}`, says: `must be at most 64 bytes without control and format characters`},
	{line: `{"name":"` + "\u0085" + `","id":17}`, says: `name "\"\u0085\"": must be at most 64 bytes without control and format characters`},
	{line: `{"name":"ann\u202enna","id":17}`, says: `without control and format characters`},
	{line: `{"name":"a\u2028b","id":17}`, says: `without control and format characters`},
	{line: `{"name":"\u200dann","id":17}`, says: `without control and format characters`, unseen: true},
	{line: `{"text":"` + "\u202e" + `"`, says: `"{\"text\":\"\u202e\"": not JSON: unexpected end`},
	{line: `{"name":"` + strings.Repeat("a", 65) + `","id":17}`, says: strings.Repeat("a", 59) + "`...: must be at most 64 bytes"},
	{line: `{"name":"` + strings.Repeat("é", 33) + `","id":17}`, says: `must be at most 64 bytes`, unseen: true},
	{line: `{"kick":17,"reason":5}`, says: "reason `5`: must be a string"},
	{line: `{"kick":17,"reason":"` + strings.Repeat("a", 124) + `"}`, says: `must be at most 123 bytes`},
	{line: `{"kick":17,"reason":"` + strings.Repeat("é", 62) + `"}`, says: `must be at most 123 bytes`, unseen: true},
}

func sameInstruction(a, b Instruction) bool {
	return a.Kind == b.Kind && slices.Equal(a.IDs, b.IDs) && bytes.Equal(a.Data, b.Data) && a.Name == b.Name && a.Reason == b.Reason
}

func TestLinesDecodeToInstructions(t *testing.T) {
	var d Decoder
	for _, c := range instructions {
		if got, err := d.Decode([]byte(c.line)); err != nil || !sameInstruction(got, c.want) {
			t.Errorf("%s: %+v, %v; want %+v", c.line, got, err, c.want)
		}
	}
}

// The error for each mistake says what is expected, and the next line is decoded
// again.
func TestAMistakeIsSaid(t *testing.T) {
	var d Decoder
	for _, c := range mistakes {
		got, err := d.Decode([]byte(c.line))
		if err == nil || !strings.Contains(err.Error(), c.says) || !sameInstruction(got, Instruction{}) {
			t.Errorf("%.100s: %+v, %v; want an error that says %s", c.line, got, err, c.says)
		} else if said := err.Error(); len(said) > 400 || !utf8.ValidString(said) || strings.ContainsFunc(said, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%.100s: %q does not go to a log", c.line, said)
		}
		if got, err := d.Decode([]byte(`{"to":1,"text":"\u0061"}`)); err != nil || string(got.Data) != "a" {
			t.Fatalf("after %.100s: %+v, %v", c.line, got, err)
		}
	}
}

// A program answers five thousand clients through one decoder.
func TestDecodingAllocatesNothing(t *testing.T) {
	var d Decoder
	for _, line := range []string{`{"text":"hello"}`, `{"to":17,"text":"caf\u00e9"}`, `{"except":[3,2,1],"base64":"aGVsbG8="}`} {
		p := []byte(line)
		if n := testing.AllocsPerRun(100, func() { d.Decode(p) }); n != 0 {
			t.Errorf("%s: %v allocations", line, n)
		}
	}
}

// Decode writes neither to the line nor beyond it.
func TestALineIsLeftAsItIs(t *testing.T) {
	line := []byte(`{"to":[2,1],"base64":"\u0061GVsbG8="}{"text":"next"}`)
	was := bytes.Clone(line)
	var d Decoder
	if _, err := d.Decode(line[:bytes.IndexByte(line, '}')+1]); err != nil || !bytes.Equal(line, was) {
		t.Errorf("the line is %s (%v)", line, err)
	}
}

// However a program encodes the longest message, its line is not too long.
func TestLongestInstruction(t *testing.T) {
	const longest = 1 << 20
	var b strings.Builder
	b.WriteString(`{"to":[1`)
	for id := range 100_000 {
		fmt.Fprintf(&b, ", %d", 1_000_000+id)
	}
	b.WriteString(`], "text": "` + strings.Repeat(`\u0000`, longest) + `"}`)
	if b.Len() > LongestInstruction(longest) {
		t.Errorf("a line of %d bytes is too long", b.Len())
	}
	var d Decoder
	if c, err := d.Decode([]byte(b.String())); err != nil || len(c.Data) != longest || len(c.IDs) != 100_001 {
		t.Errorf("it has %d bytes for %d clients (%v)", len(c.Data), len(c.IDs), err)
	}
}

// encode returns an instruction's line, as encoding/json writes it.
func encode(t *testing.T, c Instruction) []byte {
	line, ids := map[string]any{}, append([]uint64{}, c.IDs...) // none is [], not null
	switch c.Kind {
	case Rename:
		line["name"], line["id"] = c.Name, ids[0]
	case Kick:
		line["kick"], line["reason"] = ids, c.Reason
	case ToThese:
		line["to"] = ids
	case ToOthers:
		line["except"] = ids
	}
	switch {
	case c.Kind == Rename || c.Kind == Kick:
	case utf8.Valid(c.Data):
		line["text"] = string(c.Data)
	default:
		line["base64"] = c.Data
	}
	p, err := json.Marshal(line)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// good reports whether a client may call itself that.
func good(name string) bool {
	_, err := proto.ParseName(name)
	return err == nil
}

// decodeSlowly returns what Decode is compared with: encoding/json's map of the
// whole.
func decodeSlowly(line []byte) (c Instruction, ok bool) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(line, &fields) != nil || fields == nil {
		return c, false
	}
	has := func(names ...string) bool {
		return slices.ContainsFunc(names, func(name string) bool { return fields[name] != nil })
	}
	text := func(name string) string {
		var value any
		_ = json.Unmarshal(fields[name], &value)
		s, is := value.(string)
		ok = ok && is
		return s
	}
	ids := func(name string, lists bool) (ids []uint64) {
		value := fields[name]
		if json.Unmarshal(value, &ids) != nil || !lists || string(value) == "null" {
			ids = []uint64{0}
			if json.Unmarshal(value, &ids[0]) != nil {
				ok = false
			}
		}
		slices.Sort(ids)
		ok = ok && !slices.Contains(ids, 0) // also null's
		return slices.Compact(ids)
	}
	ok = true
	switch {
	case has("kick"):
		c.Kind, c.IDs = Kick, ids("kick", true)
		if has("reason") {
			c.Reason = text("reason")
		}
		return c, ok && len(c.Reason) <= 123 && !has("text", "base64", "to", "except")
	case !has("text", "base64"):
		c.Kind, c.IDs, c.Name = Rename, ids("id", false), text("name")
		return c, ok && (c.Name == "" || good(c.Name)) && !has("to", "except")
	case has("to"):
		c.Kind, c.IDs = ToThese, ids("to", true)
	case has("except"):
		c.Kind, c.IDs = ToOthers, ids("except", true)
	}
	switch {
	case has("text") && has("base64"), has("to") && has("except"):
		return c, false
	case has("text"):
		c.Data = []byte(text("text"))
	default:
		s := text("base64")
		data, err := base64.StdEncoding.DecodeString(s)
		c.Data, ok = data, ok && err == nil && base64.StdEncoding.EncodeToString(data) == s
	}
	return c, ok
}

// repeats reports whether an object in a line has a name twice.
func repeats(line []byte) bool {
	type object struct {
		names map[string]bool // nil in a list
		value bool            // a value is next
	}
	stack := []object{{}}
	for d := json.NewDecoder(bytes.NewReader(line)); ; {
		token, err := d.Token()
		if err != nil {
			return err != io.EOF
		}
		at := &stack[len(stack)-1]
		delim, _ := token.(json.Delim)
		switch name, is := token.(string); {
		case delim == '}' || delim == ']':
			stack = stack[:len(stack)-1]
			continue
		case at.names != nil && !at.value && is:
			if at.names[name] {
				return true
			}
			at.names[name], at.value = true, true
			continue
		}
		at.value = false
		switch delim {
		case '{':
			stack = append(stack, object{names: map[string]bool{}})
		case '[':
			stack = append(stack, object{})
		}
	}
}

var surrogate = regexp.MustCompile(`\\u[dD][89a-fA-F]`)

// Decode reads an instruction as encoding/json does, and reads the same after it is
// written again. A line that Decode refuses is no instruction for encoding/json
// either, or it is not I-JSON.
func FuzzDecode(f *testing.F) {
	for _, c := range instructions {
		f.Add([]byte(c.line))
	}
	for _, c := range mistakes {
		if len(c.line) < 1000 {
			f.Add([]byte(c.line))
		}
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		var d Decoder
		got, err := d.Decode(line)
		want, ok := decodeSlowly(line)
		if err != nil {
			if ok && utf8.Valid(line) && !surrogate.Match(line) && !repeats(line) {
				t.Errorf("%q: %v; want %+v", line, err, want)
			}
			return
		}
		if !ok || !sameInstruction(got, want) {
			t.Errorf("%q: %+v; want %+v, %t", line, got, want, ok)
		}
		again := encode(t, got)
		var e Decoder
		if back, err := e.Decode(again); err != nil || !sameInstruction(back, got) {
			t.Errorf("%q: %+v; written anew, %s: %+v, %v", line, got, again, back, err)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	for _, c := range []struct{ name, line string }{
		{"plain 12", `{"to":17,"text":"hello, world"}`},
		{"plain 100", `{"to": 4711, "text": "` + strings.Repeat("abcdefghi ", 10) + `"}`},
		{"escaped 100", `{"to": 4711, "text": "` + strings.Repeat(`abcdefgh\u00e9`, 10) + `"}`},
		{"base64 100", `{"to":4711,"base64":"` + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{255}, 100)) + `"}`},
		{"100 clients", `{"to":[` + strings.Repeat("1234,", 99) + `1],"text":"hello, world"}`},
	} {
		b.Run(c.name, func(b *testing.B) {
			var d Decoder
			line := []byte(c.line)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := d.Decode(line); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
