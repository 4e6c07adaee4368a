//go:build unix

package hubbub

import (
	"testing"
	"unsafe"
)

// There is a client for each connection: it stays in its size class.
func TestAClientIsSmall(t *testing.T) {
	if n := unsafe.Sizeof(client{}); n > 160 {
		t.Errorf("a client takes %d bytes", n)
	}
}
