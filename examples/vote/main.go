// Command vote is a live vote: say yes or no, as often as you change your mind.
// Everybody sees how it stands, once for all the votes of a tenth of a second.
//
//	go build -o vote ./examples/vote
//	hubbub serve :9000 --json -- ./vote
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"
)

type event struct {
	Type, Text string
	ID         uint64
}

func main() {
	events := make(chan event)
	go func() {
		defer close(events)
		for lines := json.NewDecoder(os.Stdin); ; {
			var e event
			if lines.Decode(&e) != nil {
				return
			}
			events <- e
		}
	}()
	votes := map[uint64]string{}
	var due <-chan time.Time // when the score is told; nil: it has not changed
	for {
		select {
		case e, ok := <-events:
			if !ok {
				return
			}
			if e.Type == "leave" {
				delete(votes, e.ID)
			} else if vote := strings.ToLower(strings.TrimSpace(e.Text)); vote == "yes" || vote == "no" {
				votes[e.ID] = vote
			} else {
				say(map[string]any{"to": e.ID, "text": "Say yes or no."})
				continue
			}
			if due == nil {
				due = time.After(100 * time.Millisecond)
			}
		case <-due:
			due = nil
			say(map[string]any{"text": score(votes)})
		}
	}
}

func score(votes map[uint64]string) string {
	count := map[string]int{}
	for _, vote := range votes {
		count[vote]++
	}
	return fmt.Sprintf("yes %d, no %d", count["yes"], count["no"])
}

func say(command map[string]any) {
	_ = json.NewEncoder(os.Stdout).Encode(command)
}
