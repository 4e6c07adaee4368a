package child_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"hubbub.example/internal/child"
	"hubbub.example/internal/framing"
	"hubbub.example/internal/scene"
)

// If a process exits while it is written to, the next one begins with a whole
// message.
func TestNextBeginsAtAMessage(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 50_000-1)
	for name, tt := range map[string]struct {
		framing framing.Framing
		message func(i int) string
		lost    int64 // of those of which a byte is in a full pipe
	}{
		"lines":   {framing.Lines, func(i int) string { return fmt.Sprint(i) + long + "\n" }, 2},
		"NUL":     {framing.NUL, func(i int) string { return fmt.Sprint(i) + "\n" + long + "\x00" }, 2},
		"records": {50_000, func(i int) string { return fmt.Sprint(i) + long }, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := sh(`test $HUBBUB_START = 2 && exec cat; exec sleep 1000`).Hurried()
			o.Framing = tt.framing
			c := run(t, o)
			all := ""
			for i := range 5 {
				all += tt.message(i)
			}
			c.says(all)
			pid := c.pid()
			pipeIsFull(t, pid)
			kill(t, pid, syscall.SIGKILL)
			end := c.ended()
			want := tt.message(2) + tt.message(3) + tt.message(4)
			if said := c.said.Until(t, tt.message(4)); said != "|"+want {
				t.Errorf("the second heard %d bytes that begin with %.10q, not %d", len(said), said, len(want))
			}
			if end.Lost != tt.lost || end.LostBytes != 65536 {
				t.Errorf("lost are %d messages, %d bytes", end.Lost, end.LostBytes)
			}
		})
	}
}

// A message counts as lost unless the process read all of it.
func TestLostIsWhatWasNotRead(t *testing.T) {
	t.Parallel()
	for script, lost := range map[string][2]int64{
		`dd bs=1 count=4; kill -9 $$`:  {2, 8},
		`dd bs=1 count=5; kill -9 $$`:  {2, 7}, // one begun
		`dd bs=1 count=8; kill -9 $$`:  {1, 4},
		`dd bs=1 count=12; kill -9 $$`: {0, 0},
		`exec sleep 1000`:              {3, 12},
	} {
		o := sh(script)
		o.Restart = child.Never
		written := make(chan int, 1)
		o.Input = func(ctx context.Context, p *child.Process) {
			n, _ := p.Write([]byte("abc\nabc\nabc\n"))
			if strings.HasPrefix(script, "exec") {
				_ = syscall.Kill(p.PID, syscall.SIGKILL)
			}
			written <- n
			<-ctx.Done()
		}
		end, err := run(t, o).returns()
		if n := scene.Next(t, written, "the count of a write"); n != 12 || err != nil || end.Lost != lost[0] || end.LostBytes != lost[1] {
			t.Errorf("%s: of %d bytes lost are %d messages, %d bytes; %v", script, n, end.Lost, end.LostBytes, err)
		}
	}
}

// What every process gets first does not count as lost when a process does not
// read it, or only in part.
func TestWhatIsPreparedIsNotLost(t *testing.T) {
	t.Parallel()
	for script, lost := range map[string][2]int64{
		`dd bs=1 count=1; kill -9 $$`:  {1, 4},
		`dd bs=1 count=5; kill -9 $$`:  {1, 4},
		`dd bs=1 count=8; kill -9 $$`:  {1, 4},
		`dd bs=1 count=10; kill -9 $$`: {1, 2},
		`dd bs=1 count=12; kill -9 $$`: {0, 0},
	} {
		// It must not be gone before all is written.
		written := filepath.Join(t.TempDir(), "written")
		o := sh(`until [ -e "$WRITTEN" ]; do sleep 0.01; done; ` + script)
		o.Env = append(o.Env, "WRITTEN="+written)
		o.Restart = child.Never
		o.Input = func(ctx context.Context, p *child.Process) {
			err := p.Prepare([]byte("one\ntwo\n"))
			if err == nil {
				_, err = p.Write([]byte("abc\n"))
			}
			if err := errors.Join(err, os.WriteFile(written, nil, 0o600)); err != nil {
				t.Error(err)
			}
			<-ctx.Done()
		}
		if end, err := run(t, o).returns(); err != nil || end.Lost != lost[0] || end.LostBytes != lost[1] {
			t.Errorf("%s: lost are %d messages, %d bytes; %v", script, end.Lost, end.LostBytes, err)
		}
	}
}

// Nor does what did not go into its pipe.
func TestWhoIsKilledWhileItIsPrepared(t *testing.T) {
	t.Parallel()
	for _, script := range []string{`exec sleep 1000`, `exec <&-; echo closed; exec sleep 1000`} {
		o := sh(script).Strict()
		o.Restart = child.Never
		pids := make(chan int, 1)
		closed := strings.Contains(script, "closed")
		var c *command
		running := make(chan struct{})
		o.Input = func(ctx context.Context, p *child.Process) {
			if <-running; closed {
				c.said.Until(t, "closed\n")
			}
			pids <- p.PID
			_ = p.Prepare(bytes.Repeat([]byte("I am there\n"), 10_000))
			<-ctx.Done()
		}
		c = run(t, o)
		close(running)
		if pid := scene.Next(t, pids, "a process"); closed {
			c.warned.Until(t, "closed its STDIN")
			kill(t, pid, syscall.SIGKILL)
		} else {
			pipeIsFull(t, pid)
			kill(t, pid, syscall.SIGKILL)
		}
		if end, err := c.returns(); err != nil || end.Lost != 0 || end.LostBytes != 0 || end.Discarded != 0 {
			t.Errorf("%s: %+v; %v", script, end, err)
		}
	}
}

// pipeIsFull waits until no more goes into the STDIN of a process.
func pipeIsFull(t *testing.T, pid int) {
	t.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/fd/0", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	scene.Until(t, "the pipe is full", func() bool {
		n, err := unix.IoctlGetInt(int(f.Fd()), unix.TIOCINQ)
		return err == nil && n == 65536
	})
}
