//go:build unix

package hubbub

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// A defect that makes a loop panic ends the hub with an error, and not the
// program around it.
func TestAPanicEndsTheHubOnly(t *testing.T) {
	t.Parallel()
	h, err := New(Options{Loops: 2})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	at, err := h.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.loops[0].do(func() { panic("on purpose") })
	if err := h.Wait(); err == nil || !strings.Contains(err.Error(), "a defect in hubbub ended a loop: on purpose") {
		t.Errorf("the hub ended with %v", err)
	}
	if c, err := net.Dial("tcp", at[0].String()); err == nil {
		_ = c.Close()
		t.Error("it listens on")
	}
	if err := h.Broadcast(ctx, []byte("hello")); !errors.Is(err, ErrClosed) {
		t.Errorf("Broadcast afterwards: %v", err)
	}
	if _, err := h.Receive(ctx); !errors.Is(err, io.EOF) {
		t.Errorf("Receive afterwards: %v", err)
	}
	if err := h.Drain(ctx, time.Second); err == nil {
		t.Error("Drain afterwards says that all is well")
	}
}
