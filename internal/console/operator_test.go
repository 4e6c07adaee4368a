//go:build unix

package console_test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// What comes while somebody types must not tear what is typed, also when it
// comes fast, and nothing of it is lost.
func TestTypingGoesOnWhileAThousandMessagesASecondCome(t *testing.T) {
	t.Parallel()
	term := open(t, 80, 24, "-rate 1000")
	const text = "the quick brown fox, with ünicode 漢字 and a second of patience"
	for _, r := range text {
		term.types(string(r))
	}
	term.line(text)
	for range 3 {
		for line := range strings.SplitSeq(term.screen(), "\n") {
			if strings.Contains(line, "quick") && line != "> "+text {
				t.Errorf("the line being typed is torn: %q", line)
			}
		}
		term.press("Left", "Left", "Right", "Right")
	}
	term.press("Enter")
	term.did("send " + strconv.Quote(text))
	message := regexp.MustCompile(`message (\d+) of many\n>`)
	term.until("message 3000", func(s string) bool {
		m := message.FindStringSubmatch(s)
		if m == nil {
			return false
		}
		n, _ := strconv.Atoi(m[1])
		return n >= 3000
	})
	term.press("C-c")
	term.givenBack(0)
	whole := regexp.MustCompile(`^\d( ann| 漢字)?: message (\d+) of many$`)
	next := 1
	for line := range strings.SplitSeq(term.all(), "\n") {
		if m := whole.FindStringSubmatch(line); m != nil {
			if n, _ := strconv.Atoi(m[2]); n != next {
				t.Fatalf("message %d is where message %d should be", n, next)
			}
			next++
		} else if strings.Contains(line, "of many") {
			t.Errorf("a torn message: %q", line)
		}
	}
	if next < 3000 {
		t.Errorf("%d messages are in the scroll-back", next-1)
	}
}

// What comes faster than a terminal takes is counted, to the last one.
func TestWhatIsNotDrawnIsCounted(t *testing.T) {
	t.Parallel()
	term := open(t, 80, 24, "")
	term.enter("/flood 200000")
	term.shows(": flood 200000")
	term.shows("skipped")
	term.press("C-c")
	term.givenBack(0)
	counted, drawn := 0, 0
	undrawn := regexp.MustCompile(`^… ([\d,]+) messages? skipped`)
	for line := range strings.SplitSeq(term.all(), "\n") {
		if m := undrawn.FindStringSubmatch(line); m != nil {
			n, _ := strconv.Atoi(strings.ReplaceAll(m[1], ",", ""))
			counted += n
		} else if strings.Contains(line, ": flood ") {
			drawn++
		}
	}
	if counted == 0 || counted+drawn != 200000 {
		t.Errorf("%d messages are drawn and %d are said not to be: together %d, want 200000", drawn, counted, counted+drawn)
	}
}

func TestEveryCommandDoesWhatItSays(t *testing.T) {
	t.Parallel()
	term := open(t, 80, 40, "")
	for _, c := range []struct{ enter, shows, does string }{
		{"hello all", "> hello all", `send "hello all"`},
		{"//to is a command", "> /to is a command", `send "/to is a command"`},
		{"unsendable", "! not sent: the hub is closed: unsendable", ""},
		{"/to 3 only you", "> /to 3 only you", `to 3 "only you"`},
		{"/to #1 and you", "> /to #1 and you", `to 1 "and you"`},
		{"/to ann by name", "> /to ann by name", `to 1 "by name"`},
		{"/to 3", "! /to: missing message: /to WHO TEXT", ""},
		{"/to 99 nobody", "! /to: there is no client 99", ""},
		{"/to bob hi", "! /to: no client is called bob (Tab completes names, /who lists all)", ""},
		{"/mute 1", "* muted 1; undo with /unmute 1", "mute 1 true"},
		{"/unmute 1", "* unmuted 1", "mute 1 false"},
		{"/mute 1 now", "! /mute: takes one client and nothing else: /mute WHO", ""},
		{"/kick", "! /kick: missing client: give its ID or name (Tab completes it, /who lists all)", ""},
		{"/kick 2 too loud", "* kicked 2", `kick 2 "too loud"`},
		{"/kick 2", "! /kick: there is no client 2", ""},
		{"/err disk full", "hubbub: disk full", ""},
		{"/nonsense", "! no command /nonsense: /help lists commands; //nonsense sends it as a message", ""},
		{"/last 0", "! /last 0: must be a number from 1 to 500", ""},
		{"/last", "* no matching messages in memory", ""},
		{"/help", "* /kick WHO [REASON]        close a client's connection", ""},
	} {
		term.press("C-l")
		term.hides("* ")
		term.enter(c.enter)
		term.shows("\n" + c.shows)
		if c.does != "" {
			term.did(c.does)
		}
		term.line("")
	}
	term.enter("/quit")
	term.givenBack(0)
}

func TestTheTablesAreLiveAndMessagesGoOnAboveThem(t *testing.T) {
	t.Parallel()
	term := open(t, 80, 24, "-clients 1000")
	term.enter("/who")
	term.shows("id name")
	term.shows("1-10 of 1,000 (PgUp and PgDn scroll")
	term.press("PageDown")
	term.shows("11-20 of 1,000")
	term.press("PageUp")
	term.shows("1-10 of 1,000")
	term.enter("/flood 3")
	term.shows("3 漢字: flood 3\n>")
	term.enter("/who 192.0.2.100:")
	term.shows("4 clients (Esc closes)")
	term.enter("/slow")
	term.shows("1-10 of 666")
	term.until("the furthest behind first", func(s string) bool {
		_, s, _ = strings.Cut(s, "lag\n")
		return strings.HasPrefix(s, " 2 ")
	})
	term.enter("/slow nobody like that")
	term.shows("no match among 1,000 clients (Esc closes)")
	term.press("Escape")
	term.hides("no match")
	term.enter("/quit")
	term.shows("this is the shell")
}

func TestAFilterHidesAndCounts(t *testing.T) {
	t.Parallel()
	term := open(t, 80, 24, "")
	term.enter("/flood 30")
	term.shows(": flood 30")
	term.press("C-l")
	term.hides("flood")
	term.enter("/filter D 1")
	term.shows("12:00:10 1 ann: flood 10") // what is remembered, with its time
	term.hides("flood 9")
	term.shows("filter D 1, 0 hidden")
	term.enter("/flood 20")
	term.shows("\n2: flood 17") // numbered as the flood, 11 of them
	term.shows("9 hidden")
	term.enter("/filter #3")
	term.enter("/flood 3")
	term.shows("\n3 漢字: flood 3")
	term.shows("2 hidden")
	term.enter("/filter -flood")
	term.enter("/say 1 no such word")
	term.shows("\n1 ann: no such word")
	term.press("C-l")
	term.enter("/filter")
	term.shows("* showing all messages")
	term.enter("/flood 1")
	term.shows("\n1 ann: flood 1")
}

func TestTimesOnDemand(t *testing.T) {
	t.Parallel()
	term := open(t, 80, 24, "")
	term.enter("/say 1 without")
	term.shows("\n1 ann: without")
	term.enter("/times")
	term.shows("> /times")
	term.enter("/say 1 with")
	term.shows("\n12:00:02 1 ann: with\n")
	term.enter("/times")
	term.enter("/say 1 without again")
	term.shows("\n1 ann: without again\n")
	term.enter("/last 2")
	term.shows("\n12:00:02 1 ann: with\n12:00:03 1 ann: without again\n")
}

func TestMessagesAreHeldBackOnDemand(t *testing.T) {
	t.Parallel()
	term := open(t, 80, 24, "")
	term.press("C-s")
	term.shows("PAUSED")
	term.enter("/flood 5000")
	term.shows("PAUSED 4,096 |")
	term.shows("904 skipped")
	term.hides("flood 1\n")
	term.press("C-q")
	term.shows(": flood 5000")
	term.shows("| 904 skipped")
	if all := term.all(); !strings.Contains(all, "… 904 messages skipped: they came faster than the terminal can show\n2: flood 905\n") {
		t.Errorf("the gap is not where it is:\n%.2000s", all)
	}
}

func TestTabCompletesCommandsAndClients(t *testing.T) {
	t.Parallel()
	term := open(t, 80, 24, "")
	term.types("/ki")
	term.press("Tab")
	term.line("/kick")
	term.press("Tab")
	term.shows("\n1  ann\n2\n3  漢字\n")
	term.types("漢")
	term.press("Tab")
	term.line("/kick 漢字")
	term.types("because")
	term.line("/kick 漢字 because")
	term.press("C-u")
	term.types("/f")
	term.press("Tab")
	term.shows("\nflood  N\nfilter  [TEXT|-TEXT|#ID]\n")
	term.types("i")
	term.press("Tab")
	term.line("/filter")
}

func TestHistoryFindsWhatBeginsSo(t *testing.T) {
	t.Parallel()
	term := open(t, 80, 24, "")
	for _, l := range []string{"first", "/mute 1", "second", "second"} {
		term.enter(l)
	}
	term.shows("* muted 1")
	term.press("Up")
	term.line("second")
	term.press("Up")
	term.line("/mute 1")
	term.press("Down", "Down")
	term.line("")
	term.types("f")
	term.press("Up")
	term.line("first")
	term.press("Down")
	term.line("f")
}

func TestTheLineIsEditedAsInAShell(t *testing.T) {
	t.Parallel()
	term := open(t, 80, 24, "")
	term.types("one two  漢字three")
	for _, step := range []struct{ keys, want string }{
		{"C-a 0 C-e !", "0one two  漢字three!"},
		{"C-w", "0one two"},
		{"C-y", "0one two  漢字three!"},
		{"BSpace BSpace Left Delete", "0one two  漢字thr"},
		{"M-BSpace", "0one two"},
		{"Home C-d M-d", " two"},
		{"C-k", ""},
		{"C-y C-b C-b x C-f y", " twox y"},
		{"M-b M-f z", " twox yz"},
		{"C-c", ""},
	} {
		term.press(strings.Fields(step.keys)...)
		term.line(step.want)
	}
}

// Pasted lines are messages, once Enter says so; never commands, which a
// stranger may have written.
func TestPastedLinesAreMessagesNeverCommands(t *testing.T) {
	t.Parallel()
	term := open(t, 80, 24, "")
	term.types("b")
	term.paste("e")
	term.line("be")
	term.paste("fore\n/quit\n\tl\u0085ast\n")
	term.shows("3 lines pasted, 21 B: Enter sends each as a message, Esc discards them")
	term.shows(`        l\u0085ast`)
	term.press("Enter")
	for _, l := range []string{"before", "/quit", "\tl\u0085ast"} {
		term.did("send " + strconv.Quote(l))
	}
	term.paste("no\nno\n")
	term.shows("2 lines pasted")
	term.press("Escape")
	term.hides("2 lines pasted")
	term.types("/say 1 ")
	term.paste("a\nb")
	term.line("/say 1 a b")
	term.press("C-u")
	term.paste("one line with its end\n")
	term.line("one line with its end")
	var many strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&many, "line %d\n", i)
	}
	term.press("C-c")
	term.paste(many.String())
	term.shows("5,000 lines pasted")
	term.press("Enter")
	term.did(`send "line 4999"`)
	if n := strings.Count(term.read("record"), `send "line `); n != 5000 {
		t.Errorf("%d lines are sent, want 5000", n)
	}
	if strings.Contains(term.read("record"), "no") {
		t.Errorf("what was dropped is sent")
	}
}

// Sending waits for clients, and the console does not: commands that do not
// keep their place go on, those that do wait for it.
func TestNothingWaitsForALineThatCannotBeSent(t *testing.T) {
	t.Parallel()
	term := open(t, 80, 24, "")
	term.enter("/block")
	term.shows("* sending waits")
	term.enter("one")
	term.enter("/to 1 two")
	term.enter("three")
	term.shows("3 lines waiting to be sent")
	term.enter("/kick 3")
	term.did(`kick 3 ""`)
	if strings.Contains(term.read("record"), `"two"`) {
		t.Error("/to has overtaken what was typed before")
	}
	term.enter("/block")
	term.did(`send "three"`)
	if r := term.read("record"); !strings.Contains(r, "send \"one\"\nto 1 \"two\"\nsend \"three\"\n") {
		t.Errorf("desk did\n%s", r)
	}
	term.press("C-l")
	term.hides("sending waits")
	term.enter("/block")
	term.shows("* sending waits")
	term.enter("four")
	term.shows("1 line waiting to be sent")
	term.enter("/quit")
	term.shows("! not sent: 1 line")
	term.givenBack(0)
}

func TestEndOfInput(t *testing.T) {
	t.Parallel()
	term := open(t, 80, 24, "-eof")
	term.enter("last words")
	term.press("C-d")
	term.did("eof")
	term.shows("input has ended")
	term.types("more")
	term.press("Enter")
	term.shows("! input has ended: no more messages can be sent")
	term.press("C-u")
	term.enter("/flood 2")
	term.shows("2: flood 2")
	if r := term.read("record"); !strings.Contains(r, "send \"last words\"\neof\n") {
		t.Errorf("desk did\n%s", r)
	}
	term.press("C-c")
	term.givenBack(0)

	term = open(t, 80, 24, "")
	term.types("x")
	term.press("Home", "C-d", "C-d")
	term.givenBack(0)
}

// ^C drops what is typed, and then, not by a second finger on the same key,
// ends.
func TestInterruptDropsTheLineFirst(t *testing.T) {
	t.Parallel()
	term := open(t, 80, 24, "")
	term.types("never mind")
	term.press("C-c", "C-c")
	term.line("")
	term.enter("still here")
	term.did(`send "still here"`)
	term.press("C-c")
	term.givenBack(0)
	term.did("ended: well")
}

func TestTheTerminalIsGivenBackWhateverHappens(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]struct {
		by    func(*terminal)
		code  int
		shows string
	}{
		"quit":             {func(term *terminal) { term.enter("/quit") }, 0, "desk: ended"},
		"SIGTERM":          {func(term *terminal) { term.signal(syscall.SIGTERM) }, 0, "desk: ended"},
		"SIGHUP":           {func(term *terminal) { term.signal(syscall.SIGHUP) }, 0, "desk: ended"},
		"SIGINT":           {func(term *terminal) { term.signal(syscall.SIGINT) }, 0, "desk: ended"},
		"a panic":          {func(term *terminal) { term.enter("/boom") }, 1, "desk: ended"},
		"a panic anywhere": {func(term *terminal) { term.enter("/crash") }, 2, "panic: a crash elsewhere"},
	} {
		t.Run(name, func(t *testing.T) {
			term := open(t, 100, 40, "-rate 500")
			term.enter("/who")
			term.shows("id name")
			term.types("half a li")
			term.press("C-u")
			term.line("")
			end.by(term)
			term.givenBack(end.code)
			if all := term.all(); !strings.Contains(all, "\n"+end.shows) {
				t.Errorf("the terminal says\n%s", all)
			}
			if name == "a panic" {
				term.did("ended: console panicked: boom in a command")
			}
		})
	}
}
