//go:build unix

package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hubbub.example/internal/join"
	"hubbub.example/internal/scene"
)

// soleServer is a server of the test's own.
type soleServer struct {
	t *testing.T
	net.Listener
}

func listenFor(t *testing.T) *soleServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return &soleServer{t, l}
}

// address has it spoken to raw, as it speaks.
func (s *soleServer) address() string { return "tcp://" + s.Addr().String() }

// visited waits for a client.
func (s *soleServer) visited() *peer {
	s.t.Helper()
	accepted := make(chan net.Conn, 1)
	go func() {
		if c, err := s.Accept(); err == nil {
			accepted <- c
		}
	}()
	return newPeer(s.t, scene.Next(s.t, accepted, "a client"))
}

// resets breaks the connection.
func (c *peer) resets() {
	_ = c.Conn.(*net.TCPConn).SetLinger(0)
	_ = c.Close()
}

func TestJoinTalksBothWays(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"127.0.0.1:0", "unix:"} {
		t.Run(address, func(t *testing.T) {
			if address == "unix:" {
				address += filepath.Join(t.TempDir(), "s")
			}
			p := start(t, "serve", address, "--wait-for", "1")
			c := start(t, rawJoin(p.address())...)
			c.says("from the client\n")
			p.stdout.Is(t, "from the client\n")
			p.says("from the server\n")
			c.stdout.Is(t, "from the server\n")
			_ = c.stdin.Close()
			c.exits(exitDone)
		})
	}
}

// rawJoin joins whoever is there without asking what it speaks: a server of
// others' would take the question for a message.
func rawJoin(address string) []string {
	if strings.HasPrefix(address, "unix:") {
		return []string{"join", address, "--frame", "raw"}
	}
	return []string{"join", "tcp://" + address}
}

// An STDIN of any kind that ends before its first byte makes join a watcher: it
// stays, and the server does not take it for a client that has left.
func TestJoinWithoutStdinIsAWatcher(t *testing.T) {
	t.Parallel()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for name, l := range map[string]launch{
		"/dev/null": {stdin: null},
		"closed":    {shell: `exec hubbub "$@" <&-`},
		"empty":     {shell: `: | hubbub "$@"`},
		"script":    {shell: `hubbub "$@" & wait $!`},
	} {
		t.Run(name, func(t *testing.T) {
			s := listenFor(t)
			l.args = []string{"join", s.address()}
			c := l.start(t)
			p := s.visited()
			p.Says("one\n")
			c.stdout.Is(t, "one\n")
			_ = p.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
			if b, err := p.R.ReadByte(); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("the watcher says %q, %v", b, err)
			}
			p.Says("two\n")
			c.stdout.Is(t, "one\ntwo\n")
		})
	}
}

// A background job at a terminal does not read from the terminal, which would stop
// it, but watches.
func TestJoinInTheBackgroundIsAWatcher(t *testing.T) {
	t.Parallel()
	s := listenFor(t)
	ours, theirs := openTerminal(t)
	c := launch{
		args: []string{"join", s.address()}, stdin: theirs, session: true,
		shell: `set -m; hubbub "$@" & wait $!`,
	}.start(t)
	p := s.visited()
	typed(t, ours, "for the shell\n")
	p.Says("one\n")
	c.stdout.Is(t, "one\n")
	_ = p.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	if b, err := p.R.ReadByte(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("the watcher says %q, %v", b, err)
	}
}

func TestJoinAtATerminal(t *testing.T) {
	t.Parallel()
	s := listenFor(t)
	ours, theirs := openTerminal(t)
	c := launch{args: []string{"join", s.address()}, stdin: theirs, session: true}.start(t)
	p := s.visited()
	typed(t, ours, "hello\n")
	p.Hears("hello\n")
	typed(t, ours, "\x04") // the end of file
	p.hearsEndThenSays("goodbye\n")
	c.stdout.Is(t, "goodbye\n")
	c.exits(exitDone)
}

func (c *peer) hearsEndThenSays(text string) {
	c.T.Helper()
	if b, err := c.R.ReadByte(); err == nil {
		c.T.Fatalf("the server got %q, want the end of file", b)
	}
	c.Says(text)
	_ = c.Close()
}

// On a terminal join makes control bytes visible. A pipe gets every byte
// unchanged.
func TestJoinShowsControlBytesToATerminalOnly(t *testing.T) {
	t.Parallel()
	const nasty = "\x1b[2J\x07\u202e\xff plain\n"
	s := listenFor(t)
	piped := start(t, "join", s.address())
	s.visited().Says(nasty)
	piped.stdout.Is(t, nasty)

	ours, theirs := openTerminal(t)
	launch{args: []string{"join", s.address()}, stdout: theirs}.start(t)
	p := s.visited()
	p.Says(nasty)
	scene.Collect(ours).Until(t, `\x1b[2J\x07\u202e\xff plain`)
}

func TestJoinEndsWithItsStdout(t *testing.T) {
	t.Parallel()
	s := listenFor(t)
	c := launch{args: []string{"join", s.address()}, shell: `{ hubbub "$@"; echo "exit code $?" >&2; } | head -n 1`}.start(t)
	s.visited().Says("first\n")
	c.stdout.Is(t, "first\n")
	c.stderr.Until(t, "exit code 1") // although nothing more comes to be written
	if said := c.stderr.Text(); !strings.Contains(said, "hubbub: write STDOUT: broken pipe") {
		t.Errorf("STDERR says %q", said)
	}
}

func TestJoinEndsWhenAFullDiskTakesNoMore(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("this system has no /dev/full")
	}
	defer full.Close()
	s := listenFor(t)
	c := launch{args: []string{"join", s.address()}, stdout: full}.start(t)
	s.visited().Says("x\n")
	c.exits(exitFailed)
	if said := c.stderr.Ends(t); said != "hubbub: write STDOUT: "+unix.ENOSPC.Error()+"\n" {
		t.Errorf("STDERR says %q", said)
	}
}

// Join reconnects even if nobody reads its STDERR.
func TestJoinDoesNotWaitForStderr(t *testing.T) {
	t.Parallel()
	s := listenFor(t)
	r, w := scene.Pipe(t)
	_ = r
	fillPipe(t, w)
	c := launch{args: []string{"join", s.address(), "-v"}, stderr: w}.start(t)
	p := s.visited()
	p.Says("one\n")
	c.stdout.Is(t, "one\n")
	p.resets()
	s.visited().Says("two\n")
	c.stdout.Is(t, "one\ntwo\n")
}

// fillPipe writes to w until it takes no more. The program that gets w sees a
// blocking pipe.
func fillPipe(t *testing.T, w *os.File) {
	t.Helper()
	fd := int(w.Fd())
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	for block := make([]byte, 4096); len(block) > 0; {
		if _, err := unix.Write(fd, block); err == unix.EAGAIN {
			block = block[:len(block)/2]
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.SetNonblock(fd, false); err != nil {
		t.Fatal(err)
	}
}

func TestJoinEndsOnSignals(t *testing.T) {
	t.Parallel()
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(s.String(), func(t *testing.T) {
			p := start(t, "serve", "127.0.0.1:0")
			c := start(t, rawJoin(p.address())...)
			c.says("said\n")
			p.stdout.Is(t, "said\n")
			c.signals(s, syscall.SIGHUP) // as from timeout(1), which sends to the group as well
			c.exits(exitDone)
			if said := c.stderr.Ends(t); said != "" {
				t.Errorf("STDERR says %q", said)
			}
		})
	}
}

func TestJoinExitCodes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		flags []string
		end   func(*peer)
		code  int
		says  string
	}{
		"the server answers and closes": {nil, func(p *peer) { p.hearsEndThenSays("") }, exitDone, ""},
		"the server breaks off":         {nil, (*peer).resetsAfterEnd, exitFailed, "hubbub: lost 127.0.0.1:"},
		"it stays, the server closes":   {[]string{"--eof=stay"}, func(p *peer) { _ = p.Close() }, exitDone, ""},
		"it exits, the server listens on": {[]string{"--eof=exit"}, func(p *peer) {
			if b, err := p.R.ReadByte(); err == nil {
				t.Errorf("the server got %q", b)
			}
		}, exitDone, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := listenFor(t)
			j := start(t, append([]string{"join", s.address()}, c.flags...)...)
			p := s.visited()
			j.says("all\n")
			_ = j.stdin.Close()
			p.Hears("all\n")
			c.end(p)
			j.exits(c.code)
			if said := j.stderr.Ends(t); c.says == "" && said != "" || !strings.Contains(said, c.says) {
				t.Errorf("STDERR says %q, want %q", said, c.says)
			}
		})
	}
}

func (c *peer) resetsAfterEnd() {
	c.T.Helper()
	if b, err := c.R.ReadByte(); err == nil {
		c.T.Fatalf("the server got %q, want the end of file", b)
	}
	c.resets()
}

// The connection has the options of --so, even where the standard library sets
// others, and those of --keepalive.
func TestJoinSetsSocketOptions(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		flags                string
		level, option, value int
	}{
		{"", unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
		{"--so TCP_NODELAY=0", unix.IPPROTO_TCP, unix.TCP_NODELAY, 0},
		{"", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{"--keepalive off", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 0},
		{"--so SO_KEEPALIVE=0", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 0},
		{"--so SO_DONTROUTE=1", unix.SOL_SOCKET, unix.SO_DONTROUTE, 1},
	} {
		t.Run(tt.flags, func(t *testing.T) {
			got := joinedOption(t, tt.flags, tt.level, tt.option)
			if tt.value == 1 {
				got = min(got, 1) // the BSDs say yes with another number
			}
			if got != tt.value {
				t.Errorf("it is %d, want %d", got, tt.value)
			}
		})
	}
}

// joinedOption connects as join with these flags does, and returns what the
// option is then.
func joinedOption(t *testing.T, flags string, level, option int) (got int) {
	t.Helper()
	s := listenFor(t)
	var f joinFlags
	cmd := newJoinCommand(env{})
	cmd.ResetFlags()
	for _, g := range f.groups() {
		cmd.Flags().AddFlagSet(g.FlagSet)
	}
	if err := cmd.ParseFlags(strings.Fields(flags)); err != nil {
		t.Fatal(err)
	}
	if err := f.check([]string{s.address()}); err != nil {
		t.Fatal(err)
	}
	d := net.Dialer{Control: f.control, KeepAlive: -1}
	c, err := d.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := f.connected(c); err != nil {
		t.Fatal(err)
	}
	if err := onConn(c, func(fd int) (err error) {
		got, err = unix.GetsockoptInt(fd, level, option)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return got
}

// otherServers are servers that are not hubbub.
var otherServers = []string{
	"ncat -v -l 127.0.0.1 PORT", "ncat -v -l -k 127.0.0.1 PORT", "ncat -l -U PATH",
	"socat -d -d - TCP-LISTEN:PORT,bind=127.0.0.1", "socat - UNIX-LISTEN:PATH",
	"nc -v -l 127.0.0.1 PORT", "nc -l -U PATH",
}

// otherServer starts one in shell and waits until it listens: `exec "$@"`.
func otherServer(t *testing.T, shell, command string) (p *program, address string) {
	t.Helper()
	name, _, _ := strings.Cut(command, " ")
	needs(t, name)
	path := filepath.Join(t.TempDir(), "s")
	port := freePort(t)
	p = launch{shell: shell, args: strings.Fields(strings.NewReplacer("PORT", port, "PATH", path).Replace(command))}.start(t)
	if strings.Contains(command, "PORT") {
		p.stderr.Until(t, "istening on")
		return p, "127.0.0.1:" + port
	}
	scene.Until(t, "the server's socket is there", func() bool {
		_, err := os.Stat(path)
		return err == nil
	})
	return p, "unix:" + path
}

// freePort returns a port that nobody has, nor gets who asks for any: when the program
// that it is for has ended, no other test's server may be found there.
func freePort(t *testing.T) string {
	t.Helper()
	for range 100 {
		port := strconv.Itoa(20_000 + rand.IntN(10_000)) // systems give others than these
		if l, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			_ = l.Close()
			return port
		}
	}
	t.Fatal("there is no free port")
	return ""
}

func TestJoinTalksWithServersOfOthers(t *testing.T) {
	t.Parallel()
	for _, command := range otherServers {
		t.Run(command, func(t *testing.T) {
			p, address := otherServer(t, `exec "$@"`, command)
			c := start(t, rawJoin(address)...)
			c.says("from join\n")
			p.stdout.Is(t, "from join\n")
			p.says("from the server\n")
			c.stdout.Is(t, "from the server\n")
			c.says("the end\n")
			_ = c.stdin.Close()
			p.stdout.Is(t, "from join\nthe end\n")
			if !strings.Contains(command, "-k") {
				_ = p.stdin.Close()
				scene.Next(t, p.ended, "the server's end")
			}
			c.exits(exitDone)
		})
	}
}

// Large files go both ways at the same time and are compared byte for byte. ncat
// discards what it has yet to send when join ends; that is little, and it is there
// before join is.
func TestJoinExchangesFilesWithServersOfOthers(t *testing.T) {
	t.Parallel()
	ours := bytes.Repeat([]byte("what join sends\n"), 300_000)
	file := filepath.Join(t.TempDir(), "ours")
	if err := os.WriteFile(file, ours, 0o600); err != nil {
		t.Fatal(err)
	}
	for command, lines := range map[string]int{
		"ncat -v -l 127.0.0.1 PORT":                          2_500,
		"socat -d -d -t 60 - TCP-LISTEN:PORT,bind=127.0.0.1": 100_000,
	} {
		t.Run(command, func(t *testing.T) {
			p, address := otherServer(t, `exec "$@"`, command)
			theirs := bytes.Repeat([]byte("what the server sends\n"), lines)
			const held = 55_000 // by a pipe
			p.says(string(theirs[:held]))
			go func() {
				_, _ = p.stdin.Write(theirs[held:])
				_ = p.stdin.Close() // the shorter: its end must not be ours
			}()
			in, err := os.Open(file)
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			c := launch{args: rawJoin(address), stdin: in}.start(t)
			c.exits(exitDone)
			if got := c.stdout.Ends(t); got != string(theirs) {
				t.Errorf("join printed %s", scene.Brief(got))
			}
			if got := p.stdout.Ends(t); got != string(ours) {
				t.Errorf("the server printed %s", scene.Brief(got))
			}
		})
	}
}

// A server whose STDIN has ended half-closes at once, but still reads.
func TestJoinReportsToServersThatOnlyListen(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"ncat -v -l 127.0.0.1 PORT", "ncat -v -l -k 127.0.0.1 PORT", "socat -d -d -t 60 - TCP-LISTEN:PORT,bind=127.0.0.1"} {
		t.Run(command, func(t *testing.T) {
			p, address := otherServer(t, `exec "$@" </dev/null`, command)
			c := start(t, rawJoin(address)...)
			want := ""
			for i := range 10 {
				line := fmt.Sprintf("report %d\n", i)
				c.says(line)
				want += line
				p.stdout.Is(t, want)
			}
			_ = c.stdin.Close()
			c.exits(exitDone)
			if said := c.stderr.Ends(t); said != "" {
				t.Errorf("STDERR says %q", said)
			}
		})
	}
}

// Every command line is accepted, or its error says what is expected.
func FuzzJoinFlags(f *testing.F) {
	for _, s := range []string{
		":9000", "host:1 --frame 4 --eof stay", "unix:/x --so TCP_NODELAY=1", "tcp://[::1]:9000 --so SO_LINGER=off",
		"host:0", "--keepalive off x:1", "x:1 --connect-timeout 0", "x:1 --reconnect=maybe", "-q -v x:1",
		"ws://x:1 --since e1-2 --name ann", "x:1 --last 5 --out json", "http://x:1/ --out tagged", "https://x:1", "x:1 --since e1",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		var j joinFlags
		cmd := newJoinCommand(env{})
		cmd.ResetFlags()
		for _, g := range j.groups() {
			cmd.Flags().AddFlagSet(g.FlagSet)
		}
		err := cmd.ParseFlags(strings.Fields(line))
		if err == nil {
			o := &j.options
			if err = j.check(cmd.Flags().Args()); err == nil && (o.Address == (join.Address{}) || o.ConnectTimeout <= 0 || j.keepAlive < 0) {
				t.Fatalf("%q is taken to mean %+v", line, j)
			}
		}
		if err != nil && err.Error() == "" {
			t.Fatalf("%q: an error without words", line)
		}
	})
}
