//go:build !linux

package main

import "os"

// reopened is f itself: to open /dev/fd/N here makes one more descriptor of
// the same description, and what would be nonblocking is everybody's.
func reopened(f *os.File, _ int) *os.File { return f }
