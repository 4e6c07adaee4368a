package join

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

func TestWhatFollowsAnEnd(t *testing.T) {
	reset := errors.New("reset")
	open := stdin{bytes: 10}
	kept := stdin{bytes: 10, unsent: 3}
	rest := stdin{ended: true, bytes: 10, unsent: 3}
	all := stdin{ended: true, bytes: 10}
	watcher := stdin{ended: true}
	for _, c := range []struct {
		name string
		end  ending
		once bool
		eof  EOF
		in   Input
		want verdict
	}{
		{"the server restarts", ending{stdin: open}, false, HalfClose, Stream, again},
		{"the server crashes", ending{err: reset, stdin: open}, false, HalfClose, Stream, again},
		{"a watcher's server restarts", ending{stdin: watcher}, false, HalfClose, Stream, again},
		{"a watcher's server crashes", ending{err: reset, stdin: watcher}, false, Stay, Stream, again},
		{"the server answered all", ending{stdin: all}, false, HalfClose, Stream, done},
		{"the server crashes while answering", ending{err: reset, stdin: all}, false, HalfClose, Stream, failed},
		{"the end of STDIN is still to be sent", ending{err: reset, stdin: rest}, false, HalfClose, Stream, again},
		{"a person said all", ending{stdin: all}, false, HalfClose, Terminal, done},
		{"a person stays", ending{stdin: all}, false, Stay, Terminal, again},
		{"a pipe's end stayed, the server said all", ending{stdin: all}, false, Stay, Stream, done},
		{"a pipe's end stayed, the server crashes", ending{err: reset, stdin: all}, false, Stay, Stream, failed},
		{"once, the server said all", ending{stdin: open}, true, HalfClose, Terminal, done},
		{"once, the server did not take all", ending{stdin: kept}, true, HalfClose, Terminal, failed},
		{"once, the server crashes", ending{err: reset, stdin: open}, true, HalfClose, Terminal, failed},
		{"once, a watcher's server said all", ending{stdin: watcher}, true, HalfClose, Stream, done},
		{"a signal, all is taken", ending{left: signalled, stdin: open}, false, HalfClose, Stream, done},
		{"a signal, all is taken, the server resets", ending{left: signalled, err: reset, stdin: open}, false, HalfClose, Stream, done},
		{"a signal, not all is sent", ending{left: signalled, stdin: kept}, false, HalfClose, Stream, failed},
		{"a signal, not all is taken", ending{left: signalled, stdin: open, unacked: 3}, false, HalfClose, Stream, failed},
		{"exit, all is taken", ending{left: exits, stdin: all}, false, Exit, Stream, done},
		{"exit, nothing to take", ending{left: exits, stdin: watcher}, false, Exit, Stream, done},
		{"exit, not all is taken", ending{left: exits, stdin: all, unacked: 3}, false, Exit, Stream, failed},
		{"exit, the server crashes", ending{left: exits, err: reset, stdin: all}, false, Exit, Stream, failed},
		{"exit, not yet sent", ending{err: reset, stdin: rest}, false, Exit, Stream, again},
		{"STDOUT is lost", ending{err: &stdoutError{io.ErrClosedPipe}, stdin: open}, false, HalfClose, Stream, failed},
	} {
		if got := c.end.verdict(c.once, c.eof, c.in); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestWhenToSendOnAfterTheServersEnd(t *testing.T) {
	for _, c := range []struct {
		name   string
		heard  int64
		lasted time.Duration
		once   bool
		in     Input
		want   bool
	}{
		{"it only listens", 0, 10 * time.Millisecond, false, Stream, true},
		{"it only listens, to a person", 0, 10 * time.Millisecond, false, Terminal, true},
		{"it goes down, having said something", 1, 10 * time.Millisecond, false, Stream, false},
		{"it goes down, never having said anything", 0, time.Minute, false, Stream, false},
		{"an exchange of files", 1, time.Minute, false, File, true},
		{"no coming back", 1, time.Minute, true, Stream, true},
		{"no coming back, for a person", 1, time.Minute, true, Terminal, false},
	} {
		if got := goesOn(c.heard, c.lasted, c.once, c.in); got != c.want {
			t.Errorf("%s: %t, want %t", c.name, got, c.want)
		}
	}
}

func TestFailureSaysWhatIsLost(t *testing.T) {
	a := Address{Host: "host", Port: 9000}
	for want, e := range map[string]ending{
		"lost host:9000: reset": {err: errors.New("reset")},
		"lost host:9000: the server closed the connection; 1 byte of STDIN not sent":                       {stdin: stdin{unsent: 1}},
		"lost host:9000: reset; the last 7 bytes sent may not have arrived":                                {err: errors.New("reset"), unacked: 7},
		"stopped before everything was delivered to host:9000: 5 bytes of STDIN not sent":                  {left: signalled, stdin: stdin{unsent: 5}},
		"5 bytes of STDIN not sent, the last 7 bytes sent may not have arrived":                            {left: signalled, stdin: stdin{unsent: 5}, unacked: 7},
		"write STDOUT: io: read/write on closed pipe":                                                      {err: &stdoutError{io.ErrClosedPipe}},
		"stopped before everything was delivered to host:9000: the last 7 bytes sent may not have arrived": {left: exits, unacked: 7},
		"lost host:9000: the server does not answer any more; 2 bytes of STDIN not sent; the ":             {err: errSilent, stdin: stdin{unsent: 2}, unacked: 1},
	} {
		if got := e.failure(a).Error(); !strings.Contains(got, want) {
			t.Errorf("it says\n%s\nwant in it\n%s", got, want)
		}
	}
}
