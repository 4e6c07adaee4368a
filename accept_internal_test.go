//go:build unix

package hubbub

import (
	"net"
	"testing"
)

// However many are refused at once, those who are there are served.
func TestManyRefusedHarmNobody(t *testing.T) {
	t.Parallel()
	a := gather(t, 1, 3)
	a.loops[0].do(func() { a.descriptors = 3 })
	at, err := a.Listen("tcp://127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	for range 3 * maxRefused {
		c, err := net.Dial("tcp", at[0].String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
	}
	for refused := int64(0); refused < 3*maxRefused; refused = a.Stats().Refused {
		a.settle()
	}
	if err := a.Broadcast(t.Context(), []byte("still there?")); err != nil {
		t.Fatal(err)
	}
	a.hears([]byte("still there?\n"))
	a.settle()
	if n := a.Stats().Clients; n != 3 {
		t.Errorf("there are %d clients, want 3", n)
	}
}
