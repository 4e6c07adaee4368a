//go:build unix

package main

import (
	"fmt"
	"io"
	"strings"
	"testing"
)

// idOf waits until a client whose first message is this has said it, and gives
// its id. Out is --out json.
func (p *program) idOf(message string) string {
	p.t.Helper()
	var id string
	p.stdout.When(p.t, "an event with "+message, func(text string, _ bool) bool {
		for line := range strings.Lines(text) {
			if strings.Contains(line, `"text":"`+message+`"`) {
				_, rest, _ := strings.Cut(line, `"id":`)
				id, _, _ = strings.Cut(rest, ",")
				return true
			}
		}
		return false
	})
	return id
}

// A program sends to one client, some, all, and all but some; it names and
// disconnects clients. An invalid line is logged with its number, and the others
// are carried out.
func TestInstructionsOnStdin(t *testing.T) {
	t.Parallel()
	p := start(t, "serve", "127.0.0.1:0", "--json")
	var ids []string
	all := []*peer{p.client(), p.client(), p.client()}
	for i, c := range all {
		c.Says(fmt.Sprintf("client %d\n", i))
		ids = append(ids, p.idOf(fmt.Sprintf("client %d", i)))
	}
	p.says(fmt.Sprintf(`{"text":"to all"}
{"to":%[1]s,"text":"to 0"}
{"to":[%[1]s,%[2]s],"base64":"dG8gMCBhbmQgMQ=="}
this is none
{"except":%[2]s,"text":"not to 1","unknown":[1,2]}
{"to":[99,%[3]s],"text":"to 2"}

{"name":"ann","id":%[1]s}
{"kick":%[3]s,"reason":"enough"}
{"text":"the end"}
`, ids[0], ids[1], ids[2]))
	all[0].Hears("to all\nto 0\nto 0 and 1\nnot to 1\nthe end\n")
	all[1].Hears("to all\nto 0 and 1\nthe end\n")
	all[2].Hears("to all\nnot to 1\nto 2\n")
	all[2].hearsEnd()
	p.stderr.Until(t, "line 6: there is no client 99\n")
	if text := p.stderr.Text(); !strings.Contains(text, "line 4: ") {
		t.Errorf("of line 4 it says nothing: %s", text)
	}
	all[0].Says("my name\n")
	p.stdout.Until(t, `"reason":"kicked: enough"`)
	p.stdout.Until(t, `"name":"ann","addr":`)
}

// A line longer than any instruction is skipped as a whole; no part of it is
// carried out.
func TestInstructionThatIsTooLong(t *testing.T) {
	t.Parallel()
	p := start(t, "serve", "127.0.0.1:0", "--in", "json", "--max-line", "1000")
	c := p.client()
	c.Says("hello\n")
	p.stdout.Until(t, "hello")
	p.says(`{"text":"` + strings.Repeat(" ", 2<<20) + `{"kick":1}"}` + "\n" + `{"text":"` + strings.Repeat("x", 1001) + `"}` + "\n" + `{"text":"the rest"}`)
	_ = p.stdin.Close() // a last line needs no newline
	c.Hears("the rest\n")
	p.stderr.Until(t, "line 1: longer than ")
	p.stderr.Until(t, "line 2: broadcast: a message of 1001 bytes is longer than the longest allowed, 1000\n")
}

// A client that does not read its private messages does not pace the program.
func TestPrivateMessageToAStalledClientHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	p := start(t, "serve", "127.0.0.1:0", "--json")
	stuck, other := p.client(), p.client()
	stuck.Says("stuck\n")
	other.Says("other\n")
	a, b := p.idOf("stuck"), p.idOf("other")
	line := strings.Repeat("x", 100_000)
	for range 200 {
		p.says(`{"to":` + a + `,"text":"` + line + `"}` + "\n")
	}
	p.says(`{"to":` + b + `,"text":"hello"}` + "\n")
	other.Hears("hello\n")
	p.stdout.Until(t, `"reason":"takes no private messages (`)
	_, _ = io.Copy(io.Discard, stuck.R)
}

// An instruction for a hundred thousand unknown clients delays nobody and does not
// fill the log.
func TestInstructionsForManyWhoAreNotThere(t *testing.T) {
	t.Parallel()
	const many = 100_000
	var ids strings.Builder
	for id := range many {
		fmt.Fprintf(&ids, ",%d", id+1)
	}
	p := start(t, "serve", "127.0.0.1:0", "--json")
	c := p.client()
	c.Says("hello\n")
	p.idOf("hello")
	p.says(`{"to":[` + ids.String()[1:] + `],"text":"to you"}` + "\n" + `{"kick":[2` + ids.String()[2:] + `]}` + "\n" + `{"text":"the end"}` + "\n")
	c.Hears("to you\nthe end\n")
	p.stderr.Until(t, "line 1: there are no clients [2 3 4 5 6 7 8 9 10 11] and 99989 more\n")
	p.stderr.Until(t, "line 2: there are no clients [2 3 4 5 6 7 8 9 10 11] and 99989 more\n")
}

func TestManyFaultsAreSummedUp(t *testing.T) {
	t.Parallel()
	p := start(t, "serve", "127.0.0.1:0", "--in", "json", "--eof", "exit")
	p.says(strings.Repeat("rubbish\n", 100_000))
	_ = p.stdin.Close()
	p.exits(0)
	if n := strings.Count(p.stderr.Ends(t), "\n"); n > 1000 {
		t.Errorf("it says so on %d lines", n)
	}
}

// Suppressed faults are counted, even if no other fault follows.
func TestTheLastFaultsAreCounted(t *testing.T) {
	t.Parallel()
	p := start(t, "serve", "127.0.0.1:0", "--in", "json")
	p.says(strings.Repeat("rubbish\n", faultsPerSecond+4))
	p.stderr.Until(t, "4 more invalid lines suppressed, the last at line 14\n")
}
