//go:build unix

package console_test

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// Screens are kept in testdata, as a person sees them, in colour and without,
// on a wide terminal, a narrow and a short one: go test -write writes them, to
// be looked at.
func TestScreensLookAsTheyDid(t *testing.T) {
	t.Parallel()
	for _, size := range []struct {
		name          string
		width, height int
	}{{"wide", 120, 24}, {"narrow", 40, 24}, {"short", 80, 5}} {
		for _, colour := range []bool{true, false} {
			name, env := size.name+"-plain", []string{"NO_COLOR=1"}
			if colour {
				name, env = size.name+"-colour", nil
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				term := open(t, size.width, size.height, "-clients 12", env...)
				term.shows("12 clients") // not before the status line is there
				for _, scene := range scenes {
					scene.play(term)
					term.golden(scene.name+"-"+name, colour)
				}
			})
		}
	}
}

// scenes follow one another.
var scenes = []struct {
	name string
	play func(*terminal)
}{
	{"talk", func(term *terminal) {
		term.enter("hello everybody")
		term.enter("/say 1 good morning")
		term.enter("/say 2 " + strings.Repeat("a line that is longer than the screen is wide; ", 3))
		term.enter("/say 3 漢字, naïve ① 🎺 👨‍👩‍👧")
		term.enter("/err client 7 closed: lapped (64 MiB behind)")
		term.enter("/kick 99")
		term.shows("no client 99")
		term.press("C-l")
		term.hides("99")
		term.enter("/last 3")
		term.shows("🎺")
		term.enter("/flood 3")
		term.shows(": flood 3")
		term.enter("/err client 7 closed: lapped (64 MiB behind)")
		term.shows("\nhubbub: client 7")
		term.enter("/kick 99 it is not there")
		term.shows("no client 99")
		term.types("what is being typed, which is longer than narrow screens")
		term.shows("narrow screens\n")
	}},
	{"help", func(term *terminal) {
		term.press("C-u", "C-l")
		term.hides("flood")
		term.enter("/help")
		term.shows("screen\n>")
	}},
	{"who", func(term *terminal) {
		term.enter("/who")
		term.shows("1 ann")
	}},
	{"muted", func(term *terminal) {
		term.enter("/mute 1")
		term.shows("0 B muted\n")
	}},
	{"choices", func(term *terminal) {
		term.types("/kick 1")
		term.press("Tab")
		term.until("choices", func(s string) bool { return strings.Contains(s, "\n10") || strings.Contains(s, "… 3 more") })
	}},
	{"paste", func(term *terminal) {
		term.press("C-u")
		term.paste("one\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\nten\neleven\ntwelve\n")
		term.shows("12 lines")
	}},
	{"paused", func(term *terminal) {
		term.press("Escape")
		term.hides("12 lines")
		term.press("Escape")
		term.hides("id name")
		term.press("C-l", "C-s")
		term.enter("/filter hello")
		term.enter("/flood 5000")
		term.shows("4,096")
		term.shows("> /flood 5000")
	}},
}

// Whatever a stranger says, or is called, is seen and does nothing: the line
// being typed is where it was, and so is everything else.
func TestHostileBytesAreSeenAndDoNothing(t *testing.T) {
	t.Parallel()
	for name, env := range map[string][]string{"colour": nil, "plain": {"NO_COLOR=1"}} {
		t.Run(name, func(t *testing.T) {
			term := open(t, 80, 24, "", env...)
			for _, hostile := range []struct{ says, shows string }{
				{`\x1b[2J\x1b[H`, `1 ann: \x1b[2J\x1b[H`},
				{`\x1b]0;title\x07\x1b]52;c;eA==\x1b\\`, `1 ann: \x1b]0;title\x07\x1b]52;c;eA==\x1b\`},
				{`\x1b[?1049h\x1bc\x1b#8`, `1 ann: \x1b[?1049h\x1bc\x1b#8`},
				{`\x9b2J\u009b2J\x90q`, `1 ann: \x9b2J\u009b2J\x90q`},
				{`a\rb\x08\x0b\x0c\x0e\x7f`, `1 ann: a\x0db\x08\x0b\x0c\x0e\x7f`},
				{`one\n3 bob: two\n> three\r\n`, "1 ann: one\n1 ann: 3 bob: two\n1 ann: > three\n1 ann:\n"},
				{`\u202eright to left\u2066`, `1 ann: \u202eright to left\u2066`},
				{`a\u200bd\u200dm\u00adin\ufeff\u2028`, `1 ann: a\u200bd\u200dm\u00adin\ufeff\u2028`},
				{`a\tb\t\tc`, `1 ann: a       b               c`},
				{`\xff\xfe\xe2\x82`, `1 ann: \xff\xfe\xe2\x82`},
				{`\U000e0041\U0001f3f4`, `1 ann: \U000e0041🏴`},
			} {
				term.press("C-l")
				term.hides("1 ann")
				term.enter("/raw " + hostile.says)
				term.shows("\n" + hostile.shows)
				term.types("still typing")
				term.line("still typing")
				term.shows("\n3 clients")
				term.press("C-u")
				term.line("")
			}
			term.press("C-l")
			term.enter(`/name \x1b[31mroot\n17 bob`)
			term.shows("\n9 " + `\x1b[31mroot\x0a17 bob: hello` + "\n")
			term.enter(`/filter \x1b[2J`)
			term.shows(`filter \x1b[2J`)
			if got := term.tmux("display-message", "-p", "#{pane_title}#{alternate_on}"); strings.Contains(got, "title") || !strings.HasSuffix(got, "0\n") {
				t.Errorf("the title and the alternate screen: %s", got)
			}
		})
	}
}

// What is drawn anew leaves nothing behind in the scroll-back, not even where
// it begins on the terminal's first row.
func TestPicturesLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	term := open(t, 80, 24, "")
	for range 2 {
		term.types("typed")
		term.line("typed")
		term.press("C-u")
		term.line("")
		if all := term.all(); strings.Count(all, "3 clients") > 1 || strings.Contains(all, "typed") {
			t.Errorf("the scroll-back has\n%s", all)
		}
		term.press("C-l")
	}
}

// Characters of disputed width, and lines that fill the screen exactly, move
// nothing either, nor do they on the line being typed.
func TestWhateverAMessagesWidthTheLineBeingTypedStays(t *testing.T) {
	t.Parallel()
	term := open(t, 40, 12, "")
	term.types("typed")
	for i, text := range []string{
		strings.Repeat("x", 40-len("1 ann: |0")), strings.Repeat("x", 80-len("1 ann: |1")), strings.Repeat("x", 81),
		strings.Repeat("漢", 100), strings.Repeat("🏴‍☠️", 50), strings.Repeat("👨‍👩‍👧", 60), strings.Repeat("क्ष", 70),
		strings.Repeat("é", 200), strings.Repeat("①", 90), strings.Repeat("\t|", 60), strings.Repeat("xy", 100),
	} {
		term.press("C-u")
		end := "|" + strconv.Itoa(i)
		term.enter("/say 1 " + text + end)
		term.types("typed")
		term.until("one frame, below the message", func(s string) bool {
			rows := strings.Split(strings.TrimRight(s, "\n"), "\n")
			n := len(rows)
			return n > 2 && rows[n-2] == "> typed" && strings.HasPrefix(rows[n-1], "3 clients") &&
				strings.HasSuffix(rows[n-3], end) && strings.Count(s, "typed") == 1
		})
	}
	for _, text := range []string{strings.Repeat("🏴‍☠️", 60), strings.Repeat("क्ष", 60), strings.Repeat("🇩🇪", 60), strings.Repeat("✈️", 60)} {
		term.press("C-u", "C-l")
		term.paste(text + "|")
		term.press("Left")
		term.until("one frame, of two rows", func(s string) bool {
			rows := strings.Split(strings.TrimRight(s, "\n"), "\n")
			return len(rows) == 2 && strings.HasPrefix(rows[0], "> ") && strings.HasPrefix(rows[1], "3 clients")
		})
	}
}

func TestALongMessageIsCutAndSaysSo(t *testing.T) {
	t.Parallel()
	term := open(t, 80, 60, "")
	term.enter("/raw " + strings.Repeat("0123456789", 700))
	term.shows("… 2.8 KiB more")
	term.press("C-l")
	term.enter("/raw " + strings.Repeat(`\n`, 100) + "end")
	term.shows(`1 ann: \x0a\x0a`)
	if n := strings.Count(term.screen(), "\n1 ann:"); n != 32 {
		t.Errorf("a message of 101 lines takes %d, want 32", n)
	}
}

// A window that is made smaller and larger shows the frame once, and no
// message is lost.
func TestResizingLeavesOneFrameAndAllMessages(t *testing.T) {
	t.Parallel()
	term := open(t, 100, 24, "")
	term.enter("/flood 40")
	term.shows(": flood 40")
	const typed = "a line of some sixty characters that a narrow window breaks"
	term.types(typed)
	for _, size := range [][2]int{{40, 24}, {20, 10}, {120, 30}, {31, 5}, {80, 3}, {80, 2}, {80, 1}, {100, 24}} {
		term.tmux("resize-window", "-x", fmt.Sprint(size[0]), "-y", fmt.Sprint(size[1]))
		term.until(fmt.Sprintf("one frame at %dx%d", size[0], size[1]), func(s string) bool {
			rows := strings.Split(strings.TrimRight(s, "\n"), "\n")
			n := len(rows)
			prompts, statuses := 0, 0
			for _, r := range rows {
				if strings.HasPrefix(r, ">") && r != "> /flood 40" {
					prompts++
				}
				if strings.HasPrefix(r, "3 clients") {
					statuses++
				}
			}
			wantStatuses := min(1, size[1]-1)
			return prompts == 1 && statuses == wantStatuses && strings.HasPrefix(rows[n-1-wantStatuses], "> ")
		})
	}
	term.shows("\n> " + typed + "\n")
	all := term.all()
	for i := 1; i <= 40; i++ {
		if n := strings.Count(all, fmt.Sprintf(": flood %d\n", i)); n != 1 {
			t.Errorf("flood %d is there %d times:\n%s", i, n, all)
		}
	}
}

// ^Z gives the terminal back to the shell, fg brings all of it again, and what
// came meanwhile. So does a stop by others, as far as a shell gives itself what
// it needs, as bash does.
func TestSuspendAndResume(t *testing.T) {
	t.Parallel()
	for name, stop := range map[string]func(*terminal){
		"^Z":      func(term *terminal) { term.press("C-z") },
		"SIGTSTP": func(term *terminal) { term.signal(syscall.SIGTSTP) },
		"SIGSTOP": func(term *terminal) { term.signal(syscall.SIGSTOP) },
	} {
		t.Run(name, func(t *testing.T) {
			shell := "exec sh -i"
			if name != "^Z" {
				shell = "exec bash --norc -i"
			}
			term := setting{width: 80, height: 24, shell: shell}.start(t)
			term.shows("$")
			term.enter(`"$DESK" -record record`)
			term.line("")
			term.types("unfinished")
			term.line("unfinished")
			stop(term)
			term.shows("Stopped")
			if name == "^Z" {
				term.hides("3 clients")
			}
			term.enter("echo the shell is $((40+2))")
			term.shows("the shell is 42")
			term.enter("fg")
			term.line("unfinished")
			term.shows("3 clients")
			term.press("Enter")
			term.did(`send "unfinished"`)
			term.enter("/flood 3")
			term.shows("\n3 漢字: flood 3")
			term.enter("/quit")
			term.shows("desk: ended\n$")
			term.enter("echo back in the shell of $((40+3))")
			term.shows("back in the shell of 43")
		})
	}
}

// Where no shell would bring it back, nothing stops.
func TestSuspendingWithoutAShellStopsNothing(t *testing.T) {
	t.Parallel()
	term := open(t, 80, 24, "")
	term.types("unfinished")
	term.line("unfinished")
	term.press("C-z")
	term.hides("3 clients")
	term.line("unfinished")
	term.press("Enter")
	term.did(`send "unfinished"`)
}

// In the background the program goes on without the terminal, and what comes
// meanwhile is shown when it is back.
func TestTheProgramGoesOnInTheBackground(t *testing.T) {
	t.Parallel()
	term := setting{width: 80, height: 24, shell: "exec sh -i"}.start(t)
	term.shows("$")
	term.enter(`"$DESK" -record record -rate 50`)
	term.shows("message 20 of many")
	term.press("C-z")
	term.shows("Stopped")
	term.enter("bg")
	for i := range 2 { // the shell has its terminal
		term.enter(fmt.Sprintf("echo the shell is at $((%d+40)); jobs", i))
		term.shows(fmt.Sprintf("the shell is at %d", i+40))
	}
	if s := term.screen(); strings.Contains(s, "Stopped (tty") {
		t.Errorf("it is stopped for wanting the terminal:\n%s", s)
	}
	term.enter("fg")
	term.shows("3 clients")
	term.enter("/quit")
	term.did("ended: well")
	all := term.all()
	for i := 1; i <= 40; i++ {
		if n := strings.Count(all, fmt.Sprintf(": message %d of many\n", i)); n != 1 {
			t.Errorf("message %d is there %d times:\n%s", i, n, all)
		}
	}
}

// Without a terminal, on one that can only print, and in the background there
// is no console.
func TestAConsoleNeedsATerminal(t *testing.T) {
	t.Parallel()
	for name, command := range map[string]string{
		"piped in":      `true | "$DESK" -record record`,
		"piped out":     `"$DESK" -record record | cat`,
		"dumb":          `TERM=dumb "$DESK" -record record`,
		"background":    `set -m; "$DESK" -record record & wait`,
		"not a tty, in": `"$DESK" -record record </dev/null`,
	} {
		t.Run(name, func(t *testing.T) {
			term := setting{width: 80, height: 24, shell: command + `; exec cat`}.start(t)
			term.did("unfit")
		})
	}
}

// When the terminal is gone, so is the console, and its owner is told.
func TestTheTerminalIsGone(t *testing.T) {
	t.Parallel()
	for _, rate := range []string{"0", "100"} { // nothing and something to write
		term := setting{width: 80, height: 24, shell: `trap "" HUP; "$DESK" -record record -rate ` + rate}.start(t)
		term.shows("3 clients")
		term.tmux("kill-server")
		term.eventually("that desk ends", func() (string, bool) {
			r := term.read("record")
			return r, strings.Contains(r, "ended: ")
		})
	}
}
