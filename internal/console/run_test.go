//go:build unix

package console

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/creack/pty"

	"hubbub.example/internal/scene"
)

// A terminal that takes nothing any more, as after ^S or when a network is
// gone, keeps neither who shows something nor the end.
func TestRunEndsWhenTheTerminalTakesNothing(t *testing.T) {
	t.Parallel()
	ours, theirs, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	defer theirs.Close()
	c := New(Options{In: theirs, Out: theirs})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	said := make([]byte, 1<<10)
	if _, err := ours.Read(said); err != nil { // it is there
		t.Fatal(err)
	}
	line := []byte(strings.Repeat("x", longest))
	for range 10 * keepMessages {
		c.Show(Message{Text: line})
	}
	cancel()
	if err := scene.Next(t, done, "the end of Run"); err != nil {
		t.Errorf("Run returned %v", err)
	}
}

// A panic in what the console is given ends the console and not the program,
// and says where it was.
func TestAPanicEndsTheConsoleAndNotTheProgram(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]Options{
		"Status":  {Status: func() Status { panic("oh no") }},
		"visible": {},
		"Send":    {Send: func(context.Context, string) error { panic("oh no") }},
	} {
		t.Run(name, func(t *testing.T) {
			ours, theirs, err := pty.Open()
			if err != nil {
				t.Fatal(err)
			}
			defer ours.Close()
			defer theirs.Close()
			go func() { _, _ = io.Copy(io.Discard, ours) }()
			o.In, o.Out = theirs, theirs
			c := New(o)
			if name == "visible" {
				c.paint.visible = func(_, _ []byte) []byte { panic("oh no") }
			}
			c.Show(Message{Text: []byte("hello")})
			c.model.queue.push(job{1, func(ctx context.Context) {
				if o.Send != nil {
					_ = o.Send(ctx, "")
				}
			}})
			err = c.Run(t.Context())
			panicked, is := errors.AsType[*PanicError](err)
			if !is || panicked.Value != "oh no" || !strings.Contains(string(panicked.Stack), "run_test.go") {
				t.Fatalf("Run returned %v", err)
			}
		})
	}
}
