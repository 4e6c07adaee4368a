//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"hubbub.example/internal/scene"
)

func TestSentencesAreForPeople(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ message, want string }{
		{"client 17 closed: lapped (64 MiB behind, stalled 1.2s)", "hubbub: client 17 closed: lapped (64 MiB behind, stalled 1.2s)\n"},
		{"it said \x1b[2J and \u202e", "hubbub: it said \\x1b[2J and \\u202e\n"},
		{"one\nhubbub: forged", "hubbub: one\\nhubbub: forged\n"},
	} {
		var out bytes.Buffer
		f := logFlags{format: logText}
		f.logger(&out).Warn(tt.message, "client", 17)
		if got := out.String(); got != tt.want {
			t.Errorf("%q is logged as %q, want %q", tt.message, got, tt.want)
		}
	}
}

func TestLevels(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		flags logFlags
		want  string
	}{
		{logFlags{}, "hubbub: error\nhubbub: warning\n"},
		{logFlags{quiet: true}, "hubbub: error\n"},
		{logFlags{verbose: true}, "hubbub: error\nhubbub: warning\nhubbub: debug\n"},
	} {
		var out bytes.Buffer
		log := tt.flags.logger(&out)
		log.Error("error")
		log.Warn("warning")
		log.Debug("debug")
		if got := out.String(); got != tt.want {
			t.Errorf("with %+v it is %q, want %q", tt.flags, got, tt.want)
		}
	}
}

// The line "listening on" comes first, with every log level and format.
func TestWhereItListensIsAlwaysSaidFirst(t *testing.T) {
	t.Parallel()
	for _, flags := range [][]string{nil, {"-q"}, {"-v"}, {"--log-format", "json"}, {"-q", "--log-format", "json"}} {
		p := start(t, append([]string{"serve", "127.0.0.1:0"}, flags...)...)
		p.client().Says("hello\n")
		p.stdout.Is(t, "hello\n")
	}
}

func TestJoinsAndLeavesAreLoggedWhenAskedFor(t *testing.T) {
	t.Parallel()
	p := start(t, "serve", "tcp://127.0.0.1:0", "-v")
	c := p.client()
	p.stderr.Until(t, "\nhubbub: client 1 ")
	c.Says("bye\n") // a client that never spoke may only have stopped speaking
	_ = c.Close()
	p.stderr.When(t, "a leave", func(text string, _ bool) bool { return strings.Count(text, "\nhubbub: client 1 ") == 2 })
}

func TestQuietIsQuiet(t *testing.T) {
	t.Parallel()
	p := start(t, "serve", "127.0.0.1:0", "-q", "--max-clients", "1")
	a := p.client()
	a.Says("in\n")
	p.stdout.Is(t, "in\n")
	refused := p.client()
	if line, err := refused.R.ReadString('\n'); err != nil {
		t.Fatalf("the refused client got %q, %v", line, err)
	}
	refused.hearsEnd()
	p.stop(exitDone)
	if said := p.stderr.Ends(t); strings.Count(said, "\n") != 1 {
		t.Errorf("STDERR says %q", said)
	}
}

// recordsIn returns what STDERR has, which must be records only.
func recordsIn(t *testing.T, stderr string) (all []record) {
	t.Helper()
	for line := range strings.Lines(stderr) {
		var r record
		if err := json.Unmarshal([]byte(line), &r); err != nil || r.Time.IsZero() || r.Level == "" || r.Msg == "" && r.Command == "" {
			t.Errorf("on STDERR stands %s: %v", line, err)
		}
		all = append(all, r)
	}
	return all
}

type record struct {
	Time                               time.Time
	Level, Msg, Address, Command, Help string
}

func TestAJSONLogIsARecordALine(t *testing.T) {
	t.Parallel()
	p := start(t, "serve", "127.0.0.1:0", "-v", "--log-format", "json")
	c := p.client()
	c.Says("bye\n")
	_ = c.Close()
	p.stderr.When(t, "two records", func(text string, _ bool) bool { return strings.Count(text, "\n") >= 3 })
	p.stop(exitDone)
	if first := recordsIn(t, p.stderr.Ends(t))[0]; first.Msg != "listening on "+p.address() || first.Address != p.address() {
		t.Errorf("the first record is %+v", first)
	}
}

// The JSON log has usage errors, wherever the flag stands, and errors at the end.
func TestAJSONLogHasWhyWeExit(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"serve", "--fame", "nul", "--log-format", "json"},
		{"serve", "--log-format=json", "--fame", "nul"},
		{"serve", "9000", "--log-format", "json"},
		{"serve", "--log-format", "json", "--"},
		{"join", "--log-format", "json"},
		{"jion", "--log-format", "json"},
	} {
		p := start(t, args...)
		p.exits(exitUsage)
		all := recordsIn(t, p.stderr.Ends(t))
		if len(all) != 1 || all[0].Level != "ERROR" || !strings.HasPrefix(all[0].Help, "hubbub help") {
			t.Errorf("%q: %+v", args, all)
		}
	}
	p := start(t, "serve", "unix:no/such/folder/socket", "--log-format", "json")
	p.exits(exitFailed)
	recordsIn(t, p.stderr.Ends(t))
	// The text after -- is not ours.
	p = start(t, "serve", "unix:no/such/folder/socket", "--", "--log-format", "json")
	p.exits(exitFailed)
	if text := p.stderr.Ends(t); !strings.HasPrefix(text, "hubbub: ") {
		t.Errorf("it reports %q", text)
	}
}

func TestAJSONLogHasTheEndBySignals(t *testing.T) {
	t.Parallel()
	p := stuck(t, "--drain", "1m", "--log-format", "json")
	p.signal(syscall.SIGTERM)
	p.insists(syscall.SIGTERM)
	p.exits(exitFailed)
	if all := recordsIn(t, p.stderr.Ends(t)); len(all) < 2 {
		t.Errorf("there is only %+v", all)
	}
	p = start(t, "serve", "127.0.0.1:0", "--log-format", "json")
	p.address()
	p.signal(syscall.SIGQUIT)
	p.exits(exitFailed)
	if all := recordsIn(t, p.stderr.Ends(t)); len(all) != 2 || !strings.HasPrefix(all[1].Msg, "SIGQUIT") {
		t.Errorf("there is %+v", all)
	}
}

// In a JSON log each line of a command's STDERR is a record. In a text log it
// stays as it is.
func TestAJSONLogHasACommandsStderr(t *testing.T) {
	t.Parallel()
	p := answers(t, `printf 'one\r\n{"two":2}\nthe end' >&2; exit 3`, "--restart", "never", "--log-format", "json")
	p.exits(3)
	var got []string
	for _, r := range recordsIn(t, p.stderr.Ends(t)) {
		if r.Command != "" {
			got = append(got, r.Command+": "+r.Msg)
		}
	}
	if want := []string{"sh: one", `sh: {"two":2}`, "sh: the end"}; !slices.Equal(got, want) {
		t.Errorf("there is %q, want %q", got, want)
	}
	p = answers(t, `printf 'one\r\n\033[1mtwo' >&2; exit 3`, "--restart", "never", "-q")
	p.exits(3)
	if text := p.stderr.Ends(t); !strings.Contains(text, "one\r\n\033[1mtwo") { // the address may come after it
		t.Errorf("there is %q", text)
	}
}

func TestALongLineBecomesSeveralRecords(t *testing.T) {
	t.Parallel()
	const longest = 64 << 10
	var stderr strings.Builder
	for _, n := range []int{longest + 1, 0, longest - 1} {
		stderr.WriteString(strings.Repeat("x", n) + "\n")
	}
	var out bytes.Buffer
	(&logFlags{format: logJSON}).copy(&out, strings.NewReader(stderr.String()), "bot")
	var lengths []int
	for _, r := range recordsIn(t, out.String()) {
		lengths = append(lengths, len(r.Msg))
	}
	if want := []int{longest, 1, 0, longest - 1}; !slices.Equal(lengths, want) {
		t.Errorf("records of %d, want %d", lengths, want)
	}
}

// A record is one line for every program, whatever text it quotes.
func TestAJSONLogHoldsNoControlCharacter(t *testing.T) {
	t.Parallel()
	const odd = "\x1b\x7f\u0085\u009b\u2028\u2029"
	var out bytes.Buffer
	(&logFlags{format: logJSON}).copy(&out, strings.NewReader("a"+odd+"b\n"), "bot")
	if i := strings.IndexAny(out.String(), odd); i >= 0 {
		t.Errorf("%q has one at %d", out.String(), i)
	}
	if r := recordsIn(t, out.String()); len(r) != 1 || r[0].Msg != "a"+odd+"b" {
		t.Errorf("it says %+v", r)
	}
}

// While nobody reads STDERR, lines go both ways, and the server ends on a signal.
func TestABlockedStderrStopsNothing(t *testing.T) {
	t.Parallel()
	r, w := scene.Pipe(t)
	p := launch{args: []string{"serve", "127.0.0.1:0", "-v", "--wait-for", "2"}, stderr: w}.start(t)
	line := make([]byte, 256)
	n, err := r.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	address := strings.TrimSuffix(strings.TrimPrefix(string(line[:n]), "listening on "), "\n")
	fill(t, w)
	_ = w.Close()
	a := dial(t, address)
	for range 3000 { // more than any queue of log lines holds
		visitor := dial(t, address)
		visitor.Says("hello\n")
		_ = visitor.Close()
	}
	p.says("out\n")
	a.Hears("out\n")
	a.Says("in\n")
	p.stdout.Until(t, "in\n")
	p.stop(exitDone)
}

func TestAStderrBlockedFromTheBeginningStopsNothing(t *testing.T) {
	t.Parallel()
	_, w := scene.Pipe(t)
	fill(t, w)
	path := t.TempDir() + "/s"
	p := launch{args: []string{"serve", "unix:" + path, "--wait-for", "1"}, stderr: w}.start(t)
	_ = w.Close()
	c := dialWhenUp(t, "unix:"+path)
	p.says("out\n")
	c.Hears("out\n")
	p.stop(exitDone)
}

// dialWhenUp connects to a server that cannot say that it is up.
func dialWhenUp(t *testing.T, address string) *peer {
	t.Helper()
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for limit := time.Now().Add(scene.LongEnough); ; <-again.C {
		c, err := scene.Connect(address, nil)
		if err == nil {
			return newPeer(t, c)
		}
		if time.Now().After(limit) {
			t.Fatal(err)
		}
	}
}

func TestStderrMayBeClosed(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/s"
	p := launch{args: []string{"serve", "unix:" + path, "-v", "--wait-for", "1"}, shell: `exec hubbub "$@" 2>&-`}.start(t)
	c := dialWhenUp(t, "unix:"+path)
	p.says("out\n")
	c.Hears("out\n")
	c.Says("in\n")
	p.stdout.Is(t, "in\n")
	p.stop(exitDone)
}

// A closed reader of STDERR does not end the server with SIGPIPE.
func TestStderrMayBeGone(t *testing.T) {
	t.Parallel()
	r, w := scene.Pipe(t)
	path := t.TempDir() + "/s"
	p := launch{args: []string{"serve", "unix:" + path, "-v"}, stderr: w}.start(t)
	_, _ = w.Close(), r.Close()
	c := dialWhenUp(t, "unix:"+path)
	c.Says("in\n")
	p.stdout.Is(t, "in\n")
	p.stop(exitDone)
}
