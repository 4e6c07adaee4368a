//go:build unix

package backlog

import (
	"bytes"
	"errors"
	"testing"

	"hubbub.example/internal/feed"
)

// made returns a backlog that nobody reads yet, with one mark.
func made(t *testing.T, config Config) (*Log, *Mark) {
	t.Helper()
	config.Separator = 1
	config.Wake = func() {}
	config.Warn = t.Errorf
	if config.Lost == nil {
		config.Lost = func(int64) {}
	}
	config.Excluded = func(uint64, uint64) {}
	config.Unacked = func(int) (int, error) { return 0, nil }
	if config.Encode == nil {
		config.Encode = Encoders
	}
	l, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l, l.NewMark()
}

// lines publishes n lines of so many bytes, one after the other, and has the mark
// leave what is asked for.
func lines(t *testing.T, l *Log, m *Mark, n, size int) {
	t.Helper()
	line := append(bytes.Repeat([]byte("x"), size-1), '\n')
	for range n {
		for {
			retry, err := l.Publish(Messages{Bytes: line, Ends: []int{size}}, Paced)
			if err != nil {
				t.Fatal(err)
			}
			if m.Asked() {
				var v View
				l.View(&v)
				m.Left(&v)
			}
			if retry == nil {
				break
			}
		}
	}
}

// The past is not encoded to find out that there is no room for it, nor once
// nothing is published any more: the feeds may be about to close.
func TestThePastIsNotEncodedInVain(t *testing.T) {
	for _, stopped := range []bool{false, true} {
		encoded := 0
		config := Config{Limit: 64 << 10}
		if stopped {
			config.Limit = 1 << 20 // room enough
		}
		config.Encode = func(epoch string) [Encodings]Encode {
			all := Encoders(epoch)
			encode := all[V1]
			all[V1] = func(dst []byte, m feed.Kept) []byte {
				encoded++
				return encode(dst, m)
			}
			return all
		}
		l, m := made(t, config)
		lines(t, l, m, 300, 1001)
		if stopped {
			l.Stop()
		}
		p, err := l.Join(V1, 0)
		if err != nil {
			t.Fatal(err)
		}
		if encoded > 0 || !p.Backfill {
			t.Errorf("stopped: %v, %d messages were encoded; it is backfilled: %v", stopped, encoded, p.Backfill)
		}
		l.Leave(V1)
	}
}

// A backlog that is stopped takes nothing, however it is published.
func TestAStoppedBacklogTakesNothing(t *testing.T) {
	l, _ := made(t, Config{Limit: 64 << 10})
	l.Stop()
	for _, how := range []How{Paced, Here, Unbounded} {
		if _, err := l.Publish(Messages{Bytes: []byte("x\n"), Ends: []int{2}}, how); !errors.Is(err, ErrClosed) {
			t.Errorf("published how %d: %v", how, err)
		}
	}
	if n := l.Count(); n != 0 {
		t.Errorf("it has %d messages", n)
	}
}

// What nobody hears is counted when it is trimmed, each message once.
func TestWhatNobodyHearsIsCounted(t *testing.T) {
	lost := int64(0)
	l, m := made(t, Config{Limit: 64 << 10, Lost: func(total int64) { lost = total }})
	lines(t, l, m, 300, 1001)
	kept := int64(l.Count() - l.Seq(l.Feed(Canonical).Whole()))
	if lost == 0 || lost != 300-kept || l.Lost() != lost {
		t.Errorf("%d of 300 are kept, and %d are told lost, %d counted", kept, lost, l.Lost())
	}
	if n := l.Unheard(); n != 300 {
		t.Errorf("%d of 300 are unheard", n)
	}
}
