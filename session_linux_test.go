package hubbub

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"hubbub.example/internal/sock"
)

// saysFrom has a client from this address of ours say a message in a session,
// if there is one, and leave. It returns what the hub had of the session.
func (h *Hub) saysFrom(t *testing.T, from, address, session, message string) (ack uint64) {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(audienceWaits))
	r := shakeHands(t, c, "/?last=0&session="+session, "hubbub.v1")
	hello := heardObject(t, r)
	if message != "" {
		if _, err := c.Write(masked(ws.OpText, fmt.Sprintf(`{"type":"message","n":%d,"text":%q}`, hello.Ack+1, message))); err != nil {
			t.Fatal(err)
		}
		if got := heardObject(t, r); got.N != hello.Ack+1 {
			t.Fatalf("it gets %+v", got)
		}
	}
	before := h.Stats().Clients
	_ = c.Close()
	is(t, "it has left", func() bool { return h.Stats().Clients < before })
	return hello.Ack
}

type object struct {
	Type   string
	Ack, N uint64
}

func heardObject(t *testing.T, r *bufio.Reader) (o object) {
	t.Helper()
	f, err := readFrame(r)
	if err == nil {
		err = json.Unmarshal(f.Payload, &o)
	}
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// Who makes sessions without number pushes out its own, and those in which
// nothing was said are none.
func TestNobodyPushesOutSessionsOfOthers(t *testing.T) {
	t.Parallel()
	const most = 20
	h, at := hall(t, Options{Inbox: InboxNone, pace: pace{sessions: most}})
	honest := func(i int) string { return fmt.Sprintf("honest-number-%06d", i) }
	for i := range most / 4 {
		h.saysFrom(t, "127.0.0.1", at, honest(i), "hello")
	}
	known := func() int {
		h.sessions.mu.Lock()
		defer h.sessions.mu.Unlock()
		return len(h.sessions.known)
	}
	for i := range 2 * most {
		h.saysFrom(t, "127.0.0.2", at, fmt.Sprintf("silent-number-%06d", i), "")
		if n := known(); n > most/4 {
			t.Fatalf("%d sessions are remembered, of which %d said nothing", n, n-most/4)
		}
	}
	for i := range 2 * most {
		h.saysFrom(t, "127.0.0.2", at, fmt.Sprintf("loud-number-%06d", i), "a word")
	}
	if n := known(); n != most {
		t.Errorf("%d sessions are remembered, want %d", n, most)
	}
	for i := range most / 4 {
		if ack := h.saysFrom(t, "127.0.0.1", at, honest(i), ""); ack != 1 {
			t.Errorf("of session %d the hub has %d", i, ack)
		}
	}
	if ack := h.saysFrom(t, "127.0.0.2", at, fmt.Sprintf("loud-number-%06d", 2*most-1), ""); ack != 1 {
		t.Error("not the oldest of its own went")
	}
}

// Whatever comes and goes, it is the oldest of the address with the most that is
// forgotten.
func TestWhichSessionIsForgotten(t *testing.T) {
	const most = 30
	r := rand.New(rand.NewPCG(1, 2))
	s := sessions{most: most, known: map[string]*session{}}
	var model []*session // idle, the longest first
	from := map[*session]netip.Addr{}
	count := func() (n map[netip.Addr]int) {
		n = map[netip.Addr]int{}
		for _, x := range model {
			n[from[x]]++
		}
		return n
	}
	for i := range 20_000 {
		if len(model) > 0 && r.IntN(3) == 0 {
			x := model[r.IntN(len(model))]
			if s.open(x.token, nil) != x {
				t.Fatalf("%s is forgotten", x.token)
			}
			model = slices.DeleteFunc(model, func(y *session) bool { return y == x })
			delete(s.known, x.token)
			continue
		}
		x := s.open(fmt.Sprint(i), nil)
		from[x] = netip.AddrFrom4([4]byte{10, 0, 0, byte(min(r.IntN(20), r.IntN(20)))})
		s.mu.Lock()
		s.lay(x, from[x])
		s.forget()
		s.mu.Unlock()
		model = append(model, x)
		if len(model) <= most {
			continue
		}
		n := count()
		gone := slices.IndexFunc(model, func(y *session) bool { return s.known[y.token] == nil })
		if gone < 0 || len(s.known) != most {
			t.Fatalf("%d are known, want %d", len(s.known), most)
		}
		of := from[model[gone]]
		for _, other := range n {
			if other > n[of] {
				t.Fatalf("one of %v went, which had %d of %v", of, n[of], n)
			}
		}
		if slices.ContainsFunc(model[:gone], func(y *session) bool { return from[y] == of }) {
			t.Fatal("not the oldest went")
		}
		model = slices.Delete(model, gone, gone+1)
	}
	if len(s.from) != len(count()) || len(s.sites) != len(s.from) || s.idle.Len() != len(model) {
		t.Errorf("%d addresses and %d in order for %d, %d sessions for %d", len(s.from), len(s.sites), len(count()), s.idle.Len(), len(model))
	}
}

// An address is what its owner cannot choose of it.
func TestSiteOfAnAddress(t *testing.T) {
	if got := siteOf(sock.Addr{}); got.IsValid() {
		t.Errorf("a Unix socket's is %v", got)
	}
	for _, c := range []struct{ listen, want string }{
		{"127.0.0.1:0", "127.0.0.1"},
		{"[::1]:0", "::"},
	} {
		ln, err := net.Listen("tcp", c.listen)
		if err != nil {
			t.Skip(err)
		}
		defer ln.Close()
		p, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		f, err := ln.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		fd, addr, err := sock.Accept(int(f.Fd()))
		if err != nil {
			t.Fatal(err)
		}
		_ = sock.Close(fd)
		if got := siteOf(addr).String(); got != c.want {
			t.Errorf("%s is of %s, want %s", addr, got, c.want)
		}
	}
}
