//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

func TestRelay(t *testing.T) {
	t.Parallel()
	p := start(t, "serve", "127.0.0.1:0", "--relay")
	a, b := p.client(), p.client()
	a.Says("from a\n")
	b.Hears("from a\n")
	p.stdout.Is(t, "from a\n")
	b.Says("from b\n")
	a.Hears("from b\n")
	p.says("from the source\n")
	a.Hears("from the source\n")
	b.Hears("from the source\n")
	p.stdout.Is(t, "from a\nfrom b\n")
}

// enters returns one more in a room, who is called so.
func (p *program) enters(name string, others ...*peer) *peer {
	p.t.Helper()
	c := p.client()
	c.Says("/nick " + name + "\n")
	line, err := c.R.ReadString('\n')
	if !strings.HasPrefix(line, "* guest") || !strings.HasSuffix(line, " is here\n") {
		p.t.Fatalf("%q (%v)", line, err)
	}
	guest := strings.Fields(line)[1]
	c.Hears("* " + guest + " is now " + name + "\n")
	for _, other := range others {
		other.Hears("* " + guest + " is here\n* " + guest + " is now " + name + "\n")
	}
	return c
}

func TestChat(t *testing.T) {
	t.Parallel()
	p := start(t, "serve", "127.0.0.1:0", "--chat", "--replay", "none")
	ann := p.enters("ann")
	bob := p.enters("bob", ann)
	ann.Says("hello\n")
	bob.Hears("<ann> hello\n")
	bob.Says("\x1b[2Jhi\n") // shown, not obeyed
	ann.Hears(`<bob> \x1b[2Jhi` + "\n")
	ann.Says("/who\n")
	for _, name := range []string{"ann", "bob"} {
		if line, _ := ann.R.ReadString('\n'); !strings.HasPrefix(line, "* "+name+" (raw), since ") {
			t.Errorf("%q", line)
		}
	}
	ann.Says("/nick BOB\n/nick a b\n/nick\n/what\n/help\n")
	for _, want := range []string{"* the name BOB is taken", "* names are 1–32 bytes", "* missing name: /nick NAME", "* unknown command /what", "* /nick NAME", "* /who", "* //TEXT", "* /help"} {
		if line, _ := ann.R.ReadString('\n'); !strings.HasPrefix(line, want) {
			t.Errorf("%q, want %q", line, want)
		}
	}
	bob.Done()
	bob.hearsEnd()
	ann.Hears("* bob has left\n")
	p.says("news\n")
	ann.Hears("news\n")
	p.stdout.When(t, "all that was said", func(text string, _ bool) bool { // STDOUT comes after those who are there
		return strings.Contains(text, "<ann> hello\n<bob> ") && strings.HasSuffix(text, "* bob has left\n")
	})
}

// Nobody can speak for others, neither with a newline in a message nor with a
// name.
func TestChatTellsWhoSpeaks(t *testing.T) {
	t.Parallel()
	p := start(t, "serve", "127.0.0.1:0", "--chat", "--replay", "none")
	ann := p.enters("ann")
	curl := dial(t, p.address())
	body := "one\n<ann> two"
	curl.Says("POST /?name=%3Cann%3E HTTP/1.1\r\nHost: localhost\r\nContent-Length: 13\r\n\r\n" + body)
	ann.Hears("<_ann_> one\n<_ann_> <ann> two\n")
	curl.Says("POST /?name=ann HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nme")
	if line, _ := ann.R.ReadString('\n'); !strings.HasPrefix(line, "<ann-") {
		t.Errorf("%q", line)
	}
}

// Several joins in a room miss nothing, and do not see their own lines again.
func TestJoinsTalkToEachOther(t *testing.T) {
	t.Parallel()
	p := start(t, "serve", "127.0.0.1:0", "--relay", "--json", "--replay", "none")
	ann := start(t, "join", p.address(), "--name", "ann", "--out", "tagged")
	bob := start(t, "join", p.address(), "--name", "bob", "--out", "json")
	p.stdout.Until(t, `"name":"ann"`)
	p.stdout.Until(t, `"name":"bob"`)
	for i := range 3 {
		ann.says(fmt.Sprintf("ann %d\n", i))
		bob.stdout.Until(t, fmt.Sprintf(`"name":"ann","text":"ann %d"}`, i))
		bob.says(fmt.Sprintf("bob %d\n", i))
		ann.stdout.Until(t, fmt.Sprintf("bob\tbob %d\n", i))
	}
	id := p.idOf("bob 0")
	p.says(`{"to":` + id + `,"text":"psst"}` + "\n" + `{"text":"all"}` + "\n")
	bob.stdout.Until(t, `"private":true,"text":"psst"}`)
	ann.stdout.Until(t, "-\tall\n")
	bob.stdout.Until(t, `"text":"all"}`)
	for _, j := range []*program{ann, bob} {
		if text := j.stderr.Text(); strings.Contains(text, "missing") {
			t.Errorf("it says %s", text)
		}
	}
	p.says(`{"kick":` + id + `,"reason":"enough"}` + "\n")
	bob.exits(exitFailed) // it does not come back
	bob.stderr.Until(t, "kicked: enough")
}

// A line that the room sends to an empty room is not kept for the next guest.
func TestChatDoesNotTalkToItself(t *testing.T) {
	t.Parallel()
	p := start(t, "serve", "127.0.0.1:0", "--chat")
	ann := p.client()
	ann.Says("/help\n")
	ann.until(" is here")
	ann.Done()
	_, _ = io.Copy(io.Discard, ann.R)
	_ = ann.Close()
	p.stdout.Until(t, " has left\n")
	p.stop(0)
}

// A line that a guest sends to an otherwise empty room is printed on STDOUT and
// does not count as lost: the next guest does not get it, and the exit code is 0.
func TestChatWithOneself(t *testing.T) {
	t.Parallel()
	p := start(t, "serve", "127.0.0.1:0", "--chat")
	ann := p.enters("ann")
	ann.Says("is anybody here?\n//me waits\n")
	p.stdout.Until(t, "<ann> is anybody here?\n<ann> /me waits\n")
	shy := p.client() // has said nothing, and is none so far
	ann.Says("hello?\n")
	shy.Hears("<ann> hello?\n")
	if line := ann.until(" is here"); strings.Contains(line, "ann") {
		t.Errorf("%q", line)
	}
	shy.until(" is here")
	shy.Says("yes\n")
	ann.until("> yes")
	p.stop(0)
}

// A client that leaves without having read a byte leaves nothing behind.
func TestChatForgetsWhoOnlyLookedIn(t *testing.T) {
	t.Parallel()
	p := start(t, "serve", "127.0.0.1:0", "--chat")
	c := p.client()
	c.Says("hello\n")
	p.stdout.Until(t, "<guest1> hello\n")
	if err := c.Conn.(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	p.stdout.Until(t, "* guest1 has left\n")
	post(t, p, "bob", "nobody hears this\n/nick rob\nnor this\n") // is not announced
	p.stdout.Until(t, "\n<bob> nobody hears this\n<rob> nor this\n")
	p.enters("ann")
	p.stop(0)
}

// post posts lines as one that is called so.
func post(t *testing.T, p *program, name, lines string) {
	t.Helper()
	answer, err := http.Post("http://"+p.address()+"/?"+url.Values{"name": {name}}.Encode(), "", strings.NewReader(lines))
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusNoContent {
		t.Fatalf("a post is answered with %s", answer.Status)
	}
}

// With --replay the lines of the room are kept like any others.
func TestChatIsKept(t *testing.T) {
	t.Parallel()
	for replay, before := range map[string]string{"unheard": "", "all": "* guest1 is here\n* guest1 is now ann\n", "2": "* guest1 is now ann\n"} {
		t.Run(replay, func(t *testing.T) {
			t.Parallel()
			p := start(t, "serve", "127.0.0.1:0", "--chat", "--replay", replay)
			p.enters("ann").Says("hello\n")
			p.stdout.Until(t, "<ann> hello\n")
			bob := p.client()
			bob.Says("/who\n")
			bob.Hears(before + "<ann> hello\n* guest2 is here\n")
			p.stop(0)
		})
	}
}

// A program behind a room gets what guests write to each other, under their names
// in the room, but none of their slash commands.
func TestChatWithAProgram(t *testing.T) {
	t.Parallel()
	p := start(t, "serve", "127.0.0.1:0", "--chat", "--in", "json", "--out", "json", "--replay", "none")
	ann := p.enters("ann")
	ann.Says("/who\nhello\n//x\n \n/help\nall\n")
	p.stdout.Until(t, `"text":"all"`)
	p.says(`{"id":1,"name":"rob"}` + "\n" + `{"kick":1,"reason":"spam\nspam"}` + "\n")
	p.stderr.Until(t, "line 1: with --chat guests choose their own names")
	p.stdout.Until(t, `"leave"`)
	var got []string
	for line := range strings.Lines(p.stdout.Text()) {
		var e struct{ Type, Name, Text, Reason string }
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		got = append(got, strings.Join([]string{e.Type, e.Name, e.Text + e.Reason}, " "))
	}
	want := []string{"join guest1 ", "message ann hello", "message ann /x", "message ann all", "leave ann kicked: spam\nspam"}
	if !slices.Equal(got, want) {
		t.Errorf("it is told %q, want %q", got, want)
	}
}

// The next process of a command gets each guest's current name.
func TestChatWithACommand(t *testing.T) {
	t.Parallel()
	p := answers(t, `while read -r line; do case $line in *die*) kill -9 $$;; esac; echo "{\"text\":\"$HUBBUB_START $(echo "$line" | tr -d '"')\"}"; done`, "--json", "--chat", "--replay", "none")
	ann := p.client()
	ann.Says("/nick ann\nhello\n")
	ann.until("1 {type:join")
	if line := ann.until("1 {type:message"); !strings.Contains(line, "name:ann,") || !strings.Contains(line, "text:hello}") {
		t.Error(line)
	}
	ann.Says("die\n")
	if line := ann.until("2 {type:join"); !strings.Contains(line, "name:ann,") {
		t.Error(line)
	}
	p.stop(0)
}

// If the server closes a guest's connection, the room says why, on one line. If
// the guest leaves, it does not.
func TestChatSaysWhoWasSentAway(t *testing.T) {
	t.Parallel()
	p := start(t, "serve", "127.0.0.1:0", "--chat", "--in", "json", "--max-line", "1KiB", "--replay", "none")
	ann := p.enters("ann")
	bob := p.enters("bob", ann)
	p.says(`{"kick":2,"reason":"spam\n<ann> me too"}` + "\n")
	bob.hearsEnd()
	ann.Hears(`* bob has left (kicked: spam\x0a<ann> me too)` + "\n")
	eve := p.enters("eve", ann)
	eve.Says(strings.Repeat("x", 3000))
	ann.Hears("* eve has left (sent a message longer than 1.0 KiB)\n")
}

// A guest that reconnects before the server notices the break keeps its name.
func TestChatKnowsWhoComesAgain(t *testing.T) {
	t.Parallel()
	p := start(t, "serve", "127.0.0.1:0", "--chat", "--loops", "2")
	want := "* ann is here\n"
	for range 5 {
		c, _, err := websocket.Dial(t.Context(), "ws://"+p.address()+"/?name=ann&session=0123456789abcdef", &websocket.DialOptions{Subprotocols: []string{"hubbub.v1"}})
		if err != nil {
			t.Fatal(err)
		}
		defer c.CloseNow()
		p.stdout.Is(t, want)
		want += "* ann has left (replaced by a newer connection of its session)\n* ann is here\n"
	}
}

// A name belongs to one guest only, for every reader: another case or invisible
// characters do not make another name, and no name looks like the text around it.
func TestChatNames(t *testing.T) {
	t.Parallel()
	p := start(t, "serve", "127.0.0.1:0", "--chat", "--replay", "none")
	kim := p.enters("kim")
	for _, name := range []string{
		"a<b", "*", "a/b", "a b", "a\u00a0b", "a\u2800b", "a\u3164", "\u0301a", "a\u200bb", "a\u202eb", "a\u2028b",
		strings.Repeat("é", 17), "a" + strings.Repeat("\u0301", 9), "\xff", "a\x07",
	} {
		kim.Says("/nick " + name + "\n")
		if line, _ := kim.R.ReadString('\n'); !strings.HasPrefix(line, "* names are 1–32 bytes of visible characters") {
			t.Errorf("to %q: %q", name, line)
		}
	}
	kim.Says("/nick \n/nick kim\n/nick Kim\n")
	kim.Hears("* missing name: /nick NAME\n* you already are kim\n* kim is now Kim\n")
	bob := p.enters("bob", kim)
	for _, name := range []string{"kim", "KIM", "\u212aim", "kim\ufe0f"} { // the first of the third is the Kelvin sign
		bob.Says("/nick " + name + "\n")
		bob.Hears("* the name " + name + " is taken\n")
	}
	for name, want := range map[string]string{
		"c d": "<c_d> hi\n", "<c>": "<_c_> hi\n", "c\u3164": `<c\u3164> hi` + "\n", "\u0301c": "<_\u0301c> hi\n",
		strings.Repeat("x", 60): "<" + strings.Repeat("x", 32) + "> hi\n",
		strings.Repeat("é", 30): "<" + strings.Repeat("é", 16) + "> hi\n",
	} {
		post(t, p, name, "hi\n")
		kim.Hears(want)
	}
	post(t, p, "kiM", "hi\n")
	if line, _ := kim.R.ReadString('\n'); !strings.HasPrefix(line, "<kiM-") {
		t.Errorf("%q", line)
	}
}

// A frame of many lines is many lines, with either line ending. Other separators
// end no line. A guest that writes faster than anybody can read harms nobody.
func TestChatTakesAFloodOfLines(t *testing.T) {
	t.Parallel()
	const lines = 10_000
	p := start(t, "serve", "127.0.0.1:0", "--chat", "--replay", "none")
	ann := p.enters("ann")
	c, _, err := websocket.Dial(t.Context(), "ws://"+p.address()+"/?name=bob", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	ann.Hears("* bob is here\n")
	var frame, want strings.Builder
	for i := range lines {
		fmt.Fprintf(&frame, "%d\r\n\r\n \n", i)
		fmt.Fprintf(&want, "<bob> %d\n", i)
	}
	for _, text := range []string{frame.String(), "a\u2028<ann> b", strings.Repeat("/nick rob\n/nick bob\n", lines/10), strings.Repeat("/who\n/what\n", lines/10), "the end"} {
		if err := c.Write(t.Context(), websocket.MessageText, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	ann.Hears(want.String() + `<bob> a\u2028<ann> b` + "\n" + strings.Repeat("* bob is now rob\n* rob is now bob\n", lines/10) + "<bob> the end\n")
	p.stdout.Until(t, "<bob> the end\n")
}

// In a large room /who lists a part of the guests, and finds those that it is
// asked for.
func TestWhoInACrowd(t *testing.T) {
	t.Parallel()
	const crowd = 150
	p := start(t, "serve", "127.0.0.1:0", "--chat", "--replay", "none")
	ann := p.enters("ann")
	for i := range crowd {
		c := p.client()
		c.Says(fmt.Sprintf("GET /?name=Nr%d HTTP/1.1\r\nHost: localhost\r\n\r\n", i))
		ann.Hears(fmt.Sprintf("* Nr%d is here\n", i))
	}
	ann.Says("/who\n")
	ann.Hears("* ann (raw)")
	for i := range 99 {
		ann.until(fmt.Sprintf("* Nr%d (text), since ", i))
	}
	ann.Hears(fmt.Sprintf("* and %d more; /who NAME searches\n", crowd-99))
	ann.Says("/who nR149\n")
	ann.until("* Nr149 (text), since ")
	ann.Says("/who nobody\n")
	ann.Hears("* no guest has such a name\n")
}

// A line that is too long affects its sender only.
func TestChatGoesOnBehindALineThatIsTooLong(t *testing.T) {
	t.Parallel()
	p := start(t, "serve", "127.0.0.1:0", "--chat", "--replay", "none", "--max-line", "1KiB")
	ann := p.enters("ann")
	bob := p.enters("bob", ann)
	bob.Says(strings.Repeat("x", 1020) + "\nafter it\n/nick rob\n")
	bob.Hears("* too long: a line has at most 1024 bytes, with your name\n")
	ann.Hears("<bob> after it\n* bob is now rob\n")
}
