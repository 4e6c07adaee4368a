//go:build unix

package main

import (
	"os"

	"hubbub.example/internal/stdio"
)

// reopened is f nonblocking, where that can be had without making it so for
// others: then a goroutine that waits for it waits in the runtime's poller and
// holds no thread. Elsewhere it is f itself.
func reopened(f *os.File, mode int) *os.File {
	if fd, ok := stdio.Descriptor(f); ok {
		if own, ok := stdio.Reopen(fd, mode); ok {
			return os.NewFile(uintptr(own), f.Name())
		}
	}
	return f
}
