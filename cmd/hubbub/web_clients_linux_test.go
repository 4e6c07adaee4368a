package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"hubbub.example/internal/scene"
)

// This file is clients that speak HTTP and WebSocket, none of which anybody
// here wrote: curl, Chromium's WebSocket and EventSource, npm's ws, and
// github.com/coder/websocket. Those who speak TCP only are in interop_test.go.

// ws is testdata/ws.js as a command for visit.
func ws(t *testing.T) string {
	t.Helper()
	needs(t, "node")
	if _, err := os.Stat(filepath.Join("..", "..", "bin", "node_modules", "ws")); err != nil {
		scene.Unable(t, err.Error()+" (make needs installs it)")
	}
	return "node testdata/ws.js"
}

// clientsIn is testdata/clients.js in a page of the server's.
func clientsIn(b *browser, server string) *tab {
	b.t.Helper()
	script, err := os.ReadFile(filepath.Join("testdata", "clients.js"))
	if err != nil {
		b.t.Fatal(err)
	}
	page := b.open("http://" + server + "/healthz")
	page.expects("/favicon.ico") // which a browser asks of any page
	eval[bool](page, "(() => {"+string(script)+"})() ?? true")
	return page
}

// wsClient returns a WebSocket of github.com/coder/websocket, and what it hears as
// lines.
func wsClient(t *testing.T, address string, lines int, subprotocols ...string) (*websocket.Conn, *follower) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), scene.LongEnough)
	c, _, err := websocket.Dial(ctx, "ws://"+address+"/", &websocket.DialOptions{Subprotocols: subprotocols})
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.CloseNow(); cancel() })
	c.SetReadLimit(-1)
	r, w := io.Pipe()
	go func() {
		for {
			_, said, err := c.Read(ctx)
			if websocket.CloseStatus(err) == websocket.StatusNormalClosure {
				err = io.EOF
			}
			if err == nil {
				said, err = lineOf(said, c.Subprotocol())
			}
			if err == nil && said != nil {
				_, err = w.Write(append(said, '\n'))
			}
			if err != nil {
				_ = w.CloseWithError(err)
				return
			}
		}
	}()
	return c, follow(r, lines)
}

// lineOf returns the message in a frame; nil if there is none in it.
func lineOf(frame []byte, subprotocol string) ([]byte, error) {
	if subprotocol == "" {
		return frame, nil
	}
	var m struct{ Type, Text string }
	if err := json.Unmarshal(frame, &m); err != nil {
		return nil, err
	}
	switch m.Type {
	case "message":
		return []byte(m.Text), nil
	case "skipped":
		return nil, errors.New("messages were skipped")
	}
	return nil, nil
}

// On one port every kind of client gets every line of a source at full speed, once
// and in order. The server prints what they send, whole, once, each client's in
// order.
func TestEveryKindOfClientAtOnceGetsEveryLine(t *testing.T) {
	t.Parallel()
	const lines, says, each = 20_000, 100, 2
	node := ws(t)
	needs(t, "curl")
	p := host(t, "--replay", "all", "--sniff", "1m") // as startForBrowsers has it
	page := clientsIn(browse(t), p.address())
	stream := numbered(lines)

	listeners := map[string]*follower{}
	talkers := map[string]func(line string){}
	for i := range each {
		add := func(name string, f *follower, talk func(string)) {
			name = fmt.Sprintf("%s-%d", name, i)
			if f != nil {
				listeners[name] = f
			}
			if talk != nil {
				talkers[name] = talk
				talk(name + " 0")
			}
		}
		for name, command := range map[string]string{
			"curl": "curl -sN http://HOST:PORT/", "curl-unix": "curl -sN --unix-socket PATH http://localhost/",
		} {
			_, f := visitFollowing(t, p, command, lines)
			add(name, f, nil)
		}
		for name, command := range map[string]string{
			"ws": node + " ws://HOST:PORT/", "nc": "nc HOST PORT", "ncat": "ncat HOST PORT",
			"socat": "socat - TCP:HOST:PORT", "nc-unix": "nc -U PATH",
		} {
			c, f := visitFollowing(t, p, command, lines)
			add(name, f, func(line string) { c.says(line + "\n") })
		}
		bare, f := wsClient(t, p.address(), lines)
		add("coder", f, func(line string) { write(t, bare, []byte(line)) })
		v1, f := wsClient(t, p.address(), lines, "hubbub.v1")
		add("v1", f, func(line string) { write(t, v1, []byte(`{"type":"message","text":`+quote(line)+`}`)) })
		c := visit(t, p, "curl -sS -X POST -T - http://HOST:PORT/")
		add("upload", nil, func(line string) { c.says(line + "\n") })
		eval[bool](page, fmt.Sprintf(`clients.talk("chromium-%d") ?? clients.listen("events-%d") ?? true`, i, i))
	}
	p.says(string(stream[:lineSize])) // they are all there once they have the first
	for name, f := range listeners {
		scene.Until(t, name+" has the first line", func() bool { return f.has(1) })
	}
	page.when(`Object.values(clients.heard).every((heard) => heard.lines === 1)`)

	go p.stdin.Write(stream[lineSize:])
	eval[bool](page, fmt.Sprintf(`Object.keys(clients.sockets).forEach((name) => clients.say(name, %d)) ?? true`, says))
	for n := range says - 1 {
		for name, talk := range talkers {
			talk(fmt.Sprintf("%s %d", name, n+1))
		}
	}
	eval[bool](page, `clients.post("post", 50).then(() => true)`)

	for _, f := range listeners {
		f.gets(t)
	}
	page.when(fmt.Sprintf(`Object.values(clients.heard).every((heard) => heard.lines === %d || heard.wrong)`, lines))
	if wrong := eval[[]string](page, `Object.entries(clients.heard).filter(([, heard]) => heard.wrong).map(([name, heard]) => name + " " + heard.wrong)`); len(wrong) > 0 {
		t.Errorf("Chromium heard %q", wrong)
	}
	want := map[string]int{"post": 50}
	total := 50
	for name := range talkers {
		want[name] = says
		total += says
	}
	for i := range each {
		want[fmt.Sprintf("chromium-%d", i)] = says
		total += says
	}
	said := p.stdout.When(t, "all they said", func(said string, end bool) bool { return strings.Count(said, "\n") >= total || end })
	next := map[string]int{}
	for line := range strings.Lines(said) {
		name, _, _ := strings.Cut(line, " ")
		if line != fmt.Sprintf("%s %d\n", name, next[name]) {
			t.Fatalf("after %d lines of %s comes %q", next[name], name, line)
		}
		next[name]++
	}
	for name, n := range want {
		if next[name] != n {
			t.Errorf("of %s come %d lines, not %d", name, next[name], n)
		}
	}
	page.isQuiet()
}

func write(t *testing.T, c *websocket.Conn, message []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), scene.LongEnough)
	defer cancel()
	if err := c.Write(ctx, websocket.MessageText, message); err != nil {
		t.Fatal(err)
	}
}

// An EventSource reconnects by itself, sends its resume point, and continues:
// nothing twice, nothing missing.
func TestABrowsersEventSourceResumes(t *testing.T) {
	t.Parallel()
	const part, cuts = 3000, 2
	p := startForBrowsers(t, "127.0.0.1:0")
	w := wireTo(t, p.address())
	page := clientsIn(browse(t), w.address())
	page.expects("net::ERR_")
	eval[bool](page, `clients.listen("events") ?? true`)
	page.when(`clients.heard.events.opened === 1`)
	stream := numbered((2*cuts + 1) * part)
	for n := range cuts {
		go p.stdin.Write(stream[:2*part*lineSize])
		page.when(fmt.Sprintf(`clients.heard.events.lines > %d`, 2*n*part))
		w.cut() // with much of it under way
		w.mend(p.address())
		page.when(fmt.Sprintf(`clients.heard.events.lines === %d || clients.heard.events.wrong`, 2*(n+1)*part))
		stream = stream[2*part*lineSize:]
	}
	p.says(string(stream))
	page.when(fmt.Sprintf(`clients.heard.events.lines === %d || clients.heard.events.wrong`, (2*cuts+1)*part))
	if wrong := eval[string](page, `clients.heard.events.wrong`); wrong != "" {
		t.Error(wrong)
	}
	if n := eval[int](page, `clients.heard.events.opened`); n < cuts+1 {
		t.Errorf("it was opened %d times: no cut was noticed", n)
	}
	page.isQuiet()
}

// Lines that curl sends are messages, each at once, for as long as it runs; it
// gets the stream.
func TestCurlIsAClient(t *testing.T) {
	t.Parallel()
	p := host(t, "--out", "json", "--replay", "all", "--sniff", "1m")
	hears := visit(t, p, "curl -sSN http://HOST:PORT/")
	p.says("one\n")
	hears.stdout.Is(t, "one\n")
	p.says("two\n")
	hears.stdout.Is(t, "one\ntwo\n")

	says := func(text string) {
		t.Helper()
		p.stdout.Until(t, `"text":"`+text+`"`)
	}
	code := func(command string) {
		t.Helper()
		c := visit(t, p, "curl -sS -o /dev/null -w %{http_code} "+command)
		c.exits(0)
		c.stdout.Is(t, "204")
	}
	code("-d posted http://HOST:PORT/?name=bob")
	says("posted")
	p.stdout.Until(t, `"name":"bob"`)
	code("-d posted-inside --unix-socket PATH http://localhost/")
	says("posted-inside")
	code("--json {} http://HOST:PORT/")
	says("{}")

	for _, way := range []string{"http://HOST:PORT/", "--unix-socket PATH http://localhost/"} {
		c := visit(t, p, "curl -sS -X POST -T - -o /dev/null -w %{http_code} "+way)
		for n := range 5 {
			line := fmt.Sprintf("%s %d", way, n)
			c.says(line + "\n")
			says(line) // at once, not at the end
		}
		c.says("unfinished")
		_ = c.stdin.Close()
		says("unfinished")
		c.exits(0)
		c.stdout.Is(t, "204")
	}

	inside := visit(t, p, "curl -sSN --unix-socket PATH http://localhost/?last=1")
	inside.stdout.Is(t, "two\n")
	events := visit(t, p, "curl -sSN -H Accept:text/event-stream http://HOST:PORT/?last=1")
	if got := events.stdout.Until(t, "\n\n"); !strings.HasPrefix(got, "id: ") || !strings.HasSuffix(got, "\ndata: two\n\n") {
		t.Errorf("the event is %q", got)
	}
	p.says("three\n")
	events.stdout.Until(t, "data: three\n\n")
	inside.stdout.Is(t, "two\nthree\n")
	hears.stdout.Is(t, "one\ntwo\nthree\n")

	p.stop(exitDone)
	for _, c := range []*program{hears, inside, events} {
		c.exits(0)
	}
}

// npm's ws gets the reason why a connection ends, whichever side ends it.
func TestNPMsWSIsAClient(t *testing.T) {
	t.Parallel()
	node := ws(t)
	p := host(t, "--max-line", "1KB", "--replay", "all", "--sniff", "1m")
	c := visit(t, p, node+" ws://HOST:PORT/")
	c.says("hello\nwörld\n")
	p.stdout.Is(t, "hello\nwörld\n")
	p.says("good day\n")
	c.stdout.Is(t, "good day\n")
	_ = c.stdin.Close()
	c.exits(0) // its close is answered

	long := visit(t, p, node+" ws://HOST:PORT/")
	long.says(strings.Repeat("x", 1001) + "\n")
	long.exits(1)
	if said := long.stderr.Ends(t); !strings.HasPrefix(said, "1009 ") {
		t.Errorf("a message too long ends with %q", said)
	}
	v1 := visit(t, p, node+" ws://HOST:PORT/ hubbub.v1")
	v1.stdout.Until(t, `"text":"good day"}`)
	v1.says(`{"type":"message","text":"third"}` + "\n")
	p.stdout.Is(t, "hello\nwörld\nthird\n")
	v1.says(`{"type":"end"}` + "\n")
	v1.exits(0)
	last := visit(t, p, node+" ws://HOST:PORT/")
	last.stdout.Is(t, "good day\n")
	p.stop(exitDone)
	last.exits(1)
	if said := last.stderr.Ends(t); !strings.HasPrefix(said, "1001 ") {
		t.Errorf("the server's end is told as %q", said)
	}
}
