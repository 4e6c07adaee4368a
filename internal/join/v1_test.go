package join

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"hubbub.example/internal/framing"
	"hubbub.example/internal/logger"
	"hubbub.example/internal/proto"
	"hubbub.example/internal/scene"
)

func TestV1WhatFollowsAnEnd(t *testing.T) {
	t.Parallel()
	said := func(code proto.CloseCode, reason string) error { return &proto.Closed{Code: code, Reason: reason} }
	all := stdin{ended: true, bytes: 10}
	kept := stdin{ended: true, bytes: 10, kept: 3}
	for _, c := range []struct {
		name string
		end  ending
		once bool
		want verdict
	}{
		{"a break", ending{err: errEnded}, false, again},
		{"a restart", ending{err: said(1001, "")}, false, again},
		{"too slow", ending{err: said(1008, "too slow")}, false, again},
		{"restarts", ending{err: said(1012, "")}, false, again},
		{"try again later", ending{err: said(1013, "")}, false, again},
		{"a gateway before it is down", ending{err: said(1014, "")}, false, again},
		{"replaced", ending{err: said(1008, "by another"), reason: proto.ReasonReplaced}, false, failed},
		{"kicked", ending{err: said(1008, ""), reason: proto.ReasonKicked}, false, failed},
		{"kicked, the close frame is lost", ending{err: errEnded, reason: proto.ReasonKicked}, false, failed},
		{"lapped", ending{err: said(1008, "replaced"), reason: proto.ReasonLapped}, false, again},
		{"1008 in words that mean another", ending{err: said(1008, "kicked: no")}, false, again},
		{"too long", ending{err: said(1009, "")}, false, failed},
		{"a breach of ours", ending{err: said(1002, "")}, false, failed},
		{"a breach of the server's", ending{err: breach("x")}, false, failed},
		{"done, without having asked", ending{err: said(1000, ""), stdin: all}, false, again},
		{"done", ending{err: said(1000, ""), stdin: all, endSent: true}, false, done},
		{"goes down, all is said", ending{err: said(1001, ""), stdin: all, endSent: true}, false, done},
		{"done, but not all is acknowledged", ending{err: said(1000, ""), stdin: kept, endSent: true}, false, again},
		{"a break while answering", ending{err: errEnded, stdin: all, endSent: true}, false, again},
		{"once, a break", ending{err: errEnded}, true, failed},
		{"once, a restart", ending{err: said(1001, "")}, true, done},
		{"once, a restart, not all is acknowledged", ending{err: said(1001, ""), stdin: kept}, true, failed},
		{"once, STDOUT was too slow", ending{err: errBehind, behind: true}, true, again},
		{"done, but STDOUT was too slow", ending{err: said(1000, ""), stdin: all, endSent: true, behind: true}, false, again},
		{"replaced, and STDOUT was too slow", ending{err: said(1008, "replaced"), reason: proto.ReasonReplaced, behind: true}, false, failed},
		{"a signal", ending{left: signalled, err: said(1000, "")}, false, done},
		{"a signal, a break, all is acknowledged", ending{left: signalled, err: errEnded}, false, done},
		{"a signal, not all is acknowledged", ending{left: signalled, stdin: kept}, false, failed},
		{"exit", ending{left: exits, stdin: all}, false, done},
		{"STDOUT is lost", ending{err: &stdoutError{io.ErrClosedPipe}, stdin: all, endSent: true}, false, failed},
	} {
		if got := c.end.verdictV1(c.once); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

// What a server says is shown, not obeyed.
func TestServersWordsAreFitForATerminal(t *testing.T) {
	t.Parallel()
	a := Address{Host: "host", Port: 1}
	e := ending{err: &proto.Closed{Code: 1002, Reason: "\x1b[2J\u202e"}, receipts: true}
	if got := e.failure(a).Error(); strings.ContainsAny(got, "\x1b\u202e") || !strings.Contains(got, "[2J") {
		t.Errorf("it says %q", got)
	}
	if got := (&notV1{a, errors.New("\x1b[2J")}).Error(); strings.Contains(got, "\x1b") {
		t.Errorf("it says %q", got)
	}
}

// FuzzV1Server: whatever a server says, the client ends with or without an
// error, does not hang, and prints numbers in order.
func FuzzV1Server(f *testing.F) {
	hello := `{"type":"hello","epoch":"e1","id":1,"seq":4,"heartbeat":25,"longest":100,"ack":0}`
	f.Add(hello + "\n" + `{"type":"message","seq":5,"time":"t","text":"x"}` + "\n" + `{"type":"message","seq":5,"text":"x"}` + "\n" + `{"type":"ack","n":1}`)
	f.Add(hello + "\n" + `{"type":"skipped","count":12,"seq":21}` + "\n" + `{"type":"message","seq":23,"base64":"/w==","id":3,"name":"a"}`)
	f.Add(hello + "\n" + `{"type":"heartbeat"}` + "\n" + `{"type":"other"}` + "\nC\x03\xe8bye")
	f.Add(strings.Replace(hello, "25", "1e300", 1) + "\n" + `{"type":"ack","n":9223372036854775807}`)
	f.Add(strings.Replace(hello, "100", "9223372036854775807", 1) + "\n" + `{"type":"message","seq":18446744073709551615,"text":""}` + "\n" + hello)
	f.Add(strings.Replace(hello, "4,", "7,\"missed\":3,", 1))
	f.Fuzz(func(t *testing.T, script string) {
		out := &scene.Output{}
		o := Options{
			Dialer: Dialer{Address: Address{Host: "127.0.0.1", Port: 1, Scheme: "ws"}},
			Stdin:  strings.NewReader("one\ntwo\n"), Stdout: out, Out: JSON, Once: true,
			Since: proto.Point{Epoch: "e1", Seq: 3},
			WebSocket: func(net.Conn, string, string, string) (WebSocket, error) {
				return &scripted{rest: strings.Split(script, "\n")}, nil
			},
		}
		c := &client{Options: o.withDefaults(), out: &printer{w: out}, log: logger.New(nil), place: o.Since, idle: make(chan struct{}, 1), protocol: HubbubV1}
		defer c.log.Close()
		c.in = newOutbox(framing.Lines, func() {})
		c.acks.outbox = c.in
		c.inbox = newInbox(c.out, c.poke, func(error) {})
		go c.inbox.run()
		l, err := openV1(c, deaf{})
		if err == nil {
			go c.in.fill(c.Stdin, c.acks.room, false)
			l.live(context.Background(), l)
			l.end()
		}
		c.inbox.close()
		<-c.inbox.done
		checkNumbers(t, out.Text())
	})
}

// scripted is a WebSocket whose server says these, and ends: with a goodbye,
// if the last begins with "C" and a code.
type scripted struct{ rest []string }

func (s *scripted) Receive() ([]byte, error) {
	if len(s.rest) == 0 {
		return nil, io.EOF
	}
	p := []byte(s.rest[0])
	s.rest = s.rest[1:]
	if len(p) > 3 && p[0] == 'C' {
		return nil, &proto.Closed{Code: proto.CloseCode(binary.BigEndian.Uint16(p[1:])), Reason: string(p[3:])}
	}
	return p, nil
}

func (s *scripted) Send(p []byte, _ bool) error {
	if !bytes.HasPrefix(p, []byte(`{"type":"`)) {
		panic("the client says " + string(p))
	}
	return nil
}
func (s *scripted) Close(proto.CloseCode, string) error { return nil }
func (s *scripted) Limit(int64)                         {}

// deaf is a connection on which nothing happens.
type deaf struct{ net.Conn }

func (deaf) Close() error                     { return nil }
func (deaf) CloseRead() error                 { return nil }
func (deaf) CloseWrite() error                { return nil }
func (deaf) SetWriteDeadline(time.Time) error { return nil }
