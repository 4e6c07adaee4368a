package jsonl

import (
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

const docs = "../../docs/"

// schemaOf returns a schema of docs/ or, behind #, a part of one.
func schemaOf(t *testing.T, file string) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	schema, err := c.Compile(docs + file)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func validate(schema *jsonschema.Schema, line string) error {
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(line))
	if err != nil {
		return err
	}
	return schema.Validate(value)
}

// A line is valid by the schema if and only if the decoder accepts it.
func TestSchemaAndDecoderAgree(t *testing.T) {
	schema := schemaOf(t, "instructions.schema.json")
	for _, c := range instructions {
		if err := validate(schema, c.line); err != nil {
			t.Errorf("%s: %v", c.line, err)
		}
	}
	for _, c := range mistakes {
		if validate(schema, c.line) == nil && !c.unseen {
			t.Errorf("%s: the schema takes it for an instruction", c.line)
		}
	}
}

// examples are the lines of docs/protocol.md below a heading.
func examples(t *testing.T, heading string) []string {
	t.Helper()
	page, err := os.ReadFile(docs + "protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n"+heading+"\n")
	section, _, _ = strings.Cut(section, "\n#")
	var lines []string
	for _, block := range regexp.MustCompile("(?s)```jsonl\n(.*?)\n```").FindAllStringSubmatch(section, -1) {
		lines = append(lines, strings.Split(block[1], "\n")...)
	}
	return lines
}

func TestExamplesOfInstructionsAreInstructions(t *testing.T) {
	schema := schemaOf(t, "instructions.schema.json")
	var d Decoder
	kinds := map[Kind]bool{}
	for _, line := range examples(t, "### Instructions") {
		c, err := d.Decode([]byte(line))
		if err != nil {
			t.Errorf("%s: %v", line, err)
		}
		if err := validate(schema, line); err != nil {
			t.Errorf("%s: %v", line, err)
		}
		kinds[c.Kind] = true
	}
	if len(kinds) != 5 {
		t.Errorf("there are examples of %v alone", slices.Sorted(maps.Keys(kinds)))
	}
}

func TestExamplesOfEventsAreEvents(t *testing.T) {
	serve, join := schemaOf(t, "events.schema.json#/$defs/serve"), schemaOf(t, "events.schema.json#/$defs/join")
	types := map[string]bool{}
	for _, line := range examples(t, "### Events") {
		var e struct{ Type, Addr string }
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Errorf("%s: %v", line, err)
		}
		schema := join
		if e.Addr != "" {
			schema = serve
		}
		if err := validate(schema, line); err != nil {
			t.Errorf("%s: %v", line, err)
		}
		types[e.Type] = true
	}
	if got, want := slices.Sorted(maps.Keys(types)), []string{"join", "leave", "message", "missed", "skipped", "unknown"}; !slices.Equal(got, want) {
		t.Errorf("there are examples of %v, want %v", got, want)
	}
}

// A schema that accepts everything would accept these.
func TestWhatIsNoEvent(t *testing.T) {
	schema := schemaOf(t, "events.schema.json")
	for _, line := range []string{
		`{}`,
		`{"type":"dance","time":"2026-11-24T12:00:00.000000000Z","id":1,"addr":"unix"}`,
		`{"type":"join","time":"2026-11-24T12:00:00.000000000Z","id":1,"addr":"unix","protocol":"gopher"}`,
		`{"type":"join","time":"2026-11-24T12:00:00Z","id":1,"addr":"unix","protocol":"raw"}`,
		`{"type":"join","time":"yesterday.000000000Z","id":1,"addr":"unix","protocol":"raw"}`,
		`{"type":"join","time":"2026-11-24T12:00:00.000000000Z","id":0,"addr":"unix","protocol":"raw"}`,
		`{"type":"join","time":"2026-11-24T12:00:00.000000000Z","id":1,"protocol":"raw"}`,
		`{"type":"leave","time":"2026-11-24T12:00:00.000000000Z","id":1,"addr":"unix"}`,
		`{"type":"message","time":"2026-11-24T12:00:00.000000000Z","id":1,"addr":"unix"}`,
		`{"type":"message","text":"a","base64":"YQ=="}`,
		`{"type":"message","base64":"YQ"}`,
		`{"type":"message","base64":"YR=="}`,
		`{"type":"message","text":"a","name":"a\nb"}`,
		`{"type":"skipped","count":0,"epoch":"e","seq":1}`,
		`{"type":"unknown","seq":1}`,
	} {
		if validate(schema, line) == nil {
			t.Errorf("%s: the schema takes it for an event", line)
		}
	}
}
