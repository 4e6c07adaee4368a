//go:build unix

package main

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"hubbub.example/internal/scene"
)

func TestSignalsEndTheServer(t *testing.T) {
	t.Parallel()
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(s.String(), func(t *testing.T) {
			p := start(t, "serve", "127.0.0.1:0", "--wait-for", "1")
			c := p.client()
			p.says("hello\n")
			c.Hears("hello\n")
			p.signal(s)
			c.hearsEnd()
			p.exits(exitDone)
			if said := p.stderr.Ends(t); strings.Count(said, "\n") != 1 {
				t.Errorf("STDERR says %q", said)
			}
		})
	}
}

// SIGQUIT ends the server at once, without Go's stack trace.
func TestQuitLeavesNoTrace(t *testing.T) {
	t.Parallel()
	p := start(t, "serve", "127.0.0.1:0")
	j := start(t, "join", p.address())
	j.says("hello\n")
	p.stdout.Is(t, "hello\n")
	for _, ended := range []*program{j, p} {
		ended.signal(syscall.SIGQUIT)
		ended.exits(exitFailed)
		if said := ended.stderr.Ends(t); !strings.HasSuffix(said, "hubbub: SIGQUIT: stopped before everything was delivered\n") || strings.Count(said, "\n") > 2 {
			t.Errorf("STDERR says %s", scene.Brief(said))
		}
	}
}

// Signals that were ignored at the start stay ignored.
func TestIgnoredSignalsDoNotEndTheServer(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, shell string
		signal      syscall.Signal
	}{
		{"nohup", `exec nohup hubbub "$@"`, syscall.SIGHUP},
		{"a background job, ^C", `trap '' INT QUIT; exec hubbub "$@"`, syscall.SIGINT},
		{"a background job, ^\\", `trap '' INT QUIT; exec hubbub "$@"`, syscall.SIGQUIT},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := launch{args: []string{"serve", "127.0.0.1:0"}, shell: tt.shell}.start(t)
			p.stderr.Until(t, "listening on ")
			p.signal(tt.signal)
			<-time.After(2 * oneInstant) // in which it would end
			c := p.client()
			c.Says("still there\n")
			p.stdout.Is(t, "still there\n")
			p.stop(exitDone)
		})
	}
}

// Clients that still read get everything that was broadcast before the signal.
func TestASignalDeliversWhatWasBroadcast(t *testing.T) {
	t.Parallel()
	deliversAllAfter(t, func(p *program) { p.signal(syscall.SIGTERM) })
}

// deliversAllAfter has a server told to end when one of its clients has read
// all that was broadcast, and the other nothing yet.
func deliversAllAfter(t *testing.T, told func(p *program)) {
	t.Helper()
	p := start(t, "serve", "127.0.0.1:0", "--wait-for", "2", "--drain", "20s")
	fast, slow := p.client(), p.client()
	text := strings.Repeat("a line that one client has not read yet\n", 500_000) // more than the sockets hold
	said := make(chan bool)
	go func() { defer close(said); p.says(text) }()
	fast.Hears(text) // so it has been broadcast
	<-said
	told(p)
	slow.Hears(text)
	slow.hearsEnd()
	fast.hearsEnd()
	p.exits(exitDone)
}

// Everything that was read from clients is written, even if STDOUT takes it only
// after the signal.
func TestASignalLosesNothingReadFromClients(t *testing.T) {
	t.Parallel()
	r, w := scene.Pipe(t)
	p := launch{args: []string{"serve", "127.0.0.1:0"}, stdout: w}.start(t)
	_ = w.Close()
	c := p.client()
	text := strings.Repeat("a line that nobody has taken from STDOUT yet\n", 2500) // more than the pipe holds
	c.Says(text)
	c.Done()
	c.hearsEnd() // so it was read
	p.signal(syscall.SIGTERM)
	scene.Collect(r).Is(t, text)
	p.exits(exitDone)
}

func TestASignalGivesAStuckClientSoLong(t *testing.T) {
	t.Parallel()
	p := stuck(t, "--drain", "300ms")
	began := time.Now()
	p.signal(syscall.SIGTERM)
	p.exits(exitFailed)
	if took := time.Since(began); took < 300*time.Millisecond {
		t.Errorf("the end came after %v, want 300ms", took)
	}
	if said := p.stderr.Ends(t); !strings.Contains(said, "\nhubbub: ") {
		t.Errorf("STDERR says %q", said)
	}
}

// timeout(1) sends its signal to the program and then to the program's group.
func TestTwoSignalsInOneInstantAreOne(t *testing.T) {
	t.Parallel()
	deliversAllAfter(t, func(p *program) { p.signals(syscall.SIGTERM, syscall.SIGHUP) })
}

func TestASecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	p := stuck(t, "--drain", "1h")
	p.signal(syscall.SIGTERM)
	// There is no sign of the first being seen but that nobody can join.
	for {
		c, err := scene.Connect(p.address(), nil)
		if err != nil {
			break
		}
		_ = c.Close()
	}
	p.insists(syscall.SIGTERM)
	p.exits(exitFailed)
	p.stderr.Until(t, "hubbub: second signal: stopped before everything was delivered\n")
}

// With --drain 0 STDOUT is not at fault; if it is blocked for all of --drain, it
// is.
func TestABlockedStdoutDoesNotKeepTheServer(t *testing.T) {
	t.Parallel()
	_, w := scene.Pipe(t)
	fill(t, w)
	p := launch{args: []string{"serve", "127.0.0.1:0", "--drain", "200ms"}, stdout: w}.start(t)
	c := p.client()
	c.Says("stuck\n")
	c.Done()
	c.hearsEnd() // so it has been read
	p.stop(exitFailed)
	p.stderr.Until(t, "hubbub: STDOUT is blocked: the last messages from clients are lost\n")
}

// stuck returns a server that waits to deliver: its only client never reads.
func stuck(t *testing.T, flags ...string) *program {
	t.Helper()
	p := start(t, append([]string{"serve", "127.0.0.1:0", "--wait-for", "1"}, flags...)...)
	p.client()
	line := strings.Repeat("x", 1023) + "\n"
	for range 20 << 10 { // more than the sockets hold, less than the backlog
		p.says(line)
	}
	return p
}
