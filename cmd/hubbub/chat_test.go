//go:build unix

package main

import (
	"fmt"
	"io"
	"strings"
	"testing"
)

func TestRelay(t *testing.T) {
	p := start(t, "serve", "127.0.0.1:0", "--relay")
	a, b := p.client(), p.client()
	a.says("from a\n")
	b.hears("from a\n")
	p.stdout.is(t, "from a\n")
	b.says("from b\n")
	a.hears("from b\n")
	p.says("from the source\n")
	a.hears("from the source\n")
	b.hears("from the source\n")
	p.stdout.is(t, "from a\nfrom b\n")
}

// enters is one more in a room, who is called so.
func (p *program) enters(name string, others ...*peer) *peer {
	p.t.Helper()
	c := p.client()
	c.says("/nick " + name + "\n")
	line, err := c.r.ReadString('\n')
	if !strings.HasPrefix(line, "* guest") || !strings.HasSuffix(line, " is here\n") {
		p.t.Fatalf("%q (%v)", line, err)
	}
	guest := strings.Fields(line)[1]
	c.hears("* " + guest + " is now " + name + "\n")
	for _, other := range others {
		other.hears("* " + guest + " is here\n* " + guest + " is now " + name + "\n")
	}
	return c
}

func TestChat(t *testing.T) {
	p := start(t, "serve", "127.0.0.1:0", "--chat", "--replay", "none")
	ann := p.enters("ann")
	bob := p.enters("bob", ann)
	ann.says("hello\n")
	bob.hears("<ann> hello\n")
	bob.says("\x1b[2Jhi\n") // shown, not obeyed
	ann.hears(`<bob> \x1b[2Jhi` + "\n")
	ann.says("/who\n")
	for _, name := range []string{"ann", "bob"} {
		if line, _ := ann.r.ReadString('\n'); !strings.HasPrefix(line, "* "+name+" (raw), since ") {
			t.Errorf("%q", line)
		}
	}
	ann.says("/nick BOB\n/nick a b\n/nick\n/what\n/help\n")
	for _, want := range []string{"* BOB is somebody else", "* a name has at most", "* /nick NAME", "* there is no /what", "* /nick NAME", "* /who", "* /help"} {
		if line, _ := ann.r.ReadString('\n'); !strings.HasPrefix(line, want) {
			t.Errorf("%q, want %q", line, want)
		}
	}
	bob.done()
	bob.hearsEnd()
	ann.hears("* bob has left\n")
	p.says("news\n")
	ann.hears("news\n")
	if text := p.stdout.text(); !strings.Contains(text, "<ann> hello\n<bob> ") || !strings.HasSuffix(text, "* bob has left\n") {
		t.Errorf("STDOUT is %q", text)
	}
}

// Nobody can speak for others: not by a newline in a message, nor by a name.
func TestChatTellsWhoSpeaks(t *testing.T) {
	p := start(t, "serve", "127.0.0.1:0", "--chat", "--replay", "none")
	ann := p.enters("ann")
	curl := dial(t, p.address())
	body := "one\n<ann> two"
	curl.says("POST /?name=%3Cann%3E HTTP/1.1\r\nHost: localhost\r\nContent-Length: 13\r\n\r\n" + body)
	ann.hears("<_ann_> one\n<_ann_> <ann> two\n")
	curl.says("POST /?name=ann HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nme")
	if line, _ := ann.r.ReadString('\n'); !strings.HasPrefix(line, "<ann-") {
		t.Errorf("%q", line)
	}
}

// Those who join miss nothing, and are told of nothing that they would.
func TestJoinsTalkToEachOther(t *testing.T) {
	p := start(t, "serve", "127.0.0.1:0", "--relay", "--json", "--replay", "none")
	ann := start(t, "join", p.address(), "--name", "ann", "--out", "tagged")
	bob := start(t, "join", p.address(), "--name", "bob", "--out", "json")
	p.stdout.until(t, `"name":"ann"`)
	p.stdout.until(t, `"name":"bob"`)
	for i := range 3 {
		ann.says(fmt.Sprintf("ann %d\n", i))
		bob.stdout.until(t, fmt.Sprintf(`"name":"ann","text":"ann %d"}`, i))
		bob.says(fmt.Sprintf("bob %d\n", i))
		ann.stdout.until(t, fmt.Sprintf("bob\tbob %d\n", i))
	}
	id := p.idOf("bob 0")
	p.says(`{"to":` + id + `,"text":"psst"}` + "\n" + `{"text":"all"}` + "\n")
	bob.stdout.until(t, `"private":true,"text":"psst"}`)
	ann.stdout.until(t, "-\tall\n")
	bob.stdout.until(t, `"text":"all"}`)
	for _, j := range []*program{ann, bob} {
		if text := j.stderr.text(); strings.Contains(text, "missing") {
			t.Errorf("it says %s", text)
		}
	}
	p.says(`{"kick":` + id + `,"reason":"enough"}` + "\n")
	bob.exits(exitFailed) // it does not come back
	bob.stderr.until(t, "kicked: enough")
}

// What nobody is there to hear is not kept for whoever comes next.
func TestChatDoesNotTalkToItself(t *testing.T) {
	p := start(t, "serve", "127.0.0.1:0", "--chat")
	ann := p.client()
	ann.says("/help\n")
	ann.until(" is here")
	ann.done()
	_, _ = io.Copy(io.Discard, ann.r)
	_ = ann.Close()
	p.stdout.until(t, " has left\n")
	p.stop(0)
}

// One line that is too long is its speaker's own affair.
func TestChatGoesOnBehindALineThatIsTooLong(t *testing.T) {
	p := start(t, "serve", "127.0.0.1:0", "--chat", "--replay", "none", "--max-line", "1KiB")
	ann := p.enters("ann")
	bob := p.enters("bob", ann)
	bob.says(strings.Repeat("x", 1020) + "\nafter it\n/nick rob\n")
	bob.hears("* that is too long\n")
	ann.hears("<bob> after it\n* bob is now rob\n")
}
