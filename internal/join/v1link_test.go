package join

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"hubbub.example/internal/proto"
	"hubbub.example/internal/scene"
)

func TestV1BothWaysAtOnce(t *testing.T) {
	t.Parallel()
	s, j, p := meetV1(t, Options{}, `"seq":7`)
	p.tells(message(8, "from the server"))
	j.stdout.Until(t, "from the server\n")
	j.says("from STDIN\nhalf a li")
	p.told(sent(1, "from STDIN"))
	j.says("ne\r\n")
	p.told(sent(2, "half a line"))
	if p.host != s.Addr().String() {
		t.Errorf("the Host is %q", p.host)
	}
}

// What is no UTF-8 goes as base64, and comes so.
func TestV1BytesThatAreNoText(t *testing.T) {
	t.Parallel()
	_, j, p := meetV1(t, Options{}, "")
	j.says("\xff<&>\n\"\\\n\n")
	p.told(`{"type":"message","n":1,"base64":"/zwmPg=="}`, `{"type":"message","n":2,"text":"\"\\"}`, sent(3, ""))
	p.tells(`{"type":"message","seq":1,"base64":"/zwmPg=="}`, `{"type":"message","seq":2,"text":""}`, message(3, "\x00é"))
	j.stdout.Until(t, "\xff<&>\n\n\x00é\n")
}

// The next connection is the same session, begins where printing stands, and
// is sent what was not acknowledged.
func TestV1GoesOnWhereItStood(t *testing.T) {
	t.Parallel()
	s := listen(t, "127.0.0.1:0")
	last := 3
	j := startV1(t, s, Options{Name: "ann & bob", Last: &last})
	p := s.greets(`"seq":4`)
	p.ask("last", "3")
	p.ask("since", "")
	p.ask("name", "ann & bob")
	session := p.asked.Get("session")
	if len(session) < 16 || len(session) > 64 {
		t.Errorf("the session is %q", session)
	}
	p.tells(message(5, "five"), message(6, "six"))
	j.says("one\ntwo\nthree\nfour\n")
	p.told(sent(1, "one"), sent(2, "two"))
	p.tells(ack(1))
	j.stdout.Until(t, "six\n")
	p.Reset()

	p = s.greets(`"seq":6,"ack":2`)
	p.ask("session", session)
	p.ask("since", "e1-6")
	p.ask("last", "")
	p.ask("name", "ann & bob")
	p.told(sent(3, "three"), sent(4, "four"))
	p.tells(message(6, "six"), message(7, "seven"))
	j.stdout.Until(t, "seven\n")
	j.stdout.Is(t, "five\nsix\nseven\n")
	j.says("five\n")
	p.told(sent(5, "five"))
	j.log.Until(t, "back at "+s.Addr().String())
}

// A server that was started anew knows no session: what it never acknowledged
// it gets, with the numbers going on.
func TestV1NumbersGoOnWithANewServer(t *testing.T) {
	t.Parallel()
	s, j, p := meetV1(t, Options{}, "")
	j.says("one\ntwo\n")
	p.told(sent(1, "one"), sent(2, "two"))
	p.tells(ack(1), message(1, "acknowledged"))
	j.stdout.Until(t, "acknowledged\n")
	p.Reset()
	p = s.greets(`"epoch":"e2","unknown":true`)
	p.told(sent(2, "two"))
	p.tells(message(1, "anew"))
	j.stdout.Until(t, "acknowledged\nanew\n")
	j.log.Until(t, "the server was restarted")
}

// What it said itself before a break comes back as if somebody else had, since
// it has another number now: it is not printed, and not asked for again. In
// another epoch the number is another's.
func TestV1KnowsItsOwnBehindABreak(t *testing.T) {
	t.Parallel()
	s, j, p := meetV1(t, Options{Out: Tagged}, `"id":7`)
	p.tells(from(8, message(1, "one")))
	j.stdout.Until(t, "8\tone\n")
	p.Reset()
	p = s.greets(`"id":9,"seq":1`)
	p.tells(from(7, message(2, "mine")), from(8, message(3, "three")), from(7, message(4, "mine too")))
	j.stdout.Until(t, "three\n")
	p.tells(`{"type":"heartbeat"}`)
	p.told(`{"type":"heartbeat"}`) // it has heard all of that
	p.Reset()
	p = s.greets(`"id":10,"seq":4`)
	p.ask("since", "e1-4")
	p.tells(from(9, message(5, "mine")), from(7, message(6, "mine")), from(11, message(7, "seven")))
	j.stdout.Until(t, "seven\n")
	p.Reset()
	p = s.greets(`"epoch":"e2","id":2,"seq":0,"unknown":true`)
	p.tells(from(7, message(1, "another's")), from(2, message(2, "mine")), message(3, "the server's"))
	j.stdout.Until(t, "-\tthe server's\n")
	j.stdout.Is(t, "8\tone\n8\tthree\n11\tseven\n7\tanother's\n-\tthe server's\n")
}

// What does not come is said, on STDERR and, as JSON, in its place.
func TestV1WhatIsMissingIsSaid(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, hello, says string
		log, out          string
	}{
		{"gone", `"seq":12,"missed":3`, message(13, "x"), "missed 3 messages, which the server no longer keeps", `{"type":"missed","count":3,"epoch":"e1","seq":12}`},
		{"gone, not said so", `"seq":10`, message(11, "x"), "missed 1 message, which the server no longer keeps", `{"type":"missed","count":1,"epoch":"e1","seq":10}`},
		{"a new server", `"epoch":"e2","seq":3,"unknown":true`, message(4, "x"), "the server was restarted", `{"type":"unknown","epoch":"e2","seq":3}`},
		{"a future point", `"seq":3,"unknown":true`, message(4, "x"), "the server has not reached e1-9 yet", `{"type":"unknown","epoch":"e1","seq":3}`},
		{"skipped", `"seq":9`, `{"type":"skipped","count":12,"seq":21}`, "the server skipped 12 messages", `{"type":"skipped","count":12,"epoch":"e1","seq":21}`},
		{"a gap", `"seq":9`, message(12, "x"), "missed 2 messages", `{"type":"missed","count":2,"epoch":"e1","seq":11}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, j, p := meetV1(t, Options{Since: proto.Point{Epoch: "e1", Seq: 9}, Out: JSON}, c.hello)
			p.ask("since", "e1-9")
			p.tells(c.says)
			j.stdout.Until(t, c.out+"\n")
			if strings.Contains(c.says, `"x"`) {
				j.stdout.Until(t, c.out+"\n"+`{"type":"message","seq":`)
			}
			j.log.Until(t, c.log)
		})
	}
}

func TestV1GoodbyesAndWhatFollows(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		code   int
		why    string // in a message before
		reason string
		fail   string // "": it comes back
	}{
		{1001, "", "", ""},
		{1001, "shutdown", "restarting", ""},
		{1008, "lapped", "lapped (64 MiB behind)", ""},
		{1008, "slow", "too slow", ""},
		{1008, "idle", "idle", ""},
		{1008, "unheard-of", "replaced", ""},
		{1000, "", "", ""}, // not asked for
		{1012, "", "", ""},
		{1013, "", "busy", ""},
		{1014, "", "", ""},
		{1008, "replaced", "by another", "by another (1008)"},
		{1008, "kicked", "", "(1008)"},
		{1002, "", "", "(1002)"},
		{1007, "", "", "(1007)"},
		{1009, "too_long", "too long", "too long (1009)"},
	} {
		t.Run(fmt.Sprint(c.code, c.why), func(t *testing.T) {
			s, j, p := meetV1(t, Options{}, "")
			p.tells(message(1, "one"))
			if c.why != "" {
				p.tells(`{"type":"close","code":"` + c.why + `","reason":"x"}`)
			}
			p.goodbye(c.code, c.reason)
			if c.fail != "" {
				j.failsWith(c.fail)
				s.acceptsNoMore()
			} else {
				p := s.greets(`"seq":1`)
				p.ask("since", "e1-1")
				p.tells(message(2, "two"))
				j.stdout.Until(t, "one\ntwo\n")
				j.log.Until(t, c.reason)
			}
		})
	}
}

// A server that does not keep to the protocol is told so, and not asked again.
func TestV1BreachIsTheEnd(t *testing.T) {
	t.Parallel()
	for _, says := range []string{
		`not JSON`, `[]`, `null`, `{"type":"message","seq":1}`, `{"type":"message","text":"x"}`, `{"type":"message","seq":-1,"text":"x"}`,
		`{"type":"message","seq":1,"base64":"?"}`, ack(1), `{"type":"hello"}`,
	} {
		_, j, p := meetV1(t, Options{}, "")
		p.tells(says)
		p.toldGoodbye(1002)
		j.failsWith("broke the protocol")
	}
	for _, hello := range []string{
		`{"type":"message","seq":1,"text":"x"}`, `{"type":"hello"}`, `{"type":"hello","epoch":"a b"}`, `{"type":"hello","epoch":"e1","ack":1}`, `x`,
	} {
		s := listen(t, "127.0.0.1:0")
		j := startV1(t, s, Options{})
		s.upgrades().tells(hello)
		j.failsWith("broke the protocol")
		s.acceptsNoMore()
	}
}

// What is not known yet is for others.
func TestV1IgnoresWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	_, j, p := meetV1(t, Options{}, `"color":"green"`)
	p.tells(`{"type":"weather","text":5,"seq":"x"}`, `{}`, `{"type":"message","seq":1,"text":"x","mood":[1]}`)
	j.stdout.Until(t, "x\n")
	j.runs()
}

func TestV1HalfCloseTellsTheEndAndPrintsWhatStillComes(t *testing.T) {
	t.Parallel()
	s, j, p := meetV1(t, Options{Stdin: strings.NewReader("question\nand more")}, "")
	p.told(sent(1, "question"), sent(2, "and more"), `{"type":"end"}`)
	p.tells(ack(2), message(1, "ans"))
	j.stdout.Until(t, "ans\n")
	j.runs()
	p.tells(message(2, "wer"))
	p.goodbye(1000, "")
	j.endsWell()
	j.stdout.Is(t, "ans\nwer\n")
	s.acceptsNoMore()
}

// Not even a break after the end of STDIN loses anything, either way.
func TestV1ComesBackAfterTheEndOfStdin(t *testing.T) {
	t.Parallel()
	s, j, p := meetV1(t, Options{Stdin: strings.NewReader("all\n")}, "")
	p.told(sent(1, "all"), `{"type":"end"}`)
	p.Reset()
	p = s.greets("")
	p.told(sent(1, "all"), `{"type":"end"}`)
	p.tells(ack(1), message(1, "so"))
	j.stdout.Until(t, "so\n")
	p.Reset()
	p = s.greets(`"seq":1,"ack":1`)
	p.told(`{"type":"end"}`)
	p.tells(message(2, "what"))
	p.goodbye(1001, "")
	j.endsWell()
	j.stdout.Is(t, "so\nwhat\n")
}

// Whoever ends STDIN by hand wants to be gone, also while there is no server.
func TestV1PersonIsNotKeptByAServerThatIsGone(t *testing.T) {
	t.Parallel()
	s, j, p := meetV1(t, Options{Input: Terminal}, "")
	j.says("all\n")
	p.told(sent(1, "all"))
	p.tells(ack(1), message(1, "x"))
	j.stdout.Until(t, "x\n")
	j.losesServer(s, p.peer)
	_ = j.stdin.Close()
	j.failsWith("lost ")
}

func TestV1StayTellsNobodyOfStdinsEnd(t *testing.T) {
	t.Parallel()
	s, j, p := meetV1(t, Options{Stdin: strings.NewReader("one"), EOF: Stay}, "")
	p.told(sent(1, "one"))
	p.tells(ack(1))
	p.hearsNothing()
	p.tells(message(1, "still here"))
	j.stdout.Until(t, "still here\n")
	p.goodbye(1001, "")
	p = s.greets(`"seq":1,"ack":1`)
	p.hearsNothing()
	j.runs()
}

// With --eof=exit it stays until all is acknowledged, across a break, and no
// longer.
func TestV1ExitLeavesOnceAllIsAcknowledged(t *testing.T) {
	t.Parallel()
	s, j, p := meetV1(t, Options{Stdin: strings.NewReader("one\ntwo\n"), EOF: Exit}, "")
	p.told(sent(1, "one"), sent(2, "two"))
	p.tells(ack(1))
	p.hearsNothing()
	p.Reset()
	p = s.greets(`"ack":1`)
	p.told(sent(2, "two"))
	j.runs()
	p.tells(ack(2))
	p.toldGoodbye(1000)
	j.endsWell() // the server says nothing more
	s.acceptsNoMore()
}

func TestV1ExitWithoutAnythingToSay(t *testing.T) {
	t.Parallel()
	_, j, p := meetV1(t, Options{Stdin: strings.NewReader(""), EOF: Exit}, "")
	p.toldGoodbye(1000)
	j.endsWell()
}

// A watcher has nothing to say and stays; when it leaves it says goodbye.
func TestV1WatcherStaysAndLeaves(t *testing.T) {
	t.Parallel()
	_, j, p := meetV1(t, Options{Stdin: strings.NewReader("")}, "")
	p.hearsNothing()
	p.tells(message(1, "one"))
	j.stdout.Until(t, "one\n")
	j.stop()
	p.toldGoodbye(1000)
	p.goodbye(1000, "")
	j.endsWell()
	j.log.Until(t, "at e1-1")
}

func TestV1StopWaitsForWhatIsAcknowledged(t *testing.T) {
	t.Parallel()
	_, j, p := meetV1(t, Options{}, "")
	j.log.Until(t, "connected to")
	j.says("one\nhalf")
	p.told(sent(1, "one"))
	j.stop()
	p.told(sent(2, "half"))
	p.tells(ack(1))
	j.runs()
	p.tells(ack(2))
	p.toldGoodbye(1000)
	p.tells(message(1, "goodbye"))
	p.goodbye(1000, "")
	j.endsWell()
	j.stdout.Is(t, "goodbye\n")
}

// What STDIN gives after that is not its business: not the rest of the message
// with which it was told to stop either.
func TestV1StopWaitsForNothingThatComesLater(t *testing.T) {
	t.Parallel()
	s := listen(t, "127.0.0.1:0")
	in := pieceReader{make(chan string), make(chan struct{})}
	defer close(in.pieces)
	j := startV1(t, s, Options{Stdin: in})
	p := s.greets("")
	await(t, in.reading, "STDIN to be read")
	in.pieces <- "one\nhalf"
	await(t, in.reading, "STDIN to be read")
	j.stop()
	p.told(sent(1, "one"), sent(2, "half"))
	in.pieces <- " and half\nmore\n"
	p.tells(ack(2))
	p.toldGoodbye(1000)
	p.goodbye(1000, "")
	j.endsWell()
}

// pieceReader is a STDIN that says when it is read.
type pieceReader struct {
	pieces  chan string
	reading chan struct{}
}

func (r pieceReader) Read(p []byte) (int, error) {
	r.reading <- struct{}{}
	piece, more := <-r.pieces
	if !more {
		return 0, io.EOF
	}
	return copy(p, piece), nil
}

func TestV1StopSaysWhatIsNotAcknowledged(t *testing.T) {
	t.Parallel()
	for name, then := range map[string]func(*server, *v1peer, *joined){
		"connected":    func(_ *server, p *v1peer, j *joined) { j.stop(); p.Reset() },
		"trying again": func(s *server, p *v1peer, j *joined) { j.losesServer(s, p.peer); j.stop() },
	} {
		t.Run(name, func(t *testing.T) {
			s, j, p := meetV1(t, Options{}, "")
			j.says("one\ntwo\n")
			p.told(sent(1, "one"), sent(2, "two"))
			p.tells(ack(1), message(1, "x"))
			j.stdout.Until(t, "x\n")
			then(s, p, j)
			j.failsWith("4 bytes of STDIN not acknowledged")
		})
	}
}

func TestV1OnceDoesNotComeBack(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end  func(*v1peer)
		fail string
	}{
		"orderly": {func(p *v1peer) { p.goodbye(1001, "") }, ""},
		"crash":   {func(p *v1peer) { p.Reset() }, "reset"},
	} {
		t.Run(name, func(t *testing.T) {
			s, j, p := meetV1(t, Options{Once: true}, "")
			p.tells(message(1, "x"))
			j.stdout.Until(t, "x\n")
			c.end(p)
			j.endsWith(c.fail)
			s.acceptsNoMore()
		})
	}
}

func TestV1HeartbeatsAreAnswered(t *testing.T) {
	t.Parallel()
	s := listen(t, "127.0.0.1:0")
	startV1(t, s, Options{})
	p := s.greets("")
	for range 100 {
		p.tells(`{"type":"heartbeat"}`)
		p.told(`{"type":"heartbeat"}`)
	}
}

// A server that says nothing for two heartbeats is gone, though the connection
// may not know.
func TestV1ServerThatIsSilentForTwoHeartbeatsIsGivenUp(t *testing.T) {
	t.Parallel()
	s, j, p := meetV1(t, Options{}, `"heartbeat":1`)
	p.tells(message(1, "one"))
	j.log.Until(t, "the server does not answer any more")
	p = s.greets(`"seq":1`)
	p.tells(message(2, "two"))
	j.stdout.Until(t, "one\ntwo\n")
}

// A STDOUT that nobody reads stops no sending, though receipts come behind
// messages; and all is printed in the end, once.
func TestV1NothingWaitsForStdout(t *testing.T) {
	t.Parallel()
	out := newBlockedWriter()
	s, j, p := meetV1(t, Options{Stdout: out}, "")
	p.tells(message(1, "1"))
	await(t, out.blocked, "a blocked STDOUT")

	const flood, size = 400, 10_000 // 4 MB: more than is kept
	line := strings.Repeat("y", size-1)
	want := "1\n"
	go func() { // 4 MB too
		for range flood {
			_, _ = io.WriteString(j.stdin, line+"\n")
		}
	}()
	for n := 1; n <= flood; n++ {
		p.told(fmt.Sprintf(`{"type":"message","n":%d,"text":%q}`, n, line))
		p.tells(message(n+1, fmt.Sprint(n+1, line)), fmt.Sprintf(`{"type":"ack","n":%d}`, n))
		want += fmt.Sprint(n+1, line) + "\n"
	}
	close(out.release)
	p = s.greets(fmt.Sprintf(`"ack":%d`, flood)) // dropped meanwhile: asked for again
	j.log.Until(t, "STDOUT was too slow")
	for n := range flood + 1 {
		if n == 0 {
			p.tells(message(1, "1"))
		} else {
			p.tells(message(n+1, fmt.Sprint(n+1, line)))
		}
	}
	out.Until(t, fmt.Sprint(flood+1, line))
	if got := out.Text(); got != want {
		t.Errorf("STDOUT got %d bytes of %d", len(got), len(want))
	}
}

// While STDOUT is blocked and nobody waits for receipts, the server is held
// back, not skipped; it is shown that we live.
func TestV1BlockedStdoutHoldsTheServerBack(t *testing.T) {
	t.Parallel()
	out := newBlockedWriter()
	_, j, p := meetV1(t, Options{Stdout: out}, `"heartbeat":2`)
	const count = 2000
	line := strings.Repeat("z", 10_000)
	sent := make(chan struct{})
	go func() { // 20 MB, and then what a server says that has nothing to say
		defer func() {
			close(sent)
			for {
				if _, err := io.WriteString(p.Conn, frameOf(`{"type":"heartbeat"}`)); err != nil {
					return
				}
				<-time.After(50 * time.Millisecond)
			}
		}()
		for n := 1; n <= count; n++ {
			if _, err := io.WriteString(p.Conn, frameOf(message(n, line))); err != nil {
				return
			}
		}
	}()
	await(t, out.blocked, "a blocked STDOUT")
	p.told(`{"type":"heartbeat"}`, `{"type":"heartbeat"}`)
	select {
	case <-sent:
		t.Fatal("everything was taken from the server, although STDOUT takes nothing")
	default:
	}
	close(out.release)
	await(t, sent, "the server to be read")
	scene.Until(t, "all is printed", func() bool { return len(out.Text()) == count*(len(line)+1) })
	j.runs()
}

// A server that does not read stops no printing.
func TestV1NothingWaitsForServerThatDoesNotRead(t *testing.T) {
	t.Parallel()
	in := newEndless()
	_, j, p := meetV1(t, Options{Stdin: in}, "")
	_ = p.Conn.(*net.TCPConn).SetReadBuffer(4096)
	in.awaitPause(t)
	for i := 1; i <= 1000; i++ {
		p.tells(message(i, fmt.Sprint(i)), `{"type":"heartbeat"}`)
	}
	j.stdout.Until(t, "\n1000\n")
	if n := in.n.Load(); n > ringSize+16<<20 {
		t.Errorf("%d bytes of STDIN were read for a server that takes none", n)
	}
	p.Reset()
}

// A message longer than the server takes is left out and said; those around it
// arrive.
func TestV1MessageThatIsTooLongIsSaid(t *testing.T) {
	t.Parallel()
	_, j, p := meetV1(t, Options{Stdin: strings.NewReader("12345678\n123456789\r\n1234567890\r\n12345678\r\nend\n" + strings.Repeat("x", 5<<20))}, `"longest":8`)
	p.told(sent(1, "12345678"))
	p.tells(ack(1))
	p.told(sent(2, "12345678"), sent(3, "end"))
	p.tells(ack(3))
	p.told(`{"type":"end"}`)
	p.goodbye(1000, "")
	j.failsWith("did not send 3 messages of STDIN: the server takes 8 bytes at most")
	j.log.Until(t, "a message of STDIN is longer than the server takes (8 bytes)")
}

// What the server takes it gets, be it longer than the ring was.
func TestV1LongMessagesGoThrough(t *testing.T) {
	t.Parallel()
	const longest = 5 << 20
	s := listen(t, "127.0.0.1:0")
	long := strings.Repeat("x", longest)
	j := startV1(t, s, Options{Stdin: strings.NewReader("short\n" + long + "\n" + long)})
	p := s.greets(fmt.Sprintf(`"longest":%d`, longest))
	p.told(sent(1, "short"))
	p.tells(ack(1))
	p.told(`{"type":"message","n":2,"text":"` + long + `"}`)
	p.Reset() // it comes again
	p = s.greets(fmt.Sprintf(`"longest":%d,"ack":1`, longest))
	p.told(`{"type":"message","n":2,"text":"` + long + `"}`)
	p.tells(ack(2))
	p.told(`{"type":"message","n":3,"text":"`+long+`"}`, `{"type":"end"}`)
	p.tells(message(1, long), ack(3))
	p.goodbye(1000, "")
	j.endsWell()
	if got := j.stdout.Text(); got != long+"\n" {
		t.Errorf("STDOUT got %d bytes", len(got))
	}
}

func TestV1Records(t *testing.T) {
	t.Parallel()
	_, j, p := meetV1(t, Options{Stdin: strings.NewReader("abcdefghij"), Frame: 4}, "")
	p.told(sent(1, "abcd"), sent(2, "efgh"))
	p.tells(ack(2))
	p.told(`{"type":"end"}`)
	p.tells(message(1, "ijkl"), message(2, "mnop"))
	p.goodbye(1000, "")
	j.failsWith("did not send the end of STDIN: it is shorter than a record of 4 bytes")
	j.stdout.Is(t, "ijklmnop")
}

func TestV1EverythingIsPrintedBeforeTheEnd(t *testing.T) {
	t.Parallel()
	out := newBlockedWriter()
	_, j, p := meetV1(t, Options{Stdin: strings.NewReader("?"), Stdout: out}, "")
	p.told(sent(1, "?"), `{"type":"end"}`)
	p.tells(ack(1), message(1, "an answer"))
	await(t, out.blocked, "a blocked STDOUT")
	p.tells(message(2, "and another"))
	p.goodbye(1000, "")
	j.log.Until(t, "connected to")
	select {
	case err := <-j.ended:
		t.Fatalf("Run has ended: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(out.release)
	j.endsWell()
	out.Is(t, "an answer\nand another\n")
}

func TestV1StdoutLostEndsTheClient(t *testing.T) {
	t.Parallel()
	s := listen(t, "127.0.0.1:0")
	j := startV1(t, s, Options{Stdout: lostWriter{}})
	s.greets("").tells(message(1, "x"))
	j.failsWith("write STDOUT: io: read/write on closed pipe")
}
