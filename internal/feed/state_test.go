//go:build unix

package feed

import (
	"errors"
	"math/rand/v2"
	"testing"

	"golang.org/x/sys/unix"
)

// A feed that is restored from its state and its file answers as the one did,
// and grows on.
func TestAFeedGoesOnFromItsState(t *testing.T) {
	for seed := range uint64(6) {
		r := rand.New(rand.NewPCG(seed, 2))
		p := newPair(t, small+r.Int64N(4*small), far)
		if p.f.File() < 0 {
			t.Skip("its memory has no file")
		}
		for range 10 {
			for range 10 {
				if r.IntN(4) == 0 {
					p.drop(p.m.base + r.Int64N(p.m.head()-p.m.base+1))
				} else {
					p.append(p.random(r))
				}
			}
			state, err := p.f.State()
			if err != nil {
				t.Fatal(err)
			}
			file, err := unix.Dup(p.f.File())
			if err != nil {
				t.Fatal(err)
			}
			restored, err := Restore(file, state)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = restored.Close() })
			if got, want := restored.weigh(), p.f.weigh(); got != want || restored.kept != p.f.kept {
				t.Errorf("it keeps %d bytes and has counted %d, before %d and %d", got, restored.kept, want, p.f.kept)
			}
			p.f = restored
			p.agree()
		}
	}
}

// What is no state, or one of another version, is refused.
func TestAStrangeStateIsRefused(t *testing.T) {
	m, err := newMemory()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(m.file(), []byte("something")); err == nil {
		t.Error("it is taken for a state")
	} else if m.file() < 0 && !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
}
