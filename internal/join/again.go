package join

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
	"unicode"

	"hubbub.example/internal/proto"
	"hubbub.example/internal/quantity"
)

// This file decides what follows a connection's end.
//
// A server that goes down in an orderly way, to be restarted, closes its
// connections just as one that has said all: so an end of file is a loss like
// any other, and we come back. Only when STDIN has ended, and its end has been
// passed on, does the server's end of file mean that all is said.
//
// With hubbub.v1 a server says goodbye, and what it does not say can be asked
// for again.

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
	useful  bool // something of the server's stream came, or was acknowledged

	reason   proto.Reason // the server's, if it gave one
	receipts bool         // the server acknowledges messages: what may be lost is kept
	saidEnd  bool         // and was told of the end of STDIN
	behind   bool         // not all that came was kept
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

// verdictV1 returns the verdict on a connection with receipts and resume points. All
// that breaks there can be mended: so only a server's goodbye ends it, to one
// who has said all and been told all, or one that means us and not this
// connection.
func (e ending) verdictV1(once bool) verdict {
	good := e.bidden() && e.stdin.kept == 0
	switch {
	case isStdout(e.err):
		return failed
	case e.left != stays:
		good = e.stdin.kept == 0
	case e.hopeless():
		good = false
	case e.behind: // our own doing
		return again
	case !once && (!good || !e.saidEnd):
		return again
	}
	if good {
		return done
	}
	return failed
}

// bidden reports whether the server ended the connection with nothing amiss.
func (e ending) bidden() bool {
	code := goodbye(e.err)
	return code == proto.CloseNormal || code == proto.CloseGoingAway
}

// hopeless reports whether another connection would end in the same way.
func (e ending) hopeless() bool {
	return isBreach(e.err) || !e.reason.Retry() || !goodbye(e.err).Retry()
}

// isBreach reports whether err is a server's that broke the protocol.
func isBreach(err error) bool { return errors.As(err, new(*proto.Breach)) }

// goodbye returns the code of the server's close frame; 0 if it sent none.
func goodbye(err error) proto.CloseCode {
	if c, is := errors.AsType[*proto.Closed](err); is {
		return c.Code
	}
	return 0
}

// saidAllV1 reports whether there is nothing to come back for: STDIN has ended
// and all of it arrived, with Exit; or for a person, who ends it to be gone.
func (s stdin) saidAllV1(eof EOF, in Input) bool {
	gone := eof == Exit || eof == HalfClose && in == Terminal && s.bytes > 0
	return s.ended && s.kept == 0 && gone
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

// failure returns the error Run ends with.
func (e ending) failure(a Address) error {
	if stdout, is := errors.AsType[*stdoutError](e.err); is {
		return stdout
	}
	losses := e.losses()
	if e.left != stays && (e.err == nil || e.receipts) {
		return fmt.Errorf("stopped before everything was delivered to %s: %s", a, strings.Join(losses, ", "))
	}
	return fmt.Errorf("lost %s: %s", a, strings.Join(append([]string{e.why()}, losses...), "; "))
}

func (e ending) why() string {
	if e.err == nil {
		return "the server closed the connection"
	}
	return printable(cause(e.err))
}

// printable returns what may be a server's text, fit for a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

func (e ending) losses() (losses []string) {
	if e.receipts {
		if e.stdin.kept > 0 {
			losses = append(losses, quantity.Count(e.stdin.kept, "byte")+" of STDIN not acknowledged")
		}
		return losses
	}
	if e.stdin.unsent > 0 {
		losses = append(losses, quantity.Count(e.stdin.unsent, "byte")+" of STDIN not sent")
	}
	return append(losses, e.doubtful()...)
}

// doubtful returns what was sent and may be lost.
func (e ending) doubtful() (losses []string) {
	if e.unacked > 0 {
		losses = append(losses, "the last "+quantity.Count(e.unacked, "byte")+" sent may not have arrived")
	}
	return losses
}

// cause is err without the addresses that net puts before it.
func cause(err error) string {
	if b, is := errors.AsType[*proto.Breach](err); is {
		return "the server broke the protocol: " + b.Reason
	}
	if op, is := errors.AsType[*net.OpError](err); is {
		return op.Err.Error()
	}
	return err.Error()
}

// minUptime is how long a connection must have lasted, if nothing came of it, for
// the next to be tried soon.
const minUptime = 10 * time.Second
