//go:build unix

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"hubbub.example/internal/scene"
)

// This file is the stream of numbered lines, in which everything that is
// missing, torn, twice or out of order shows:
//
//	flood    writes it, as fast as it is taken
//	follow   reads it, and checks every byte

const (
	lineSize   = 128
	numberSize = 12
)

// letters fill the lines. Where they begin depends on the line's number, so
// that the end of another line would show.
var letters = strings.Repeat("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ", 4)

// appendLine appends line n.
func appendLine(b []byte, n int) []byte {
	number := [numberSize]byte{}
	for i, rest := numberSize-1, n; i >= 0; i, rest = i-1, rest/10 {
		number[i] = '0' + byte(rest%10)
	}
	b = append(append(b, number[:]...), ' ')
	b = append(b, letters[n%53:][:lineSize-numberSize-2]...)
	return append(b, '\n')
}

// numbered returns the first n lines.
func numbered(n int) []byte {
	var b []byte
	for i := range n {
		b = appendLine(b, i)
	}
	return b
}

// flow is a flood under way.
type flow struct {
	lines atomic.Int64 // that were taken
	stop  atomic.Bool
	ended chan struct{}
}

// flood writes the stream to w until told to stop, or w takes no more.
func flood(t *testing.T, w io.Writer) *flow {
	t.Helper()
	f := &flow{ended: make(chan struct{})}
	t.Cleanup(func() { f.stop.Store(true) })
	go func() {
		defer close(f.ended)
		for block, err := []byte(nil), error(nil); err == nil && !f.stop.Load(); {
			block = block[:0]
			for n := range 512 {
				block = appendLine(block, int(f.lines.Load())+n)
			}
			var took int
			took, err = w.Write(block)
			f.lines.Add(int64(took / lineSize))
		}
	}()
	return f
}

// ends stops it, and returns how many lines were taken.
func (f *flow) ends(t *testing.T) int {
	t.Helper()
	f.stop.Store(true)
	scene.Next(t, f.ended, "the flood to end")
	return int(f.lines.Load())
}

// follower reads the stream.
type follower struct {
	goal    int
	gaps    bool // lines may be missing, but none torn, none twice
	count   atomic.Int64
	reached chan struct{}
	ended   chan struct{}

	// After ended.
	lines int   // how many came
	last  int   // the last one's number
	err   error // what was wrong
}

// follow reads r to its end. Reached is closed after goal lines, or at the end.
func follow(r io.Reader, goal int) *follower { return (&follower{goal: goal}).start(r) }

// listener returns a client that follows.
func (p *program) listener(goal int) *follower {
	p.t.Helper()
	return follow(p.client(), goal)
}

func (f *follower) start(r io.Reader) *follower {
	f.last = -1
	f.reached, f.ended = make(chan struct{}), make(chan struct{})
	go func() {
		defer close(f.ended)
		f.err = f.read(bufio.NewReaderSize(r, 64<<10))
		if f.goal == 0 || f.lines < f.goal {
			close(f.reached)
		}
	}()
	return f
}

func (f *follower) read(r *bufio.Reader) error {
	var want []byte
	for {
		got, err := r.ReadSlice('\n')
		if errors.Is(err, io.EOF) && len(got) == 0 {
			return nil
		}
		if err != nil {
			return fmt.Errorf("after %d lines comes %s: %w", f.lines, scene.Brief(string(got)), err)
		}
		n := f.last + 1
		if f.gaps {
			if n, err = strconv.Atoi(string(got[:min(len(got), numberSize)])); err != nil || n <= f.last {
				return fmt.Errorf("after line %d comes %s", f.last, scene.Brief(string(got)))
			}
		}
		if want = appendLine(want[:0], n); !bytes.Equal(got, want) {
			return fmt.Errorf("line %d is %s", n, scene.Brief(string(got)))
		}
		f.last = n
		f.count.Store(int64(f.lines + 1))
		if f.lines++; f.lines == f.goal {
			close(f.reached)
		}
	}
}

// gets waits until the goal is reached.
func (f *follower) gets(t *testing.T) {
	t.Helper()
	scene.Next(t, f.reached, fmt.Sprintf("%d lines", f.goal))
	select {
	case <-f.ended:
		if f.err != nil {
			t.Fatal(f.err)
		}
		if f.lines < f.goal {
			t.Fatalf("the stream ends after %d lines, not %d", f.lines, f.goal)
		}
	default:
	}
}

// has reports whether so many lines are there by now.
func (f *follower) has(lines int) bool { return f.count.Load() >= int64(lines) }

// ends waits for the end and returns the number of lines.
func (f *follower) ends(t *testing.T) int {
	t.Helper()
	scene.Next(t, f.ended, "the end of the stream")
	if f.err != nil {
		t.Error(f.err)
	}
	return f.lines
}
