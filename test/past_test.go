//go:build unix

package hubbub_test

import (
	"fmt"
	"testing"

	"hubbub.example"
)

// What is kept is the past of clients of every kind, also where the backlog is
// full, so that no other form has room beside the canonical feed.
func TestAFullBacklogIsThePastOfEveryKind(t *testing.T) {
	t.Parallel()
	const all, last = 3000, 300
	s := openAny(t, hubbub.Options{Backlog: 64 << 10, Replay: hubbub.ReplayNone})
	line := func(i int) string { return fmt.Sprintf("line %d of those that are kept, or not", i) }
	for i := 1; i <= all; i++ {
		s.says(line(i))
	}
	target := fmt.Sprintf("/?last=%d", last)
	text, events, bare := s.stream(target), s.sse(target), s.socket(target)
	numbered, hello := s.v1(target)
	if hello.Seq != all-last {
		t.Errorf("hubbub.v1 begins behind %d, want %d", hello.Seq, all-last)
	}
	for i := all - last + 1; i <= all+1; i++ {
		if i == all+1 {
			s.says(line(i)) // and on it goes
		}
		text.Hears(line(i) + "\n")
		if got := events.event().data; got != line(i) {
			t.Fatalf("an event says %q, want %q", got, line(i))
		}
		bare.hearsText(line(i))
		if got := numbered.object("message"); got.Text != line(i) || got.Seq != uint64(i) {
			t.Fatalf("hubbub.v1 says %+v, want %q", got, line(i))
		}
	}
}

// With nobody there the backlog is kept for the first who comes, of whatever
// kind.
func TestTheFirstWebSocketGetsAllThatIsKept(t *testing.T) {
	t.Parallel()
	const all = 3000
	s := openAny(t, hubbub.Options{Backlog: 64 << 10})
	for i := 1; i <= all; i++ {
		s.says(fmt.Sprintf("line %d of those that are kept, or not", i))
	}
	c := s.socket("/")
	lost := s.Stats().Lost // no more from now on: it is waited for
	if lost == 0 {
		t.Fatal("the backlog is not full")
	}
	for i := lost + 1; i <= all; i++ {
		c.hearsText(fmt.Sprintf("line %d of those that are kept, or not", i))
	}
}

// A message that is longer than one send comes to its end also where nothing
// comes behind it.
func TestTheLastOfAFullBacklogIsLong(t *testing.T) {
	t.Parallel()
	const backlog, size = 16 << 20, 3 << 20
	s := openAny(t, hubbub.Options{Backlog: backlog, MaxMessage: size, Replay: hubbub.ReplayNone})
	for i := range 2 * backlog / size {
		s.says(string(numbered(i, size)))
	}
	last := string(numbered(2*backlog/size-1, size))
	for range 5 {
		c := s.socket("/?last=1")
		c.hearsText(last)
		_ = c.Close()
	}
}
