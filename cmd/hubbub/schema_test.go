//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"hubbub.example/internal/scene"
)

// This file holds --out json to docs/events.schema.json: every whole line of
// every program that any test here starts.

// eventSchemas are those of serve and of join. Of others a field that is not
// there is ignored; of ours it is an error.
var eventSchemas = sync.OnceValues(func() (map[string]*jsonschema.Schema, error) {
	const path = "../../docs/events.schema.json"
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	page, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	schemas := map[string]*jsonschema.Schema{"serve": nil, "join": nil}
	for command := range schemas {
		part := page.(map[string]any)["$defs"].(map[string]any)[command]
		part.(map[string]any)["unevaluatedProperties"] = false
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource(path, page); err != nil {
		return nil, err
	}
	for command := range schemas {
		if schemas[command], err = c.Compile(path + "#/$defs/" + command); err != nil {
			return nil, err
		}
	}
	return schemas, nil
})

// followsItsSchema looks at what p has printed, if that was JSON.
func (p *program) followsItsSchema() {
	args := p.cmd.Args
	out := slices.Index(args, "--out") + 1
	if p.stdout == nil || out == 0 || args[out] != "json" {
		return
	}
	schemas, err := eventSchemas()
	if err != nil {
		p.t.Error(err)
		return
	}
	command := args[slices.IndexFunc(args, func(arg string) bool { return schemas[arg] != nil })]
	for line := range strings.Lines(p.stdout.Text()) {
		if !strings.HasSuffix(line, "\n") {
			return // it was killed there
		}
		value, err := jsonschema.UnmarshalJSON(strings.NewReader(line))
		if err == nil {
			err = schemas[command].Validate(value)
		}
		if err != nil {
			p.t.Errorf("%s printed %s: %v", strings.Join(args, " "), scene.Brief(line), err)
			return
		}
	}
}

// kindsOf returns what of its events a program printed: type and protocol, and
// whether there were a name, text and base64.
func kindsOf(t *testing.T, said string) []string {
	t.Helper()
	kinds := map[string]bool{}
	for line := range strings.Lines(said) {
		var e struct {
			Type, Protocol, Name string
			Text, Base64         *string
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		kind := strings.TrimSpace(e.Type + " " + e.Protocol)
		if e.Name != "" {
			kind += " name"
		}
		if e.Text != nil {
			kind += " text"
		}
		if e.Base64 != nil {
			kind += " base64"
		}
		kinds[kind] = true
	}
	return slices.Sorted(maps.Keys(kinds))
}

// The events come from every kind of client; followsItsSchema checks each at the
// end.
func TestEventsOfEveryKindFollowTheSchema(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	p := start(t, "serve", "127.0.0.1:0", "unix:"+path, "--out", "json")
	at := "http://" + p.address() + "/"

	raw := dial(t, p.address())
	raw.Says("hello\n\xff\u2028\n")
	inside := dial(t, "unix:"+path)
	inside.Says("caf\u00e9\u2028\n")
	for _, post := range []string{at, at + "?name=bob"} {
		r, err := http.Post(post, "text/plain", strings.NewReader("posted\n"))
		if err != nil || r.StatusCode != http.StatusNoContent {
			t.Fatal(r, err)
		}
		_ = r.Body.Close()
	}
	ctx, stop := context.WithTimeout(t.Context(), scene.LongEnough)
	defer stop()
	for _, accept := range []string{"text/plain", "text/event-stream"} {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", accept)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
	}
	for _, o := range []websocket.DialOptions{{}, {Subprotocols: []string{"hubbub.v1"}}} {
		c, _, err := websocket.Dial(ctx, at+"?name=ann", &o)
		if err != nil {
			t.Fatal(err)
		}
		defer c.CloseNow()
	}
	p.stdout.Until(t, `"hubbub.v1"`)
	p.stdout.Until(t, `"base64"`)
	p.stdout.Until(t, `"caf`)
	_, _ = raw.Close(), inside.Close()
	p.stdout.When(t, "both to leave", func(text string, _ bool) bool { return strings.Count(text, `"leave"`) == 4 })
	want := []string{
		"join hubbub.v1 name", "join post", "join post name", "join raw", "join sse", "join text", "join websocket name",
		"leave", "leave name", "message base64", "message name text", "message text",
	}
	if got := kindsOf(t, p.stdout.Text()); !slices.Equal(got, want) {
		t.Errorf("the events are %q, want %q", got, want)
	}
}

// The lines of join come from a server that skips and is restarted, and from a raw
// one.
func TestEventsOfJoinFollowTheSchema(t *testing.T) {
	t.Parallel()
	s := serveV1(t, "tcp", "127.0.0.1:0")
	c := start(t, "join", s.address, "--out", "json")
	v := s.visited(helloV1)
	v.says(`{"type":"message","seq":5,"time":"2026-11-24T12:00:00.123Z","text":"five"}`,
		`{"type":"message","seq":6,"time":"2026-11-24T12:00:00.123Z","id":3,"name":"ann","base64":"/w=="}`,
		`{"type":"skipped","count":2,"seq":8}`,
		`{"type":"message","seq":10,"time":"2026-11-24T12:00:00.123Z","text":"ten"}`)
	c.stdout.Until(t, "ten")
	v.leaves()
	s.visited(`{"type":"hello","epoch":"e2","id":1,"seq":0,"unknown":true,"heartbeat":25,"longest":1000,"ack":0}`)
	c.stdout.Until(t, `"e2"`)
	want := []string{"message name base64", "message text", "missed", "skipped", "unknown"}
	if got := kindsOf(t, c.stdout.Text()); !slices.Equal(got, want) {
		t.Errorf("the events are %q, want %q", got, want)
	}

	l := listenFor(t)
	raw := start(t, "join", l.address(), "--out", "json")
	l.visited().Says("hello\n\xff\n")
	raw.stdout.Until(t, `"base64":"/w=="`)
	if got, want := kindsOf(t, raw.stdout.Text()), []string{"message base64", "message text"}; !slices.Equal(got, want) {
		t.Errorf("the events are %q, want %q", got, want)
	}
}
