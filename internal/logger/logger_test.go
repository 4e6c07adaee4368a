package logger

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hubbub.example/internal/quantity"
)

// book is a log that can be made to block.
type book struct {
	mu    sync.Mutex
	text  bytes.Buffer
	stuck chan struct{} // nil: it takes everything
}

func (b *book) Write(p []byte) (int, error) {
	if b.stuck != nil {
		<-b.stuck
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// lines returns what stands in it, without times.
func (b *book) lines() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Collect(strings.Lines(b.text.String()))
}

func (b *book) logger(level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}

func TestLinesComeInOrderAndAllByClose(t *testing.T) {
	b := &book{}
	q := New(b.logger(slog.LevelWarn))
	for i := range 100 {
		q.Warnf("%d", i)
		q.Debugf("not asked for")
	}
	q.Logger().Warn("beside", "who", "ann")
	q.Close()
	got := b.lines()
	if len(got) != 101 || got[7] != "level=WARN msg=7\n" || got[100] != "level=WARN msg=beside who=ann\n" {
		t.Errorf("%d lines: %q", len(got), got)
	}
	q.Warnf("afterwards")
	if got := b.lines(); got[len(got)-1] != "level=WARN msg=afterwards\n" {
		t.Errorf("after Close the last line is %q", got[len(got)-1])
	}
	q.Close() // again
}

// A blocked log delays nobody; lines that it drops are counted and logged.
func TestABlockedLogHoldsNobodyUp(t *testing.T) {
	b := &book{stuck: make(chan struct{})}
	q := New(b.logger(slog.LevelWarn))
	const extra = 50
	for i := range queued + extra {
		q.Warnf("%d", i)
	}
	if n := q.Dropped(); n < extra-1 || n > extra { // one may be with the handler
		t.Errorf("%d are dropped, want %d", n, extra)
	}
	close(b.stuck)
	q.Close()
	if got := fmt.Sprint(b.lines()); !strings.Contains(got, fmt.Sprintf("dropped %d log lines: the log is too slow", q.Dropped())) {
		t.Errorf("the log does not say what it misses: %s", brief(got))
	}
}

func TestCloseDoesNotWaitForAStuckLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &book{stuck: make(chan struct{})}
		q := New(b.logger(slog.LevelWarn))
		q.Warnf("stuck")
		began := time.Now()
		if q.Close(); time.Since(began) != time.Second {
			t.Errorf("Close took %v, want a second", time.Since(began))
		}
		close(b.stuck)
	})
}

// Of many lines of a kind the first few are logged, and the number of the others
// when the period ends. Each kind is counted apart, and the next period begins
// anew.
func TestManyOfAKindAreSummedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &book{}
		q := New(b.logger(slog.LevelWarn))
		lapped := Kind{Of: "closed: lapped", Code: "lapped"}
		for i := range groupFew + 3 {
			q.Group(lapped, 1024, "client %d", i)
		}
		q.Group(Kind{Of: "odd"}, 0, "another")
		<-time.After(groupPeriod + time.Millisecond)
		synctest.Wait()
		got := b.lines()
		want := `level=WARN msg="and 3 other clients closed: lapped; 3.0 KiB that they had sent are not read" code=lapped` + "\n"
		if len(got) != groupFew+2 || got[0] != "level=WARN msg=\"client 0\" code=lapped\n" || got[groupFew+1] != want {
			t.Errorf("it is %q", got)
		}
		q.Group(lapped, 0, "client again")
		q.Close()
		if got := b.lines(); len(got) != groupFew+3 {
			t.Errorf("in the next period it is %q", got)
		}
	})
}

// Close logs what the period has counted.
func TestCloseEndsThePeriod(t *testing.T) {
	b := &book{}
	q := New(b.logger(slog.LevelWarn))
	for range groupFew + 1 {
		q.Group(Kind{Of: "left"}, 0, "one")
	}
	q.Close()
	if got := b.lines(); got[len(got)-1] != "level=WARN msg=\"and 1 other client left\"\n" {
		t.Errorf("it is %q", got)
	}
}

func TestThrottle(t *testing.T) {
	var th Throttle
	now := time.Unix(1, 0)
	if !th.Allow(now) || th.Suppressed() != "" {
		t.Error("the first is not let through alone")
	}
	for range 3 {
		if th.Allow(now.Add(time.Second)) {
			t.Error("one more is let through within a minute")
		}
	}
	if !th.Allow(now.Add(time.Minute)) || th.Suppressed() != " (and 3 more since the last such line)" || th.Suppressed() != "" {
		t.Error("after a minute one is let through with the number of the others, once")
	}
}

func TestWords(t *testing.T) {
	for got, want := range map[string]string{
		quantity.Bytes(-1): "0 B", quantity.Bytes(64 << 20): "64 MiB", quantity.Count(1, "client"): "1 client", quantity.Count(0, "message"): "0 messages",
		quantity.Count(12345, "other client"): "12345 other clients", Unread(0, "it"): "",
		Unread(2048, "it"): "; 2.0 KiB that it had sent are not read",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func brief(s string) string { return s[max(0, len(s)-200):] }
