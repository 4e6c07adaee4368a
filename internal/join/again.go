package join

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// This file decides what follows a connection's end.
//
// A server that goes down in an orderly way, to be restarted, closes its
// connections just as one that has said all: so an end of file is a loss like
// any other, and we come back. Only when STDIN has ended, and its end has been
// passed on, does the server's end of file mean that all is said.

type verdict uint8

const (
	again verdict = iota
	done
	failed
)

// ending is how a connection ended.
type ending struct {
	err     error // what broke it; nil: the server closed it, or we left
	left    departure
	stdin   stdin
	unacked int64 // bytes sent that may not have arrived, as far as known
	lasted  time.Duration
}

func (e ending) verdict(once bool, eof EOF, in Input) verdict {
	good := e.err == nil && e.stdin.unsent == 0
	switch {
	case isStdout(e.err):
		return failed
	case e.left == signalled:
		good = e.stdin.unsent == 0 && e.unacked == 0
	case e.left == exits:
		good = good && e.unacked == 0
	case !once && !e.stdin.saidAll(eof, in):
		return again
	}
	if good {
		return done
	}
	return failed
}

// saidAll reports whether STDIN has ended and its end has been passed on. A
// watcher's never does; neither does a person's who wants to stay.
func (s stdin) saidAll(eof EOF, in Input) bool {
	watcher := s.bytes == 0 && eof != Exit
	stays := eof == Stay && in == Terminal
	return s.ended && s.unsent == 0 && !watcher && !stays
}

// goesOn reports whether to go on sending although the server will send
// nothing more. An end of file does not say whether it still reads: hubbub
// does not when it goes down, and neither does anything that has crashed;
// ncat and socat do when their STDIN has ended. It is worth a try
//
//   - at the very beginning, before the server has said anything: it never
//     will, being one that only listens (ncat -l </dev/null);
//   - when STDIN is a file: an exchange of files, the other was shorter;
//   - when there is no coming back: then nothing else can be done with what is
//     left. But a person wants to know that the server is gone.
func goesOn(heard int64, lasted time.Duration, once bool, in Input) bool {
	return heard == 0 && lasted < time.Second || in == File || once && in != Terminal
}

// failure is the error Run ends with.
func (e ending) failure(a Address) error {
	if stdout, is := errors.AsType[*stdoutError](e.err); is {
		return stdout
	}
	losses := e.losses()
	if e.left != stays && e.err == nil {
		return fmt.Errorf("left %s too early: %s", a, strings.Join(losses, ", "))
	}
	return fmt.Errorf("lost %s: %s", a, strings.Join(append([]string{e.why()}, losses...), "; "))
}

func (e ending) why() string {
	if e.err == nil {
		return "the server closed the connection"
	}
	return cause(e.err)
}

func (e ending) losses() (losses []string) {
	if e.stdin.unsent > 0 {
		losses = append(losses, bytesOf(e.stdin.unsent)+" of STDIN not sent")
	}
	return append(losses, e.doubtful()...)
}

// doubtful is what was sent and may be lost.
func (e ending) doubtful() (losses []string) {
	if e.unacked > 0 {
		losses = append(losses, "the last "+bytesOf(e.unacked)+" sent may not have arrived")
	}
	return losses
}

func bytesOf(n int64) string {
	if n == 1 {
		return "1 byte"
	}
	return fmt.Sprintf("%d bytes", n)
}

// cause is err without the addresses that net puts before it.
func cause(err error) string {
	if op, is := errors.AsType[*net.OpError](err); is {
		return op.Err.Error()
	}
	return err.Error()
}

// waits are the times between attempts to come back: growing, and different
// for each client, so that those who lost a server together do not fall upon
// it together.
type waits struct{ *backoff.ExponentialBackOff }

// calm is how long a connection must have lasted for the next to be tried soon.
const calm = 10 * time.Second

func newWaits(first, longest time.Duration) waits {
	return waits{&backoff.ExponentialBackOff{
		InitialInterval:     first,
		RandomizationFactor: 0.5,
		Multiplier:          2,
		MaxInterval:         longest,
	}}
}

// next is how long to wait after a connection that lasted so long; 0: that
// was not made at all.
func (w waits) next(lasted time.Duration) time.Duration {
	if lasted > calm {
		w.Reset()
	}
	return w.NextBackOff()
}
