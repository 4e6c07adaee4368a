//go:build unix

package engine

import (
	"context"
	"fmt"
	"iter"
	"testing"
	"unsafe"

	"hubbub.example/internal/engine/intake"
)

// There is one for each connection: a byte more, and the allocator takes 16.
func TestClientIsSmall(t *testing.T) {
	if n := unsafe.Sizeof(client{}); n > 144 {
		t.Errorf("a client has %d bytes", n)
	}
}

// takeAll leaves the inbox without a batch, as a caller does that has them all.
func (h *Engine) takeAll() (all []*intake.Batch) {
	for b := h.inbox.NewWriter().Batch(); b != nil; b = h.inbox.NewWriter().Batch() {
		all = append(all, b)
	}
	return all
}

// event is a record with one of its messages.
type event struct {
	*intake.Record
	data []byte
}

// eventsOf goes through a batch.
func eventsOf(b *intake.Batch) iter.Seq[event] {
	return func(yield func(event) bool) {
		for i := range b.Records() {
			r := &b.Records()[i]
			if r.Kind != intake.Message {
				if !yield(event{r, nil}) {
					return
				}
				continue
			}
			for data := range b.Messages(r) {
				if !yield(event{r, data}) {
					return
				}
			}
		}
	}
}

// events goes through all that comes.
func (h *Engine) events(ctx context.Context) iter.Seq[event] {
	return func(yield func(event) bool) {
		for {
			b, err := h.inbox.Receive(ctx)
			if err != nil {
				return
			}
			for e := range eventsOf(b) {
				if !yield(e) {
					b.Release()
					return
				}
			}
			b.Release()
		}
	}
}

func describe(e event) string {
	switch e.Kind {
	case intake.Message:
		return fmt.Sprintf("%d message %s", e.Client, e.data)
	case intake.Leave:
		return fmt.Sprintf("%d leave %s", e.Client, e.Why.Text)
	}
	return fmt.Sprintf("%d join", e.Client)
}
