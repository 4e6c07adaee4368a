//go:build unix

package intake

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"hubbub.example/internal/sock"
)

// from returns an address of this IP.
func from(ip string) sock.Addr {
	return sock.AddrFrom(netip.AddrPortFrom(netip.MustParseAddr(ip), 1))
}

// A session's newer connection gets the older one to end, whose leave then
// changes nothing; a claim keeps a session that nobody has.
func TestASessionHasOneOwner(t *testing.T) {
	s := NewSessions(10)
	a, b := new(int), new(int)
	x, shard := s.Claim("token", 3)
	if older := s.Take(x, a); older != nil || shard != 3 {
		t.Errorf("a new session is of %v, on %d", older, shard)
	}
	x.last = 5
	y, shard := s.Claim("token", 1)
	if y != x || shard != 3 {
		t.Errorf("the newer connection gets another session, on %d", shard)
	}
	if older := s.Take(y, b); older != a {
		t.Errorf("it had %v", older)
	}
	s.Leave(x, a, from("10.0.0.1"))
	if s.idle.Len() > 0 {
		t.Error("the older connection's leave gives the session away")
	}
	z, _ := s.Claim("token", 1)
	s.Leave(x, b, from("10.0.0.1"))
	if s.idle.Len() > 0 || s.Known() != 1 {
		t.Error("a session that is claimed is idle")
	}
	if older := s.Take(z, a); older != nil || z.Last() != 5 {
		t.Errorf("the third has %v before it, and goes on at %d", older, z.Last())
	}
}

// A session in which nothing was said is none.
func TestASilentSessionIsForgotten(t *testing.T) {
	s := NewSessions(10)
	x, _ := s.Claim("token", 0)
	s.Take(x, 1)
	if s.Leave(x, 1, from("10.0.0.1")); s.Known() != 0 {
		t.Error("it is remembered")
	}
}

// Whatever comes and goes, it is the oldest of the address with the most that is
// forgotten; and so it is in another process.
func TestWhichSessionIsForgotten(t *testing.T) {
	const most = 30
	r := rand.New(rand.NewPCG(1, 2))
	s := NewSessions(most)
	var model []*Session // idle, the longest first
	of := map[*Session]netip.Addr{}
	count := func() (n map[netip.Addr]int) {
		n = map[netip.Addr]int{}
		for _, x := range model {
			n[of[x]]++
		}
		return n
	}
	for i := range 20_000 {
		if len(model) > 0 && r.IntN(3) == 0 {
			x := model[r.IntN(len(model))]
			if y, _ := s.Claim(x.token, 0); y != x {
				t.Fatalf("%s is forgotten", x.token)
			}
			model = slices.DeleteFunc(model, func(y *Session) bool { return y == x })
			delete(s.known, x.token)
			continue
		}
		if i%5_000 == 4_999 {
			s = restored(t, s)
			for i, x := range model {
				y := s.known[x.token]
				model[i], of[y] = y, of[x]
			}
		}
		address := from(fmt.Sprintf("10.0.0.%d", min(r.IntN(20), r.IntN(20))))
		x, _ := s.Claim(fmt.Sprint(i), 0)
		s.Take(x, i)
		x.last = uint64(1 + i)
		of[x] = siteOf(address)
		s.Leave(x, i, address)
		model = append(model, x)
		if len(model) <= most {
			continue
		}
		n := count()
		gone := slices.IndexFunc(model, func(y *Session) bool { return s.known[y.token] == nil })
		if gone < 0 || len(s.known) != most {
			t.Fatalf("%d are known, want %d", len(s.known), most)
		}
		its := of[model[gone]]
		for _, other := range n {
			if other > n[its] {
				t.Fatalf("one of %v went, which had %d of %v", its, n[its], n)
			}
		}
		if slices.ContainsFunc(model[:gone], func(y *Session) bool { return of[y] == its }) {
			t.Fatal("not the oldest went")
		}
		model = slices.Delete(model, gone, gone+1)
	}
	if len(s.from) != len(count()) || len(s.sites) != len(s.from) || s.idle.Len() != len(model) {
		t.Errorf("%d addresses and %d in order for %d, %d sessions for %d", len(s.from), len(s.sites), len(count()), s.idle.Len(), len(model))
	}
}

// restored returns what another process makes of s.
func restored(t *testing.T, s *Sessions) *Sessions {
	t.Helper()
	other := NewSessions(s.most)
	if err := other.Restore(s.State(), 4); err != nil {
		t.Fatal(err)
	}
	if got, want := other.State(), s.State(); string(got) != string(want) {
		t.Fatalf("the sessions are restored as %s, were %s", got, want)
	}
	return other
}

// A session that is old enough when it is restored is not.
func TestAnOldSessionIsNotRestored(t *testing.T) {
	s := NewSessions(10)
	for i, age := range []time.Duration{2 * sessionKept, 0} {
		x, _ := s.Claim(fmt.Sprint(i), 0)
		x.last = 1
		s.lay(x, siteOf(from("10.0.0.1")), time.Now().Add(-age))
	}
	other := NewSessions(10)
	if err := other.Restore(s.State(), 1); err != nil || other.Known() != 1 || other.known["1"] == nil {
		t.Errorf("%d are restored: %v", other.Known(), err)
	}
	if err := other.Restore([]byte(`{"Version":99}`), 1); err == nil {
		t.Error("sessions of another version are accepted")
	}
}

// An address is what its owner cannot choose of it.
func TestSiteOfAnAddress(t *testing.T) {
	if got := siteOf(sock.Addr{}); got.IsValid() {
		t.Errorf("a Unix socket's is %v", got)
	}
	for ip, want := range map[string]string{
		"127.0.0.1":              "127.0.0.1",
		"::1":                    "::",
		"2001:db8:1:2:3:4:5:6":   "2001:db8:1:2::",
		"fe80::1234:5678:9abc%3": "fe80::",
	} {
		if got := siteOf(from(ip)).String(); got != want {
			t.Errorf("%s is of %s, want %s", ip, got, want)
		}
	}
}
