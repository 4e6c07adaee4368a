//go:build unix

package link

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"hubbub.example/internal/feed"
	"hubbub.example/internal/sock"
)

// pair returns a link and the descriptor of its peer.
func pair(t testing.TB) (k Link, peer int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if err := unix.SetNonblock(fd, true); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Close(fd) })
	}
	return New(fds[0], true, 0), fds[1]
}

// says has the peer send.
func says(t testing.TB, peer int, p string) {
	t.Helper()
	if _, err := unix.Write(peer, []byte(p)); err != nil {
		t.Fatal(err)
	}
}

// A link stays readable until the socket gives less than asked for; an end of
// file that is on its way keeps it readable until it is read, once.
func TestRecvKnowsWhetherThereIsMore(t *testing.T) {
	k, peer := pair(t)
	says(t, peer, "abcdef")
	buf := make([]byte, 4)
	for _, want := range []struct {
		n        int
		readable bool
	}{{4, true}, {2, false}, {0, false}} {
		n, err := k.Recv(buf, 1)
		if n != want.n || err != nil || k.Readable() != want.readable {
			t.Fatalf("Recv: %d, %v, readable %v; want %+v", n, err, k.Readable(), want)
		}
	}
	says(t, peer, "g")
	if err := sock.EndSending(peer); err != nil {
		t.Fatal(err)
	}
	k.Ready |= peerShut
	if n, err := k.Recv(buf, 2); n != 1 || err != nil || !k.Readable() || k.EOF() {
		t.Fatalf("before the end of file: %d, %v, readable %v", n, err, k.Readable())
	}
	if n, err := k.Recv(buf, 3); n != 0 || !errors.Is(err, io.EOF) || k.Readable() || !k.EOF() {
		t.Fatalf("the end of file: %d, %v", n, err)
	}
	if n, err := k.Recv(buf, 4); n != 0 || err != nil {
		t.Fatalf("the end of file again: %d, %v", n, err)
	}
	if k.Received() != 7 || k.SinceRecv(12) != 10e6 {
		t.Errorf("received %d, %v ago", k.Received(), k.SinceRecv(12))
	}
}

// What is given back is read before what the socket has, in order, and counts
// as unread.
func TestRestockedInputComesFirst(t *testing.T) {
	k, peer := pair(t)
	k.Restock([]byte("hello "))
	says(t, peer, "world")
	if n, err := k.Unread(); n != 11 || err != nil {
		t.Errorf("Unread: %d, %v", n, err)
	}
	var all []byte
	buf := make([]byte, 4)
	for k.Readable() || len(all) < 11 {
		peeked, _ := k.Peek(make([]byte, 4))
		n, err := k.Recv(buf, 0)
		if err != nil || n == 0 || n != peeked {
			t.Fatalf("Recv: %d, %v, peeked %d", n, err, peeked)
		}
		all = append(all, buf[:n]...)
	}
	if string(all) != "hello world" || k.extra != nil {
		t.Errorf("read %q", all)
	}
}

// A link that took less than it was given is blocked, and no room is no error.
func TestSendKnowsWhenItIsBlocked(t *testing.T) {
	k, peer := pair(t)
	p := feed.Piece{Bytes: bytes.Repeat([]byte("x"), 1<<20)}
	n, err := k.Send(&p, 5)
	if err != nil || n == 0 || n == p.Len() || !k.Blocked() || k.Sent() != int64(n) {
		t.Fatalf("Send: %d, %v, blocked %v, sent %d", n, err, k.Blocked(), k.Sent())
	}
	if n, err := k.Send(&p, 6); n != 0 || err != nil || !k.Blocked() {
		t.Fatalf("Send without room: %d, %v", n, err)
	}
	if !k.Unsettle() || k.Unsettle() {
		t.Error("unsettled twice")
	}
	for buf := make([]byte, 1<<20); ; {
		if _, err := unix.Read(peer, buf); err != nil {
			break
		}
	}
	if k.Owed() != 0 || !k.Settle() || k.Unsettled() {
		t.Errorf("the peer has all: owed %d", k.Owed())
	}
	if n, err := k.Send(&feed.Piece{Bytes: []byte("y")}, 7); n != 1 || err != nil || k.Blocked() {
		t.Errorf("Send with room: %d, %v", n, err)
	}
	_ = unix.Shutdown(peer, unix.SHUT_RD)
	if _, err := k.Send(&feed.Piece{Bytes: []byte("z")}, 8); !errors.Is(err, unix.EPIPE) {
		t.Errorf("Send to nobody: %v", err)
	}
}

// A link stands in a queue once.
func TestALinkStandsInAQueueOnce(t *testing.T) {
	var k Link
	for _, q := range []Queue{Reading, Writing} {
		if !k.Enter(q) || k.Enter(q) {
			t.Errorf("queue %d: not once", q)
		}
		if k.Leave(q); !k.Enter(q) {
			t.Errorf("queue %d: it does not come back", q)
		}
	}
}

// A link's state comes back as it was, as far as it is not of one loop.
func TestStateComesBack(t *testing.T) {
	k := New(7, true, 0)
	k.sent, k.recv = 1<<40, 12345
	k.Ready |= peerShut | eof | shut | blocked | wide | reading
	k.Restock([]byte("more"))
	state := k.AppendState(nil)
	got, err := Restore(9, state, 100)
	if err != nil {
		t.Fatal(err)
	}
	if got.FD() != 9 || got.sent != k.sent || got.recv != k.recv || string(got.extra.input) != "more" ||
		got.Ready != local|peerShut|eof|shut|readable|unsettled || got.Idle(100) != 0 {
		t.Errorf("%+v came back as %+v", k, got)
	}
	if again := got.AppendState(nil); !bytes.Equal(again, state) {
		t.Errorf("state %x, then %x", state, again)
	}
	for _, bad := range []string{"", "\x00", "\x01", "\x02\x01\x01\x01", "\x01\x01\x01", "\x01" + strings.Repeat("\xff", 30)} {
		if _, err := Restore(9, []byte(bad), 0); err == nil {
			t.Errorf("Restore(%q) succeeds", bad)
		}
	}
}

// There is a link for each connection.
func TestALinkIsSmall(t *testing.T) {
	if n := unsafe.Sizeof(Link{}); n > 40 {
		t.Errorf("a link has %d bytes", n)
	}
}
