package scene

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Board is a list that grows. Tests wait for what is to be on it. Its zero
// value is empty.
type Board[T any] struct {
	mu    sync.Mutex
	items []T
	more  chan struct{} // closed at the next change
}

// Add adds an item.
func (b *Board[T]) Add(item T) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.items = append(b.items, item)
	if b.more != nil {
		close(b.more)
		b.more = nil
	}
}

// Now returns all there is, and a channel that closes at the next change.
func (b *Board[T]) Now() ([]T, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.more == nil {
		b.more = make(chan struct{})
	}
	return slices.Clip(b.items), b.more
}

// All returns all there is.
func (b *Board[T]) All() []T {
	all, _ := b.Now()
	return all
}

// When waits until ok, and returns all there is.
func (b *Board[T]) When(t testing.TB, what string, ok func(all []T) bool) []T {
	t.Helper()
	limit := time.After(LongEnough)
	for {
		all, more := b.Now()
		if ok(all) {
			return all
		}
		select {
		case <-more:
		case <-limit:
			t.Fatalf("still waiting for %s among %d: %s", what, len(all), Brief(fmt.Sprint(all)))
		}
	}
}

// Output is text that grows, such as what a program writes, until it ends. Its
// zero value is empty. It is an io.Writer.
type Output struct {
	mu   sync.Mutex
	data []byte
	end  bool
	more chan struct{} // closed at the next change
}

// Collect reads all of r.
func Collect(r io.Reader) *Output {
	o := &Output{}
	go func() {
		_, _ = io.Copy(o, r)
		o.add(nil, true)
	}()
	return o
}

// Write adds p. It never fails.
func (o *Output) Write(p []byte) (int, error) {
	o.add(p, false)
	return len(p), nil
}

func (o *Output) add(p []byte, end bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.data, o.end = append(o.data, p...), end
	if o.more != nil {
		close(o.more)
		o.more = nil
	}
}

// Now returns all there is, whether that is its end, and a channel that closes at
// the next change.
func (o *Output) Now() (text string, end bool, more <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.more == nil {
		o.more = make(chan struct{})
	}
	return string(o.data), o.end, o.more
}

// Text returns all there is.
func (o *Output) Text() string {
	text, _, _ := o.Now()
	return text
}

// When waits until ok, and returns all there is.
func (o *Output) When(t testing.TB, what string, ok func(text string, end bool) bool) string {
	t.Helper()
	limit := time.After(LongEnough)
	for {
		text, end, more := o.Now()
		if ok(text, end) {
			return text
		}
		if end {
			t.Fatalf("at its end, waiting for %s, there is only %s", what, Brief(text))
		}
		select {
		case <-more:
		case <-limit:
			t.Fatalf("still waiting for %s there is %s", what, Brief(text))
		}
	}
}

// Until waits until want is there, and returns all there is.
func (o *Output) Until(t testing.TB, want string) string {
	t.Helper()
	return o.When(t, Brief(want), func(text string, _ bool) bool { return strings.Contains(text, want) })
}

// Is waits until as much is there as want. More than want, or something else,
// is an error.
func (o *Output) Is(t testing.TB, want string) {
	t.Helper()
	got := o.When(t, Brief(want), func(text string, end bool) bool { return len(text) >= len(want) || end })
	if got != want {
		t.Fatalf("there is %s, want %s", Brief(got), Brief(want))
	}
}

// Ends waits for its end, and returns all there was.
func (o *Output) Ends(t testing.TB) string {
	t.Helper()
	return o.When(t, "the end", func(_ string, end bool) bool { return end })
}
