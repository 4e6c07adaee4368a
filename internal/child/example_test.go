//go:build unix

package child_test

import (
	"context"
	"fmt"
	"io"
	"os"

	"hubbub.example/internal/child"
)

// A command that fails once, and what was still to be said to it.
func ExampleRun() {
	inbox := make(chan []byte, 2) // batches of whole messages, as a hub receives them
	inbox <- []byte("ann\nbob\n")
	inbox <- []byte("eve\n")
	close(inbox)
	var rest []byte // of a batch, of which no process has had anything

	end, err := child.Run(context.Background(), child.Options{
		Args:   []string{"/bin/sh", "-c", `test $HUBBUB_START = 2 || exit 1; while read name; do echo "hello $name"; done`},
		Stderr: os.Stderr,
		Input: func(ctx context.Context, p *child.Process) {
			if p.Start == 1 {
				<-ctx.Done() // so that none of them is lost here
				return
			}
			for {
				n, err := p.Write(rest)
				rest = rest[n:]
				if err != nil {
					return // the next one gets the rest
				}
				var more bool
				select {
				case rest, more = <-inbox:
				case <-ctx.Done():
					return
				}
				if !more {
					return // and so its STDIN ends
				}
			}
		},
		// For plain lines hub.BroadcastFrom does, as it is.
		Output: func(_ context.Context, f *os.File) error {
			_, err := io.Copy(os.Stdout, f)
			return err
		},
		Ended: func(e child.End) { fmt.Println("code", e.Code, "again", e.Again > 0) },
	})
	fmt.Println("at last", end.Code, err)
	// Output:
	// code 1 again true
	// hello ann
	// hello bob
	// hello eve
	// code 0 again false
	// at last 0 <nil>
}
