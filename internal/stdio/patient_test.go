//go:build unix

package stdio

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// Patient reads and writes everything through a pipe that another program made
// nonblocking.
func TestPatientWaitsForANonblockingFile(t *testing.T) {
	var fds [2]int
	if err := unix.Pipe(fds[:]); err != nil {
		t.Fatal(err)
	}
	r, w := os.NewFile(uintptr(fds[0]), "read"), os.NewFile(uintptr(fds[1]), "write")
	defer r.Close()
	for _, fd := range fds { // behind the back of os
		if err := unix.SetNonblock(fd, true); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, unix.EAGAIN) {
		t.Fatalf("without patience: %v", err)
	}
	want := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	written := make(chan error, 1)
	go func() {
		_, err := Patient{w}.Write(want)
		_ = w.Close()
		written <- err
	}()
	got, err := io.ReadAll(Patient{r})
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("read %d bytes of %d, %v", len(got), len(want), err)
	}
	if err := <-written; err != nil {
		t.Error(err)
	}
}
