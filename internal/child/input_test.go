//go:build unix

package child_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"hubbub.example/internal/child"
	"hubbub.example/internal/scene"
)

// A process is killed again and again under load: no message comes twice or out of
// order, each is whole, and all missing ones were counted.
func TestKilledUnderLoad(t *testing.T) {
	t.Parallel()
	const kills = 8
	o := as("echo").Hurried()
	c := run(t, o)
	sent := 0
	stop := make(chan struct{})
	full := make(chan struct{})
	go func() {
		defer close(full)
		for {
			var batch bytes.Buffer
			for range 300 {
				fmt.Fprintf(&batch, "%*d\n", recordSize-1, sent)
				sent++
			}
			select {
			case c.tell <- batch.Bytes():
			case <-stop:
				sent -= 300
				return
			}
		}
	}()
	var lost int64
	for range kills {
		pid := c.pid()
		heard := c.said.Text()
		scene.Until(t, "it is in the midst of it", func() bool { return len(c.said.Text()) > len(heard)+10_000 })
		kill(t, pid, syscall.SIGKILL)
		end := c.ended()
		if end.Signal != syscall.SIGKILL {
			t.Fatalf("%+v", end)
		}
		lost += end.Lost
		if end.Discarded > 0 {
			t.Errorf("%+v", end)
		}
	}
	close(stop)
	<-full
	// What was taken over and not yet written is written to the last one.
	c.says(fmt.Sprintf("%*s\n", recordSize-1, "the end"))
	said := c.said.Until(t, "the end\n")
	end := c.isStopped()
	lost += end.Lost

	next, heard := 0, 0
	for line := range strings.Lines(strings.ReplaceAll(said, "|", "")) {
		if strings.Contains(line, "the end") {
			break
		}
		var n int
		if len(line) != recordSize {
			t.Fatalf("torn: %q", line)
		}
		if _, err := fmt.Sscan(line, &n); err != nil || n < next {
			t.Fatalf("%q after %d: %v", line, next-1, err)
		}
		next = n + 1
		heard++
	}
	// A process may be killed between reading one and saying it.
	if missing := sent - heard; runtime.GOOS == "linux" && (int64(missing) < lost || int64(missing) > lost+kills) {
		t.Errorf("%d of %d were not heard, %d are said to be lost", missing, sent, lost)
	}
	if lost == 0 && runtime.GOOS == "linux" {
		t.Error("nothing was lost: this was no load")
	}
}

// A process that never reads makes its writer wait, and nobody else.
func TestNeverReads(t *testing.T) {
	t.Parallel()
	o := sh(`echo one; sleep 0.3; echo two; exec sleep 1000`)
	o.Grace = time.Hour
	waits := make(chan error, 1)
	o.Input = func(_ context.Context, p *child.Process) {
		n, err := p.Write(bytes.Repeat([]byte("0123456789abcde\n"), 100_000))
		if n%16 != 0 {
			t.Errorf("%d bytes are no whole messages", n)
		}
		waits <- err
	}
	c := run(t, o)
	c.said.Until(t, "one\ntwo\n")
	select {
	case err := <-waits:
		t.Fatalf("the writer does not wait: %v", err)
	default:
	}
	c.isStopped()
	if err := scene.Next(t, waits, "the end of a wait"); !errors.Is(err, child.ErrGone) {
		t.Error(err)
	}
}

// Messages for a process that has closed its STDIN are discarded, and delay
// nobody.
func TestClosedStdin(t *testing.T) {
	t.Parallel()
	c := run(t, sh(`exec <&-; echo closed; trap 'exit 1' TERM; while :; do sleep 0.05; done`).Strict())
	c.said.Until(t, "closed\n")
	said := int64(0)
	scene.Until(t, "that is noticed", func() bool {
		c.says("one\ntwo\n")
		said += 2
		return strings.Contains(c.warned.Text(), "closed its STDIN")
	})
	scene.Until(t, "it is taken", func() bool { return len(c.tell) == 0 })
	kill(t, c.pid(), syscall.SIGKILL)
	if end := c.ended(); end.Discarded < 2 || end.Discarded > said || end.Signal != syscall.SIGKILL {
		t.Errorf("said %d, %+v", said, end)
	}
	c.isStopped()
	if n := strings.Count(c.warned.Text(), "closed its STDIN"); n != 1 {
		t.Errorf("said %d times", n)
	}
}

// An exit closes STDIN as well, but the messages that follow are for the next
// process. Not parallel: another test's process, just forked, may hold that STDIN
// open for a moment.
func TestDeathIsNoClosedStdin(t *testing.T) {
	o := sh(`test $HUBBUB_START = 2 && exec cat; exec <&-; echo closed; sleep 0.2; exit 1`)
	c := run(t, o.Hurried())
	c.said.Until(t, "closed\n")
	c.says("for the next\n")
	c.said.Until(t, "for the next\n")
	if end := c.ended(); end.Discarded != 0 || end.Lost > 0 {
		t.Errorf("%+v", end)
	}
	if c.warned.Text() != "" {
		t.Error(c.warned.Text())
	}
}

// A process that has closed its STDOUT still gets messages.
func TestClosedStdout(t *testing.T) {
	t.Parallel()
	o := sh(`exec >&-; read line; test "$line" = hello && exit 9`)
	o.Restart = child.Never
	c := run(t, o)
	c.said.Until(t, "|")
	c.says("hello\n")
	if end, err := c.returns(); end.Code != 9 || err != nil {
		t.Errorf("%+v, %v", end, err)
	}
}

// When Input returns, the process gets the end of its STDIN.
func TestInputReturns(t *testing.T) {
	t.Parallel()
	o := sh(`cat; echo that was all; exit 6`)
	o.Restart = child.Never
	o.Input = func(_ context.Context, p *child.Process) { _, _ = p.Write([]byte("hello\n")) }
	c := run(t, o)
	if end, err := c.returns(); end.Code != 6 || end.Lost > 0 || err != nil {
		t.Errorf("%+v, %v", end, err)
	}
	if c.said.Text() != "hello\nthat was all\n|" {
		t.Errorf("it says %q", c.said.Text())
	}
}
