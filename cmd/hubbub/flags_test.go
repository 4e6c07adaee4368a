//go:build unix

package main

import (
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"hubbub.example"
)

// parseServe reads the flags of hubbub serve as the command does.
func parseServe(f *serveFlags, args ...string) error {
	return parseFlags(f.groups(), func(cmd *cobra.Command) error { return f.check(cmd.Flags().Changed, false) }, args)
}

// parseJoin reads those of hubbub join.
func parseJoin(f *joinFlags, args ...string) error {
	return parseFlags(f.groups(), func(*cobra.Command) error { return f.check([]string{":9000"}) }, args)
}

func parseFlags(groups []*flagGroup, check func(*cobra.Command) error, args []string) error {
	cmd := &cobra.Command{Use: "some", SilenceErrors: true, SilenceUsage: true}
	cmd.SetOut(io.Discard)
	cmd.SetFlagErrorFunc(flagError)
	addFlags(cmd, groups...)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return check(cmd) }
	cmd.SetArgs(args)
	return cmd.Execute()
}

func TestDefaultsAreThoseOfTheTable(t *testing.T) {
	t.Parallel()
	var f serveFlags
	if err := parseServe(&f); err != nil {
		t.Fatal(err)
	}
	o := f.options
	for _, tt := range []struct {
		flag      string
		got, want any
	}{
		{"frame", o.Framing, hubbub.FramingLines},
		{"out", f.out, outPlain},
		{"slow", o.Slow, hubbub.SlowWait},
		{"patience", o.Patience, time.Second},
		{"min-rate", o.MinRate, int64(64 << 10)},
		{"backlog", o.Backlog, int64(64 << 20)},
		{"replay", o.Replay, hubbub.ReplayUnheard},
		{"wait-for", f.waitFor, 0},
		{"eof", f.eof, eofKeep},
		{"drain", f.drain, 5 * time.Second},
		{"idle-timeout", o.IdleTimeout, time.Duration(0)},
		{"keepalive", o.KeepAlive, 30 * time.Second},
		{"unix-mode", uint32(o.UnixMode), uint32(0o600)},
		{"send-only", f.sendOnly, false},
		{"recv-only", f.recvOnly, false},
		{"log-format", f.log.format, logText},
		// What these are is for the library to find out.
		{"max-clients", o.MaxClients, 0},
		{"max-line", o.MaxMessage, 0},
		{"loops", o.Loops, 0},
	} {
		if tt.got != tt.want {
			t.Errorf("--%s is %v, want %v", tt.flag, tt.got, tt.want)
		}
	}
}

// The help lists every flag with its default, and nothing else.
func TestHelpTellsOfEveryFlag(t *testing.T) {
	t.Parallel()
	var f serveFlags
	groups := f.groups()
	help := strings.Join(strings.Fields(helpOf(t, "serve")), " ")
	for flag := range strings.FieldsSeq(`frame out slow patience min-rate backlog replay wait-for eof drain max-clients
		max-line idle-timeout send-only recv-only unix-mode keepalive so loops log-format quiet verbose`) {
		if !strings.Contains(help, " --"+flag+" ") {
			t.Errorf("the help does not tell of --%s", flag)
		}
	}
	for _, want := range []string{
		"(default line)", "(default plain)", "(default wait)", "(default 1s)", "(default 64KiB)", "(default 64MiB)",
		"(default unheard)", "(default 0)", "(default keep)", "(default 5s)", "(default the limit of open files", "(default 1MiB", "(default off)",
		"(default 0600)", "(default 30s)", "(default one per core)", "(default text)",
	} {
		if !strings.Contains(help, want) {
			t.Errorf("the help does not say %s", want)
		}
	}
	for _, g := range groups {
		if strings.Count(help, " "+g.title+": -") != 1 {
			t.Errorf("the help does not have %q once", g.title)
		}
	}
}

// helpOf returns what hubbub help prints.
func helpOf(t *testing.T, command ...string) string {
	t.Helper()
	root := newRootCommand(env{})
	var out strings.Builder
	root.SetOut(&out)
	root.SetArgs(append([]string{"help"}, command...))
	if err := root.Execute(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// The help fits 80 columns.
func TestHelpFitsEightyColumns(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"", "serve", "join", "sockopts", "version"} {
		for line := range strings.Lines(helpOf(t, strings.Fields(command)...)) {
			if line = strings.TrimSuffix(line, "\n"); utf8.RuneCountInString(line) > 80 {
				t.Errorf("hubbub help %s: %d columns: %s", command, utf8.RuneCountInString(line), line)
			}
		}
	}
}

func TestSizes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text string
		want int64 // 0 is an error
	}{
		{"1", 1},
		{"512", 512},
		{"512B", 512},
		{"64KiB", 64 << 10},
		{"64kib", 64 << 10},
		{"64 MiB", 64 << 20},
		{"1MB", 1e6},
		{"1.5KiB", 1536},
		{"1k", 1000},
		{"9223372036854775807", math.MaxInt64},
		{"", 0},
		{"0", 0},
		{"0.1", 0},
		{"-1", 0},
		{"KiB", 0},
		{"1 apple", 0},
		{"1e3", 0},
		{"inf", 0},
		{"NaN", 0},
		{"9223372036854775808", 0},
		{"99EiB", 0},
	} {
		got, err := parseSize(tt.text)
		if got != tt.want || (err != nil) != (tt.want == 0) {
			t.Errorf("parseSize(%q) is %d, %v, want %d", tt.text, got, err, tt.want)
		}
		if err != nil && !strings.Contains(err.Error(), "64KiB") {
			t.Errorf("parseSize(%q) does not say what would be right: %v", tt.text, err)
		}
	}
}

func TestTimes(t *testing.T) {
	t.Parallel()
	orOff := timeOrOff(-1)
	for _, tt := range []struct {
		text               string
		time, or0, orMinus time.Duration // -2 is an error
	}{
		{"1s", time.Second, time.Second, time.Second},
		{"1h30m", 90 * time.Minute, 90 * time.Minute, 90 * time.Minute},
		{"0", -2, 0, -2},
		{"off", -2, -2, -1},
		{"-1s", -2, -2, -2},
		{"10", -2, -2, -2},
		{"", -2, -2, -2},
	} {
		for _, by := range []struct {
			name  string
			parse func(string) (time.Duration, error)
			want  time.Duration
		}{{"parseTime", parseTime, tt.time}, {"parseTimeOr0", parseTimeOr0, tt.or0}, {"timeOrOff(-1)", orOff, tt.orMinus}} {
			got, err := by.parse(tt.text)
			if err == nil && got != by.want || (err != nil) != (by.want == -2) {
				t.Errorf("%s(%q) is %v, %v, want %v", by.name, tt.text, got, err, by.want)
			}
		}
	}
}

func TestModesAreOctal(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]uint32{"0600": 0o600, "660": 0o660, "777": 0o777, "0": 0, "0o600": 0, "888": 0, "1777": 0, "rw": 0, "-1": 0} {
		got, err := parseMode(text)
		if uint32(got) != want || (err != nil) != (want == 0) {
			t.Errorf("parseMode(%q) is %o, %v, want %o", text, got, err, want)
		}
	}
}

// The error for an invalid value names the flag once, says what is expected, and
// has no words of a library.
func TestAWrongValueIsSaidOnce(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		groups []*flagGroup
		parse  func(args ...string) error
	}{
		"serve": {new(serveFlags).groups(), func(args ...string) error { return parseServe(new(serveFlags), args...) }},
		"join":  {new(joinFlags).groups(), func(args ...string) error { return parseJoin(new(joinFlags), args...) }},
	} {
		for _, g := range c.groups {
			g.VisitAll(func(f *pflag.Flag) {
				for _, args := range [][]string{{"--" + f.Name + "=\x01 ?"}, {"--" + f.Name + "="}, {"--" + f.Name}} {
					if args[0] == "--"+f.Name && f.NoOptDefVal != "" {
						continue
					}
					err := c.parse(args...)
					if misused := new(*usageError); !errors.As(err, misused) {
						t.Errorf("%s %q: %v", name, args, err)
						continue
					}
					said, says := err.Error(), "must be "
					switch {
					case args[0] == "--"+f.Name:
						says = "needs a value: --" + f.Name + " "
					case f.Name == "so":
						says = "what can be set is SO_"
					}
					_, rest, _ := strings.Cut(said, f.Name)
					doubled := strings.HasPrefix(strings.TrimLeft(rest, `" :`), f.Name)
					if !strings.HasPrefix(said, "--"+f.Name) || !strings.Contains(said, says) || doubled || strings.Contains(said, "pars") || strings.Contains(said, "invalid") {
						t.Errorf("%s %q: %s", name, args, said)
					}
				}
			})
		}
	}
}

func TestAWrongFlagSaysWhatWouldBeRight(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ line, says string }{
		{"--json=3", `--json "3": must be true or false`},
		{"-q=3", `--quiet "3": must be true or false`},
		{"--restart foo", `--restart "foo": must be always, on-failure or never`},
		{"--frame lines", `--frame "lines": must be line, nul, raw or a record's size in bytes, 1 to 16777216`},
		{"--patience 10", `--patience "10": must be a time above 0 with its unit, such as 500ms, 30s or 1h30m`},
		{"--drain -1s", `--drain "-1s": must be 0 or a time with its unit, such as 500ms, 30s or 1h30m`},
		{"--keepalive 0", `--keepalive "0": must be off or a time above 0 with its unit, such as 500ms, 30s or 1h30m`},
		{"--backlog 8EiB", `--backlog "8EiB": must be a number of bytes above 0 and below 8EiB, such as 512, 64KiB or 1MB`},
		{"--wait-for 1.5", `--wait-for "1.5": must be a whole number, 0 or more`},
		{"--wait-for -99999999999999999999", `--wait-for "-99999999999999999999": must be a whole number, 0 or more`},
		{"--loops 99999999999999999999", `--loops "99999999999999999999": must be a whole number, 1 to 256`},
		{"--unix-mode 888", `--unix-mode "888": must be octal, 1 to 777, such as 0660`},
		{"--host http://example.com", `--host "http://example.com": must be a host name, such as example.com, or *`},
		{"--origin example.com", `--origin "example.com": must be SCHEME://HOST or SCHEME://HOST:PORT, such as https://example.com, or *`},
		{"--so SO_RCVBUF=x", `--so: SO_RCVBUF=x: the value must be a number of bytes, like 65536 or 64KiB`},
		{"--backlog", `--backlog needs a value: --backlog SIZE`},
		{"--slow cut --slow die", `--slow "die": must be wait, cut or skip`},
		{"--fame nul", `unknown flag: --fame; did you mean --frame?`},
		{"-relay", `unknown flag: -relay; did you mean --relay?`},
		{"-eof=exit", `unknown flag: -eof=exit; did you mean --eof?`},
		{"-z", `unknown flag: -z`},
		{"--x", `unknown flag: --x`},
	} {
		if err := parseServe(new(serveFlags), strings.Fields(tt.line)...); err == nil || err.Error() != tt.says {
			t.Errorf("%s: %v, want %s", tt.line, err, tt.says)
		}
	}
}

func TestWhatDoesNotGoTogetherIsAUsageError(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"--out tagged --frame raw",
		"--send-only --recv-only",
		"--recv-only --eof exit",
		"--recv-only --wait-for 1",
		"--frame raw --max-line 1KiB",
		"--frame 16 --max-line 1KiB",
		"--slow cut --patience 2s",
		"--slow skip --min-rate 1MiB",
		"-q -v",
	} {
		var f serveFlags
		var misused *usageError
		if err := parseServe(&f, strings.Fields(line)...); !errors.As(err, &misused) {
			t.Errorf("%s: %v", line, err)
		}
	}
	for _, line := range []string{
		"--out tagged --frame nul",
		"--out json --frame raw",
		"--send-only --eof exit --wait-for 3",
		"--slow wait --patience 2s --min-rate 1B",
		"--so SO_RCVBUF=65536 --so TCP_NODELAY=0",
	} {
		var f serveFlags
		if err := parseServe(&f, strings.Fields(line)...); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
}

// Every command line is accepted, with values within bounds, or is a usage error
// of one line.
func FuzzServeFlags(f *testing.F) {
	for _, line := range []string{
		"--frame nul --out json --replay 10", "--frame=4096 --slow skip", "--min-rate 1.5MiB --patience 1m", "--backlog 1e9",
		"--max-line 1,000", "--unix-mode 0777", "--drain 0 --idle-timeout off --keepalive off", "--so A=B --so", "-qv", "-q -- -v",
		"--loops 9999999999999999999", "--wait-for -1", "--max-clients 0x10", "--help", "--no-such", "--=x", "---", "-\xff",
	} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		var s serveFlags
		err := parseServe(&s, strings.Split(line, " ")...)
		if err != nil {
			var misused *usageError
			if !errors.As(err, &misused) || err.Error() == "" {
				t.Fatalf("%q: %v", line, err)
			}
			return
		}
		o := s.options
		if o.Framing < hubbub.FramingRaw || o.Replay < hubbub.ReplayAll || o.MinRate < 1 || o.Patience <= 0 || o.Backlog < 1 ||
			o.MaxMessage < 0 || o.MaxClients < 0 || o.Loops < 0 || o.IdleTimeout < 0 || o.KeepAlive == 0 ||
			o.UnixMode == 0 || o.UnixMode > 0o777 || s.waitFor < 0 || s.drain < 0 {
			t.Fatalf("%q is understood as %+v", line, s)
		}
	})
}
