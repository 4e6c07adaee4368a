//go:build unix

package accept

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hubbub.example/internal/codec"
	"hubbub.example/internal/poll"
	"hubbub.example/internal/sock"
)

const second = 1000 // of the loop's milliseconds

// scene is a lobby, a poller that tells of its connections, and their peers.
type scene struct {
	*Lobby
	t      testing.TB
	poller *poll.Poller
	now    uint32
	peers  map[int]int // by our descriptor
}

func newScene(t testing.TB) *scene {
	p, err := poll.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	l := &Lobby{Rules: Rules{Sniff: time.Second, Head: 10 * time.Second, Preconnects: &Preconnects{}}}
	return &scene{Lobby: l, t: t, poller: p, now: 1<<32 - 5*second, peers: map[int]int{}} // soon the milliseconds wrap
}

// comes connects somebody to a port, at whose turn the feed stood at start.
func (s *scene) comes(port sock.Protocol, start int64) *Conn {
	s.t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, fd := range fds {
		_ = unix.SetNonblock(fd, true)
	}
	s.t.Cleanup(func() {
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
	})
	if err := s.poller.Add(fds[0]); err != nil {
		s.t.Fatal(err)
	}
	s.peers[fds[0]] = fds[1]
	s.Come(Conn{FD: int32(fds[0]), Start: start, Port: port}, s.now)
	return s.Find(fds[0])
}

// says has c's peer say p, and is what becomes of c.
func (s *scene) says(c *Conn, p string) Verdict {
	s.t.Helper()
	if _, err := unix.Write(s.peers[int(c.FD)], []byte(p)); err != nil {
		s.t.Fatal(err)
	}
	return s.events()
}

// ends has c's peer end its side, and is what becomes of c.
func (s *scene) ends(c *Conn) Verdict {
	s.t.Helper()
	if err := sock.EndSending(s.peers[int(c.FD)]); err != nil {
		s.t.Fatal(err)
	}
	return s.events()
}

// events returns the last verdict of a turn's events.
func (s *scene) events() (v Verdict) {
	s.t.Helper()
	events, err := s.poller.Wait(0)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := range events {
		if c := s.Find(events[i].FD()); c != nil {
			if one := s.Event(c, &events[i], s.now); one.Do != Stay {
				v = one
			}
		}
	}
	return v
}

const request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

// The first bytes tell what a connection is, and nothing of it is read.
func TestFirstBytesTell(t *testing.T) {
	any, http := sock.AnyProtocol, sock.HTTPProtocol
	for _, c := range []struct {
		port sock.Protocol
		says string
		do   Do
		why  Why
	}{
		{any, "hello\n", Client, None},
		{any, "\x00\x01", Client, None},
		{any, request, HTTP, None},
		{any, "GET / HTT", Stay, None},
		{any, "GET ", Stay, None},
		{any, "G", Stay, None},
		{any, "GET /" + strings.Repeat("x", longestHead), HTTP, None},
		{any, "\x16\x03\x01\x02\x00\x01", Refuse, TLS},
		{any, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Refuse, HTTP2},
		{http, "hello\n", HTTP, None},
		{http, request, HTTP, None},
		{http, "G", Stay, None},
		{http, "\x16\x03\x01\x02\x00\x01", Refuse, TLS},
	} {
		s := newScene(t)
		k := s.comes(c.port, 0)
		v := s.says(k, c.says)
		if v.Do != c.do || v.Why != c.why {
			t.Errorf("port %d, %.20q: %+v, want %d for %d", c.port, c.says, v, c.do, c.why)
		}
		if has := s.Find(int(k.FD)) != nil; has != (c.do == Stay) {
			t.Errorf("port %d, %.20q: the lobby has it: %v", c.port, c.says, has)
		}
		if c.do == Client && (!v.Conn.Spoke || !v.Conn.Checked || !v.Conn.Readable()) {
			t.Errorf("%.20q: it goes on as %+v", c.says, v.Conn)
		}
		p := make([]byte, 2*longestHead)
		if n, _ := sock.Peek(int(k.FD), p); n != len(c.says) {
			t.Errorf("%.20q: %d bytes of it are left", c.says, n)
		}
	}
}

// What its end of file makes of what a connection has said so far.
func TestEndOfFileTells(t *testing.T) {
	for _, c := range []struct {
		port sock.Protocol
		says string
		do   Do
	}{
		{sock.AnyProtocol, "", Stay}, // it watches
		{sock.AnyProtocol, "GET / HTT", HTTP},
		{sock.AnyProtocol, "G", Client},
		{sock.HTTPProtocol, "", Close},
		{sock.HTTPProtocol, "G", HTTP},
	} {
		s := newScene(t)
		k := s.comes(c.port, 0)
		if c.says != "" {
			s.says(k, c.says)
		}
		if v := s.ends(k); v.Do != c.do {
			t.Errorf("port %d, %q and the end: %+v, want %d", c.port, c.says, v, c.do)
		}
		if c.do == Stay && !k.EOF() {
			t.Error("its end is not known")
		}
	}
}

// A silent connection is a raw client when there is something to send, or it is
// wanted, and it had time to speak; until then nobody looks at it.
func TestSilentOnesHaveTimeToSpeak(t *testing.T) {
	s := newScene(t)
	s.comes(sock.AnyProtocol, 10)
	s.comes(sock.HTTPProtocol, 10)
	if all := s.Turn(s.now+10*second, 10, false); all != nil {
		t.Errorf("with nothing to send: %+v", all)
	}
	if _, ok := s.Next(s.now); ok {
		t.Error("it is looked at by the clock, for nothing")
	}
	late := s.comes(sock.AnyProtocol, 10)
	s.now += second / 2
	if all := s.Turn(s.now, 20, false); all != nil {
		t.Errorf("before its time: %+v", all)
	}
	if in, ok := s.Next(s.now); !ok || in != time.Second/2 {
		t.Errorf("looked at in %v, %v", in, ok)
	}
	if all := s.Turn(s.now+second/2, 20, false); len(all) != 2 || all[0].Do != Client || all[0].Conn.Start != 10 || all[0].Conn.Checked {
		t.Errorf("in its time: %+v", all)
	}
	if s.Find(int(late.FD)) != nil || s.Len() != 1 {
		t.Errorf("%d are left", s.Len())
	}
	s.comes(sock.AnyProtocol, 20)
	if all := s.Turn(s.now+second, 20, true); len(all) != 1 || all[0].Do != Client {
		t.Errorf("wanted: %+v", all)
	}
}

// A connection that will only ever ask is not looked at when something is broadcast.
func TestABroadcastCostsNothingForWhoWillAsk(t *testing.T) {
	s := newScene(t)
	for range 10 {
		s.comes(sock.HTTPProtocol, 0)
	}
	head := int64(0)
	walks := testing.AllocsPerRun(100, func() {
		head++
		s.Turn(s.now, head, false)
	})
	if walks != 0 {
		t.Error("all of them are walked through")
	}
}

// The turn passes over an empty lobby, so an alarm that stayed due would wake the
// loop without end.
func TestAnEmptyLobbyHasNoTimeout(t *testing.T) {
	s := newScene(t)
	s.comes(sock.AnyProtocol, 0)
	s.Turn(s.now, 1, false)
	if _, ok := s.Next(s.now); !ok {
		t.Fatal("its silence is not timed")
	}
	s.Drain(1)
	if in, ok := s.Next(s.now + 2*second); ok {
		t.Errorf("there is a timeout in %v", in)
	}
}

// What comes silently about when a browser at its address asks is a spare: it is
// waited for as long as for a slow request, and then a raw client all the same.
func TestBrowsersSpareIsWaitedFor(t *testing.T) {
	s := newScene(t)
	k := s.comes(sock.AnyProtocol, 0)
	k.Addr = someAddr(t)
	s.Preconnects.Ask(k.Addr)
	other := s.comes(sock.AnyProtocol, 0)
	if all := s.Turn(s.now+2*second, 1, false); len(all) != 1 || all[0].Conn.FD != other.FD {
		t.Errorf("after its time to speak: %+v", all)
	}
	if all := s.Turn(s.now+9*second, 1, false); all != nil {
		t.Errorf("before the time of a head is over: %+v", all)
	}
	if all := s.Turn(s.now+11*second, 1, false); len(all) != 1 || all[0].Do != Client {
		t.Errorf("when it is: %+v", all)
	}
}

// someAddr returns an address that has a name.
func someAddr(t *testing.T) sock.Addr {
	t.Helper()
	ls, err := sock.Listen(t.Context(), sock.Address{Host: "127.0.0.1"}, sock.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer CloseAll(ls)
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	at, _ := unix.Getsockname(ls[0].FD)
	if err := unix.Connect(fd, at); err != nil {
		t.Fatal(err)
	}
	ours, addr, err := sock.Accept(ls[0].FD)
	if err != nil {
		t.Fatal(err)
	}
	_ = sock.Close(ours)
	return addr
}

// The head of a request has its time from its first byte on, however long its
// connection was silent. One that never said it speaks HTTP is a raw client then.
func TestHeadsHaveTheirTime(t *testing.T) {
	s := newScene(t)
	asks, unclear := s.comes(sock.AnyProtocol, 0), s.comes(sock.AnyProtocol, 0)
	s.now += 60 * second
	if v := s.says(asks, "GET / HTTP/1.1\r\nHo"); v.Do != Stay {
		t.Fatalf("it asks: %+v", v)
	}
	if v := s.says(unclear, "G"); v.Do != Stay {
		t.Fatalf("it may ask: %+v", v)
	}
	s.now += 9 * second
	if all := s.Turn(s.now, 0, true); all != nil {
		t.Errorf("after 9 of 10 s: %+v", all)
	}
	s.now += 2 * second
	all := s.Turn(s.now, 0, true)
	if len(all) != 2 || all[0].Do != Refuse || all[0].Why != SlowHead || all[1].Do != Client || all[1].Conn.Checked {
		t.Errorf("after 11 s: %+v", all)
	}
}

// A silent connection keeps what it has not had as long as it may still speak.
func TestSilentOnesKeepWhatTheyMayGet(t *testing.T) {
	s := newScene(t)
	s.comes(sock.AnyProtocol, 10)
	s.comes(sock.HTTPProtocol, 10)
	if keeps, all := s.Below(10, s.now); keeps || all != nil {
		t.Errorf("at its beginning: %v, %+v", keeps, all)
	}
	if keeps, all := s.Below(11, s.now); !keeps || all != nil {
		t.Errorf("above it: %v, %+v", keeps, all)
	}
	if keeps, all := s.Below(11, s.now+second); keeps || len(all) != 1 || all[0].Do != Client {
		t.Errorf("when it had time to speak: %v, %+v", keeps, all)
	}
	s.comes(sock.AnyProtocol, 10)
	s.Advance(20, func(start int64) int64 { return start + 15 })
	if keeps, _ := s.Below(25, s.now); keeps {
		t.Error("it keeps what it was moved beyond")
	}
}

// When the hub drains, one for whom there is something gets it, and the others
// are closed.
func TestDrainGivesWhatThereIs(t *testing.T) {
	s := newScene(t)
	behind, done := s.comes(sock.AnyProtocol, 0), s.comes(sock.AnyProtocol, 10)
	asks := s.comes(sock.AnyProtocol, 0)
	s.says(asks, "GET / HTTP/1.1\r\nHo")
	waits := s.comes(sock.HTTPProtocol, 0)
	s.Wait(s.says(waits, request).Conn)
	refused := s.comes(sock.AnyProtocol, 0)
	s.leave(refused)
	s.Linger(*refused, s.now)
	got := map[int32]Do{}
	for _, v := range s.Drain(10) {
		got[v.Conn.FD] = v.Do
	}
	want := map[int32]Do{behind.FD: Client, done.FD: Close, asks.FD: Close, waits.FD: Close}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", got, want)
	}
	if left := s.Empty(); len(left) != 1 || left[0].FD != refused.FD || s.Len() != 0 {
		t.Errorf("left: %+v", left)
	}
}

// Those whose head is whole wait for net/http in the order in which they asked.
func TestRequestsWaitInOrder(t *testing.T) {
	s := newScene(t)
	var order []int32
	for range 5 {
		k := s.comes(sock.AnyProtocol, 0)
		order = append(order, k.FD)
		s.Wait(s.says(k, request).Conn)
	}
	middle := s.Find(int(order[2]))
	s.leave(middle)
	for _, fd := range []int32{order[0], order[1], order[3], order[4]} {
		if k, ok := s.FirstWaiting(); !ok || k.FD != fd {
			t.Fatalf("%d is first, want %d", k.FD, fd)
		}
		s.TakeWaiting()
	}
	if _, ok := s.FirstWaiting(); ok {
		t.Error("one waits on")
	}
}

// A refused connection lingers until its end of file, or for a while, however
// much it says. Once it has ended, all of that is read: to close with input
// unread is a reset, and it would not learn why it was refused.
func TestRefusedOnesLinger(t *testing.T) {
	s := newScene(t)
	refuse := func(says string) *Conn {
		k := s.comes(sock.AnyProtocol, 0)
		if says != "" {
			if _, err := unix.Write(s.peers[int(k.FD)], []byte(says)); err != nil {
				t.Fatal(err)
			}
		}
		s.leave(k)
		if v := s.Linger(*k, s.now); v.Do != Stay {
			t.Errorf("it is closed at once: %+v", v)
		}
		return s.Find(int(k.FD))
	}
	ends, talks := refuse("hello\n"), refuse("")
	if v := s.ends(ends); v.Do != Close || v.Conn.FD != ends.FD || !v.Conn.EOF() {
		t.Errorf("at its end: %+v", v)
	}
	for talks.dropped < lingerBytes {
		if v := s.says(talks, strings.Repeat("x", 32<<10)); v.Do != Stay {
			t.Fatalf("while it talks: %+v", v)
		}
	}
	s.says(talks, "more")
	if n, err := sock.Unread(int(talks.FD)); n == 0 || err != nil {
		t.Errorf("it is read without end: %d, %v", n, err)
	}
	loud := refuse("")
	for loud.dropped < lingerBytes {
		s.says(loud, strings.Repeat("x", 32<<10))
	}
	s.says(loud, "more")
	if v := s.ends(loud); v.Do != Close || !v.Conn.EOF() {
		t.Errorf("it said much and ended: %+v", v)
	}
	if all := s.Turn(s.now+second/2, 0, false); all != nil {
		t.Errorf("after half a second: %+v", all)
	}
	if all := s.Turn(s.now+2*second, 0, false); len(all) != 1 || all[0].Do != Close {
		t.Errorf("after two: %+v", all)
	}
}

// Only those that have said nothing are idle.
func TestIdleOnesHaveSaidNothing(t *testing.T) {
	s := newScene(t)
	s.comes(sock.AnyProtocol, 0)
	s.comes(sock.HTTPProtocol, 0)
	s.says(s.comes(sock.AnyProtocol, 0), "GET ")
	if s.Quiet() != 2 {
		t.Errorf("%d are quiet", s.Quiet())
	}
	if all := s.Idle(s.now+59*second, time.Minute); all != nil {
		t.Errorf("before its time: %+v", all)
	}
	if all := s.Idle(s.now+60*second, time.Minute); len(all) != 2 || all[0].Do != Close || all[0].Why != Idle {
		t.Errorf("in its time: %+v", all)
	}
}

// What a crowd made grow is given up, and who is still there is still there.
func TestLobbyGivesRoomUp(t *testing.T) {
	l := &Lobby{Rules: Rules{Preconnects: &Preconnects{}}}
	for fd := range int32(5000) {
		l.Come(Conn{FD: fd}, 0)
	}
	l.scratch()
	for fd := range 5000 {
		if fd != 7 {
			l.leave(l.Find(fd))
		}
	}
	l.Shrink()
	if room := cap(l.byFD) + cap(l.rosters[silent]) + cap(l.buf); room > 100 {
		t.Errorf("there is room for %d of nothing", room)
	}
	if k := l.Find(7); k == nil || l.rosters[silent][k.index] != k {
		t.Error("who stayed is lost")
	}
}

// A raw client's first line may be a web page's request.
func TestFirstLine(t *testing.T) {
	for _, c := range []struct {
		says       string
		all, whole bool
		want       codec.Answer
	}{
		{"hello\n", false, false, codec.No},
		{"GET / HTTP/1.1\r\n", false, false, codec.Yes},
		{"GET / HT", false, false, codec.Perhaps},
		{"GET / HT", true, false, codec.No},
		{"G", false, false, codec.Perhaps},
		{"G", false, true, codec.No},
		{"G", true, false, codec.No},
	} {
		if got := FirstLine([]byte(c.says), c.all, c.whole); got != c.want {
			t.Errorf("%q, all %v, whole %v: %v, want %v", c.says, c.all, c.whole, got, c.want)
		}
	}
}
