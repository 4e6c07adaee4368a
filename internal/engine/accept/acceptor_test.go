//go:build unix

package accept

import (
	"context"
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"hubbub.example/internal/sock"
)

// refusing is a poller that takes so many descriptors.
type refusing struct{ left int }

var errRefused = errors.New("refused")

func (r *refusing) AddReader(int) error {
	if r.left--; r.left < 0 {
		return errRefused
	}
	return nil
}

func (r *refusing) Remove(int) error { return nil }

// If one of several listeners cannot be watched, none of them stays open.
func TestAddKeepsAllListenersOrNone(t *testing.T) {
	a := NewAcceptor(&refusing{left: 1})
	t.Cleanup(a.CloseReserve)
	var all []*sock.Listener
	for range 3 {
		address, err := sock.ParseAddress("127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ls, err := sock.Listen(context.Background(), address, sock.Config{Set: func(int, bool) error { return nil }})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, ls...)
	}
	if err := a.Add(all); !errors.Is(err, errRefused) {
		t.Fatalf("Add says %v", err)
	}
	for i, ln := range all {
		if _, _, err := sock.Accept(ln.FD); !errors.Is(err, unix.EBADF) {
			t.Errorf("listener %d is still open: %v", i, err)
		}
		if a.Event(ln.FD) {
			t.Errorf("listener %d is kept", i)
		}
	}
}
