//go:build unix

package backlog

import (
	"bytes"
	"testing"

	"golang.org/x/sys/unix"
)

// A backlog that is restored has the messages that the one had, under the same
// numbers and at the same offsets, in each encoding, and knows what was heard.
func TestABacklogGoesOnFromItsState(t *testing.T) {
	old, m := made(t, Config{Limit: 64 << 10, Epoch: "abc"})
	if old.Feed(Canonical).File() < 0 {
		t.Skip("its memory has no file")
	}
	for _, e := range []Encoding{V1, SSE} {
		if _, err := old.Join(e, 0); err != nil {
			t.Fatal(err)
		}
	}
	lines(t, old, m, 300, 1001)
	half := old.Feed(Canonical).Begin(old.Count() - 10)
	m.heardTo[Canonical] = half
	m.Show()
	old.Stop()
	state, files, err := State(old)
	if err != nil {
		t.Fatal(err)
	}
	var given []int
	for _, file := range files {
		fd, err := unix.Dup(file)
		if err != nil {
			t.Fatal(err)
		}
		given = append(given, fd)
	}
	config := old.config
	config.Epoch = "another"
	restored, err := Restore(config, state, given)
	if err != nil {
		t.Fatal(err)
	}
	defer restored.Close()
	if restored.Epoch() != "abc" || restored.Count() != old.Count() || restored.Lost() != old.Lost() || restored.Unheard() != old.Unheard() || restored.Begin() != half {
		t.Errorf("it has epoch %s, %d messages, %d of them lost and %d unheard, and begins at %d", restored.Epoch(), restored.Count(), restored.Lost(), restored.Unheard(), restored.Begin())
	}
	for e := range Encodings {
		was, is := old.Feed(e), restored.Feed(e)
		if (was == nil) != (is == nil) {
			t.Fatalf("encoding %d has a feed: %v, before: %v", e, is != nil, was != nil)
		}
		if was != nil && !bytes.Equal(is.Read(is.Whole(), is.Head()), was.Read(was.Whole(), was.Head())) {
			t.Errorf("encoding %d is not what it was", e)
		}
	}
	lines(t, restored, restored.NewMark(), 300, 1001)
}

// What is no state, or needs another file, is refused.
func TestAStrangeStateIsRefused(t *testing.T) {
	old, _ := made(t, Config{Limit: 64 << 10})
	old.Stop()
	state, _, err := State(old)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range [][]byte{nil, []byte("{}"), []byte(`{"Version":9}`), state} {
		if _, err := Restore(old.config, s, nil); err == nil {
			t.Errorf("%.40q without a file is taken for a backlog", s)
		}
	}
}
