//go:build unix

package delivery

import (
	"testing"

	"hubbub.example/internal/engine/backlog"
)

// A cursor that is restored sends what the one would have sent whose state it
// has, wherever that stood, and holds as much of the quotas.
func TestACursorGoesOnFromItsState(t *testing.T) {
	for _, o := range orders {
		for sent := range 30 {
			s := newStage(t, backlog.SSE, o.between == "", o.one, o.other)
			s.add(o.one)
			if o.one != o.other {
				s.add(o.other)
			}
			for range sent {
				s.send(1)
			}
			if s.c.more != nil && s.c.more.facts != (Facts{}) {
				t.Fatal("it is between Next and Sent")
			}
			state, err := s.c.State()
			if err != nil {
				t.Fatal(err)
			}
			kept, private := s.p.Kept.Used(), s.p.Private.Used()
			_ = s.c.Release()
			s.c = Cursor{}
			if err := s.c.Restore(state, &s.p); err != nil {
				t.Fatal(err)
			}
			if s.p.Kept.Used() != kept || s.p.Private.Used() != private {
				t.Fatalf("%s, %s: it holds %d and %d bytes of the quotas, before %d and %d", o.one, o.other, s.p.Kept.Used(), s.p.Private.Used(), kept, private)
			}
			want := o.between
			if want == "" {
				want = o.inside
			}
			if got := s.all(1); got != want {
				t.Errorf("%s, %s, restored after %d bytes: it is sent %q, want %q", o.one, o.other, sent, got, want)
			}
		}
	}
}

// A state of another version, or one that is none, is refused.
func TestAStrangeStateIsRefused(t *testing.T) {
	for _, state := range []string{"", "{}", `{"Version":2}`, `{"Version":1,"Own":9}`, `{"Version":1,"Reads":9}`} {
		var c Cursor
		if err := c.Restore([]byte(state), &Policy{}); err == nil {
			t.Errorf("%q is taken for a state", state)
		}
	}
}
