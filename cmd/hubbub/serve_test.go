//go:build unix

package main

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"hubbub.example/internal/scene"
)

func TestLinesGoBothWays(t *testing.T) {
	t.Parallel()
	p := start(t, "serve", "localhost:0", "--wait-for", "2")
	a, b := p.client(), p.client()
	p.says("one\ntwo\n")
	a.Hears("one\ntwo\n")
	b.Hears("one\ntwo\n")
	a.Says("from a\n")
	p.stdout.Is(t, "from a\n")
	b.Says("from b\r\n")
	p.stdout.Is(t, "from a\nfrom b\n")
}

// Half a line waits for its rest while other clients' lines pass.
func TestLinesComeOutWhole(t *testing.T) {
	t.Parallel()
	p := start(t, "serve", "127.0.0.1:0")
	a, b := p.client(), p.client()
	a.Says("first half, ")
	b.Says("whole\n")
	p.stdout.Is(t, "whole\n")
	a.Says("second half\n")
	p.stdout.Is(t, "whole\nfirst half, second half\n")
}

// The last line of a client that leaves counts, with or without its newline.
func TestTheLastLineOfAClientCounts(t *testing.T) {
	t.Parallel()
	p := start(t, "serve", "127.0.0.1:0")
	a := p.client()
	a.Says("a\nb")
	_ = a.Close()
	p.stdout.Is(t, "a\nb\n")
}

func TestTheDefaultAddressIsLocalhost9000(t *testing.T) {
	t.Parallel()
	// A lock, so to speak: whoever has the port, it is not ours to test.
	l, err := net.Listen("tcp", "127.0.0.1:9000")
	if err != nil {
		t.Skip("port 9000 is taken:", err)
	}
	_ = l.Close()
	p := start(t, "serve")
	if got := p.address(); got != "127.0.0.1:9000" && got != "[::1]:9000" {
		t.Errorf("listening on %s", got)
	}
}

func TestOneServerListensOnManyAddresses(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	p := start(t, "serve", "127.0.0.1:0", "tcp://127.0.0.1:0", "unix:"+path, "--wait-for", "3")
	said := p.stderr.Until(t, "listening on unix:"+path+"\n")
	lines := strings.Split(strings.TrimSuffix(said, "\n"), "\n")
	if len(lines) != 3 {
		t.Fatalf("on STDERR there is %q, want three lines", said)
	}
	var peers []*peer
	for _, line := range lines {
		peers = append(peers, dial(t, strings.TrimPrefix(line, "listening on ")))
	}
	p.says("to all\n")
	for _, c := range peers {
		c.Hears("to all\n")
	}
}

func TestAnAddressInUseIsSaidInTheSystemsWords(t *testing.T) {
	t.Parallel()
	first := start(t, "serve", "127.0.0.1:0")
	address := first.address()
	second := start(t, "serve", address)
	second.exits(exitFailed)
	second.stderr.Is(t, "hubbub: listen tcp "+address+": bind: address already in use\n")
}

// If one address fails, none is announced: whoever waits for the line would think
// that the server is up.
func TestNoAddressIsAnnouncedUnlessAllWork(t *testing.T) {
	t.Parallel()
	first := start(t, "serve", "127.0.0.1:0")
	second := start(t, "serve", "127.0.0.1:0", first.address())
	second.exits(exitFailed)
	if said := second.stderr.Ends(t); strings.Contains(said, "listening on") {
		t.Errorf("on STDERR there is %q", said)
	}
}

// The server closes first, so its side stays in TIME_WAIT.
func TestRestartOnTheSamePortWorksAtOnce(t *testing.T) {
	t.Parallel()
	address := "127.0.0.1:0"
	for range 3 {
		p := start(t, "serve", address, "--wait-for", "1")
		c := p.client()
		p.says("hello\n")
		c.Hears("hello\n")
		address = p.address()
		p.signal(syscall.SIGTERM)
		c.hearsEnd()
		p.exits(exitDone)
	}
}

func TestTaggedSaysWhoSaidIt(t *testing.T) {
	t.Parallel()
	p := start(t, "serve", "127.0.0.1:0", "--out", "tagged")
	a := p.client()
	a.Says("one\n")
	p.stdout.Is(t, "1\tone\n")
	b := p.client()
	b.Says("two\nthree\n\n")
	p.stdout.Is(t, "1\tone\n2\ttwo\n2\tthree\n2\t\n")
	_ = a.Close()
	c := p.client()
	c.Says("ids are never used twice\n")
	p.stdout.Is(t, "1\tone\n2\ttwo\n2\tthree\n2\t\n3\tids are never used twice\n")
}

func TestTaggedEndsMessagesAsTheFramingDoes(t *testing.T) {
	t.Parallel()
	p := start(t, "serve", "127.0.0.1:0", "--out", "tagged", "--frame", "nul")
	p.client().Says("a\nb\x00")
	p.stdout.Is(t, "1\ta\nb\x00")
	q := start(t, "serve", "127.0.0.1:0", "--out", "tagged", "--frame", "3")
	q.client().Says("abcdef")
	q.stdout.Is(t, "1\tabc1\tdef")
}

func TestJSONTellsEveryEvent(t *testing.T) {
	t.Parallel()
	before := time.Now()
	p := start(t, "serve", "127.0.0.1:0", "--out", "json")
	c := p.client()
	c.Says("<b>caf\u00e9 & \"quotes\"</b>\n\n\xff\x00\n")
	_ = c.Close()
	lines := strings.Split(p.stdout.Until(t, `"leave"`), "\n")
	type event struct {
		Type, Addr, Reason string
		Time               time.Time
		ID                 uint64
		Text               *string
		Base64             []byte
	}
	var got []event
	for _, line := range lines[:len(lines)-1] {
		var e event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if e.ID != 1 || e.Addr != c.LocalAddr().String() {
			t.Errorf("%s: the id should be 1 and the address %v", line, c.LocalAddr())
		}
		if e.Time.Before(before.Add(-time.Second)) || time.Since(e.Time) < -time.Second {
			t.Errorf("%s: that is not the time", line)
		}
		got = append(got, e)
	}
	text := func(e event, want string) bool { return e.Type == "message" && e.Text != nil && *e.Text == want }
	if len(got) != 5 || got[0].Type != "join" || got[0].Text != nil ||
		!text(got[1], "<b>caf\u00e9 & \"quotes\"</b>") || !text(got[2], "") ||
		got[3].Type != "message" || string(got[3].Base64) != "\xff\x00" || got[3].Text != nil ||
		got[4].Type != "leave" || got[4].Reason == "" {
		t.Errorf("the events are %s", strings.Join(lines, "\n"))
	}
	for _, want := range []string{`"text":"<b>café & \"quotes\"</b>"}`, `,"text":""}`, `"base64":"/wA="}`} {
		if !strings.Contains(p.stdout.Text(), want) {
			t.Errorf("%s does not hold %s", p.stdout.Text(), want)
		}
	}
}

// The fields are those of docs/protocol.md, in its order.
func TestJSONLinesReadAsPromised(t *testing.T) {
	t.Parallel()
	p := start(t, "serve", "127.0.0.1:0", "--out", "json")
	c := p.client()
	c.Says("hi\n")
	line := strings.Split(p.stdout.Until(t, "hi"), "\n")[1]
	var m struct{ Time string }
	if err := json.Unmarshal([]byte(line), &m); err != nil {
		t.Fatal(err)
	}
	if len(m.Time) != len("2006-01-02T15:04:05.000000000Z") {
		t.Errorf("time %s: want nine digits of a second, in UTC", m.Time)
	}
	want := `{"type":"message","time":"` + m.Time + `","id":1,"addr":"` + c.LocalAddr().String() + `","text":"hi"}`
	if line != want {
		t.Errorf("the line is %s, want %s", line, want)
	}
}

func TestFramesGoBothWays(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ frame, clientSays, stdout, stdin string }{
		{"line", "a\x00b\nc\r\n", "a\x00b\nc\n", "x\x00\r\n\ny\n"},
		{"nul", "a\nb\r\n\x00c\x00", "a\nb\r\n\x00c\x00", "x\r\n\x00y\x00\x00"},
		{"raw", "no newline\r", "no newline\r", "none\nhere"},
		{"4", "abcd\n\x00\r\n", "abcd\n\x00\r\n", "wxyz\n\n\n\n"},
	} {
		t.Run(tt.frame, func(t *testing.T) {
			p := start(t, "serve", "127.0.0.1:0", "--frame", tt.frame, "--wait-for", "1")
			c := p.client()
			c.Says(tt.clientSays)
			p.stdout.Is(t, tt.stdout)
			p.says(tt.stdin)
			c.Hears(tt.stdin)
		})
	}
}

// In both directions only whole records are sent.
func TestRecordsAreNeverCutInTwo(t *testing.T) {
	t.Parallel()
	p := start(t, "serve", "127.0.0.1:0", "--frame", "4", "--wait-for", "1")
	c := p.client()
	c.Says("abcdef")
	p.stdout.Is(t, "abcd")
	c.Says("gh")
	p.stdout.Is(t, "abcdefgh")
	p.says("12345")
	c.Hears("1234")
	p.says("678")
	c.Hears("5678")
}

func TestOneClientTooManyIsToldWhy(t *testing.T) {
	t.Parallel()
	p := start(t, "serve", "127.0.0.1:0", "--max-clients", "1")
	a := p.client()
	a.Says("in\n")
	p.stdout.Is(t, "in\n")
	b := p.client()
	line, err := b.R.ReadString('\n')
	if err != nil || !strings.Contains(line, "1 client") {
		t.Errorf("the refused client got %q, %v", line, err)
	}
	b.hearsEnd()
	p.stderr.Until(t, "hubbub: ") // and so is the operator
	a.Says("still in\n")
	p.stdout.Is(t, "in\nstill in\n")
}

func TestALineTooLongClosesItsSenderAlone(t *testing.T) {
	t.Parallel()
	p := start(t, "serve", "127.0.0.1:0", "--max-line", "1KB")
	a, b := p.client(), p.client()
	b.Says("before\n")
	p.stdout.Is(t, "before\n")
	a.Says(strings.Repeat("x", 1002)) // what might be a "\r" may yet be left out
	a.hearsEnd()
	p.stderr.Until(t, "hubbub: client ")
	b.Says(strings.Repeat("y", 1000) + "\n")
	p.stdout.Is(t, "before\n"+strings.Repeat("y", 1000)+"\n")
}

func TestAnIdleClientIsClosed(t *testing.T) {
	t.Parallel()
	p := start(t, "serve", "127.0.0.1:0", "--idle-timeout", "100ms")
	c := p.client()
	c.Says("not idle yet\n")
	p.stdout.Is(t, "not idle yet\n")
	c.hearsEnd()
}

// A server that is stopped for longer than clients may be idle closes none for
// that, and takes what they said meanwhile.
func TestAPauseOfTheServerIsNobodysIdleness(t *testing.T) {
	t.Parallel()
	const idle = 2 * time.Second
	p := start(t, "serve", "127.0.0.1:0", "--idle-timeout", idle.String())
	c, silent := p.client(), p.client()
	c.Says("before\n")
	silent.Says("before\n")
	p.stdout.Is(t, "before\nbefore\n")
	p.stopped(func() {
		c.Says("meanwhile\n")
		time.Sleep(idle + time.Second)
	})
	p.stdout.Is(t, "before\nbefore\nmeanwhile\n")
	silent.Says("after\n")
	p.stdout.Is(t, "before\nbefore\nmeanwhile\nafter\n")
}

func TestSendOnlyDiscardsWhatClientsSend(t *testing.T) {
	t.Parallel()
	p := start(t, "serve", "127.0.0.1:0", "--send-only", "--wait-for", "1")
	c := p.client()
	c.Says(strings.Repeat("nobody reads this\n", 100_000))
	p.says("but this\n")
	c.Hears("but this\n")
	p.stop(exitDone)
	p.stdout.Is(t, "")
}

func TestSendOnlyStillTellsWhoIsThere(t *testing.T) {
	t.Parallel()
	p := start(t, "serve", "127.0.0.1:0", "--send-only", "--out", "json")
	c := p.client()
	c.Says("discarded\n")
	_ = c.Close()
	if said := p.stdout.Until(t, `"leave"`); strings.Contains(said, "discarded") || !strings.Contains(said, `"join"`) {
		t.Errorf("STDOUT says %s", said)
	}
}

func TestRecvOnlyLeavesStdinAlone(t *testing.T) {
	t.Parallel()
	r, w := scene.Pipe(t)
	p := launch{args: []string{"serve", "127.0.0.1:0", "--recv-only"}, stdin: r}.start(t)
	if _, err := w.WriteString("not for hubbub\n"); err != nil {
		t.Fatal(err)
	}
	p.client().Says("hello\n")
	p.stdout.Is(t, "hello\n")
	p.stop(exitDone)
	got := make([]byte, 64)
	if n, err := r.Read(got); err != nil || string(got[:n]) != "not for hubbub\n" {
		t.Errorf("what is left in STDIN is %q, %v", got[:n], err)
	}
}

// A loop that waits keeps its P: without one more P nothing else would run.
func TestThereIsOneProcessorMoreThanLoops(t *testing.T) {
	t.Parallel()
	was := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(was)
	var f serveFlags
	if err := parseServe(&f, "--loops", "7"); err != nil {
		t.Fatal(err)
	}
	s := &server{serveFlags: &f}
	if err := s.makeHub(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.hub.Close() }()
	if got := runtime.GOMAXPROCS(0); got < 8 {
		t.Errorf("GOMAXPROCS is %d with 7 loops", got)
	}
}

func TestUnixSocketHasItsMode(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		flags []string
		want  os.FileMode
	}{{nil, 0o600}, {[]string{"--unix-mode", "0666"}, 0o666}, {[]string{"--unix-mode", "660"}, 0o660}} {
		path := filepath.Join(t.TempDir(), "s")
		p := start(t, append(tt.flags, "serve", "unix:"+path)...)
		p.address()
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != tt.want {
			t.Errorf("with %v the mode is %v, want %v", tt.flags, got, tt.want)
		}
	}
}

func TestUnixSocketIsRemovedOnExit(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	p := start(t, "serve", "unix:"+path)
	dial(t, p.address()).Says("here\n")
	p.stdout.Is(t, "here\n")
	p.stop(exitDone)
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("after the end, the socket is there: %v", err)
	}
}

func TestAStaleUnixSocketIsReplaced(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	first := start(t, "serve", "unix:"+path)
	first.address()
	first.kill()
	if _, err := os.Lstat(path); err != nil {
		t.Fatal("a killed server should leave its socket: ", err)
	}
	second := start(t, "serve", "unix:"+path)
	dial(t, second.address()).Says("here\n")
	second.stdout.Is(t, "here\n")
}

func TestALiveServersUnixSocketIsRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	first := start(t, "serve", "unix:"+path)
	first.address()
	second := start(t, "serve", "unix:"+path)
	second.exits(exitFailed)
	if said := second.stderr.Ends(t); !strings.Contains(said, path) || !strings.HasPrefix(said, "hubbub: ") {
		t.Errorf("STDERR says %q", said)
	}
	dial(t, first.address()).Says("unharmed\n")
	first.stdout.Is(t, "unharmed\n")
}

func TestAFileThatIsNoSocketIsNotTouched(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "precious")
	if err := os.WriteFile(path, []byte("data"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, "serve", "unix:"+path)
	p.exits(exitFailed)
	if said := p.stderr.Ends(t); !strings.Contains(said, path) {
		t.Errorf("STDERR says %q", said)
	}
	if data, err := os.ReadFile(path); err != nil || string(data) != "data" {
		t.Errorf("the file holds %q, %v", data, err)
	}
}

func TestTwoServersShareAPortWhenAsked(t *testing.T) {
	t.Parallel()
	first := start(t, "serve", "127.0.0.1:0", "--so", "SO_REUSEPORT=1")
	second := start(t, "serve", first.address(), "--so", "SO_REUSEPORT=1")
	if second.address() != first.address() {
		t.Errorf("they listen on %s and %s", first.address(), second.address())
	}
}
