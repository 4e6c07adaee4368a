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

// This file decides what follows the end of a connection.
//
// A server that is restarted closes its raw connections like one that has finished:
// so an end of file is a loss like any other, and the client connects again. Only
// after the end of STDIN was sent does the server's end of file mean that all is
// done.
//
// With hubbub.v1 the server gives the reason in its close frame, and the client can
// ask for what it missed.

type verdict uint8

const (
	again verdict = iota
	done
	failed
)

// ending is how a connection ended.
type ending struct {
	err     error // what broke it; nil if the server closed it, or we left
	left    departure
	stdin   stdin
	unacked int64 // bytes sent that may not have arrived, as far as known
	lasted  time.Duration
	useful  bool // something of the server's stream came, or was acknowledged

	reason   proto.Reason // the server's, if it gave one
	receipts bool         // the server acknowledges messages, so nothing is lost
	endSent  bool         // the server was told of the end of STDIN
	behind   bool         // messages were dropped, and must be asked for again
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
	case !once && !e.stdin.complete(eof, in):
		return again
	}
	if good {
		return done
	}
	return failed
}

// verdictV1 returns the verdict on a connection of hubbub.v1. A broken connection can
// be resumed: so it is done only after the server's close frame, if all was sent and
// received, and it fails only if the reason means this client, not the connection.
func (e ending) verdictV1(once bool) verdict {
	good := e.bidden() && e.stdin.kept == 0
	switch {
	case isStdout(e.err):
		return failed
	case e.left != stays:
		good = e.stdin.kept == 0
	case e.hopeless():
		good = false
	case e.behind: // we ended it ourselves
		return again
	case !once && (!good || !e.endSent):
		return again
	}
	if good {
		return done
	}
	return failed
}

// bidden reports whether the server ended the connection without an error.
func (e ending) bidden() bool {
	code := goodbye(e.err)
	return code == proto.CloseNormal || code == proto.CloseGoingAway
}

// hopeless reports whether another connection would end in the same way.
func (e ending) hopeless() bool {
	return isBreach(e.err) || !e.reason.Retry() || !goodbye(e.err).Retry()
}

// isBreach reports whether the server broke the protocol.
func isBreach(err error) bool { return errors.As(err, new(*proto.Breach)) }

// goodbye returns the code of the server's close frame; 0 if it sent none.
func goodbye(err error) proto.CloseCode {
	if c, is := errors.AsType[*proto.Closed](err); is {
		return c.Code
	}
	return 0
}

// completeV1 reports whether there is no reason to connect again: STDIN has ended and
// all of it arrived, with Exit or at a terminal.
func (s stdin) completeV1(eof EOF, in Input) bool {
	gone := eof == Exit || eof == HalfClose && in == Terminal && s.bytes > 0
	return s.ended && s.kept == 0 && gone
}

// complete reports whether STDIN has ended and its end was sent. That is never so for a
// watcher, nor with Stay.
func (s stdin) complete(eof EOF, in Input) bool {
	watcher := s.bytes == 0 && eof != Exit
	stays := eof == Stay && in == Terminal
	return s.ended && s.unsent == 0 && !watcher && !stays
}

// goesOn reports whether to continue sending after the server's end of file, which
// does not tell whether it still reads: hubbub does not when it shuts down, ncat and
// socat do when their STDIN has ended. The client continues
//
//   - at the very beginning, before the server has sent anything: it may only
//     listen (ncat -l </dev/null);
//   - if STDIN is a file: files are exchanged, and the other was shorter;
//   - with Once: the rest cannot be sent later. But at a terminal the user must
//     learn that the server is gone.
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

// printable makes text of a server safe for a terminal.
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

// doubtful describes what was sent and may be lost.
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

// minUptime is how long a connection must have lasted for the next attempt to be soon,
// if nothing was received or acknowledged on it.
const minUptime = 10 * time.Second
