//go:build unix

package console_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"hubbub.example/internal/scene"
)

// The tests of this file drive desk, a console with a made-up hub (desk_test.go),
// in a real terminal, tmux. What a person would do is typed, what a person would
// see is compared; what desk was made to do it writes down.

var write = flag.Bool("write", false, "write the golden files of what is seen; then look at them")

// deskFolder holds desk, and a folder for each terminal.
var deskFolder string

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "desk" {
		deskMain()
		os.Exit(0)
	}
	scene.Signals()
	scene.AtOnce(6)
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	if deskFolder, err = os.MkdirTemp("", "desk"); err != nil {
		panic(err)
	}
	self, err := os.Executable()
	if err == nil {
		err = os.Symlink(self, filepath.Join(deskFolder, "desk"))
	}
	if err != nil {
		panic(err)
	}
	// However this process ends, tidy reads the end of its STDIN then. It is in
	// another session, so that whoever kills us and our group misses it.
	tidy := exec.Command("sh", "-c", tidyUp, "sh", deskFolder)
	tidy.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	stdin, err := tidy.StdinPipe()
	if err == nil {
		err = tidy.Start()
	}
	if err != nil {
		panic(err)
	}
	defer func() { _, _ = stdin.Close(), tidy.Wait() }()
	return m.Run()
}

// tidyUp ends every terminal, and every desk that has not ended, whose folder is
// still there: its test has not come to its cleanup.
const tidyUp = `read -r _
for t in "$1"/*/; do
	[ -e "$t/socket" ] && tmux -S "$t/socket" kill-server
	grep -q "^ended: " "$t/record" || kill -9 $(sed -n "s/^pid //p" "$t/record")
done
rm -rf "$1"`

// terminal is a shell in a terminal of its own, in which desk is started.
type terminal struct {
	t      *testing.T
	dir    string
	socket string
}

type setting struct {
	width, height int
	env           []string
	args          string // of desk
	shell         string // "" starts desk in it, and looks at the terminal before and after
}

func (s setting) start(t *testing.T) *terminal {
	t.Helper()
	scene.Needs(t, "tmux")
	dir, err := os.MkdirTemp(deskFolder, "t") //nolint:usetesting // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	term := &terminal{t, dir, filepath.Join(dir, "socket")}
	t.Cleanup(func() {
		_ = exec.Command("tmux", "-S", term.socket, "kill-server").Run()
		if pid, ended := term.desk(); pid > 0 && !ended {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		_ = os.RemoveAll(dir)
	})
	shell := s.shell
	if shell == "" {
		shell = `stty -a >before; "$DESK" -record record ` + s.args + `; echo $? >code; stty -a >after; echo "this is the shell"; exec cat -v`
	}
	conf := filepath.Join(dir, "conf")
	// Keys are never far apart here, so Escape is Escape.
	if err := os.WriteFile(conf, []byte("set -g status off\nset -sg escape-time 0\nset -g default-terminal tmux-256color\nset -g history-limit 20000\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"-S", term.socket, "-f", conf, "-u", "new-session", "-d", "-x", strconv.Itoa(s.width), "-y", strconv.Itoa(s.height), "-c", dir}
	for _, e := range append(s.env, "DESK="+filepath.Join(deskFolder, "desk"), "TZ=UTC", "LC_ALL=C.UTF-8", "ENV=", "PS1=$ ") {
		args = append(args, "-e", e)
	}
	cmd := exec.Command("tmux", append(args, "sh", "-c", shell)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "TERM=xterm-256color")
	cmd.Env = without(cmd.Env, "NO_COLOR=", "TMUX=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("tmux new-session: %v: %s", err, out)
	}
	return term
}

func without(env []string, prefixes ...string) []string {
	var kept []string
	for _, e := range env {
		if !strings.HasPrefix(e, prefixes[0]) && !strings.HasPrefix(e, prefixes[1]) {
			kept = append(kept, e)
		}
	}
	return kept
}

// open starts desk, and waits for its prompt.
func open(t *testing.T, width, height int, args string, env ...string) *terminal {
	t.Helper()
	term := setting{width: width, height: height, args: args, env: env}.start(t)
	term.until("the prompt", func(s string) bool { return strings.HasPrefix(s, ">") || strings.Contains(s, "\n>") })
	return term
}

func (term *terminal) tmux(args ...string) string {
	term.t.Helper()
	out, err := exec.Command("tmux", append([]string{"-S", term.socket}, args...)...).CombinedOutput()
	if err != nil {
		term.t.Fatalf("tmux %v: %v: %s", args, err, out)
	}
	return string(out)
}

// types types text, and press keys by their names (tmux(1), send-keys).
func (term *terminal) types(text string) { term.t.Helper(); term.tmux("send-keys", "-l", text) }

func (term *terminal) press(keys ...string) {
	term.t.Helper()
	term.tmux(append([]string{"send-keys"}, keys...)...)
}

// enter types a line.
func (term *terminal) enter(text string) {
	term.t.Helper()
	term.types(text)
	term.press("Enter")
}

// paste pastes, as the terminal's own paste does.
func (term *terminal) paste(text string) {
	term.t.Helper()
	file := filepath.Join(term.dir, "paste")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		term.t.Fatal(err)
	}
	term.tmux("load-buffer", file)
	term.tmux("paste-buffer", "-p")
}

// screen returns what one sees, and all what has scrolled away as well. A line that
// the terminal has broken is one line of all.
func (term *terminal) screen() string { return term.tmux("capture-pane", "-p") }
func (term *terminal) all() string    { return term.tmux("capture-pane", "-p", "-J", "-S", "-") }

// until waits until the screen is so.
func (term *terminal) until(what string, is func(screen string) bool) {
	term.t.Helper()
	term.eventually(what, func() (string, bool) { s := term.screen(); return s, is(s) })
}

func (term *terminal) shows(text string) {
	term.t.Helper()
	term.until(strconv.Quote(text), func(s string) bool { return strings.Contains("\n"+s, text) })
}

func (term *terminal) hides(text string) {
	term.t.Helper()
	term.until("no more "+strconv.Quote(text), func(s string) bool { return !strings.Contains(s, text) })
}

// line waits until the line being typed is so.
func (term *terminal) line(want string) {
	term.t.Helper()
	term.until("the line "+strconv.Quote(want), func(s string) bool { return strings.Contains("\n"+s, "\n"+strings.TrimRight("> "+want, " ")+"\n") })
}

// did waits until desk has written it down.
func (term *terminal) did(want string) {
	term.t.Helper()
	term.eventually("that desk does "+strconv.Quote(want), func() (string, bool) {
		r := term.read("record")
		return r, strings.Contains("\n"+r, "\n"+want+"\n")
	})
}

func (term *terminal) eventually(what string, look func() (saw string, ok bool)) {
	term.t.Helper()
	limit := time.NewTimer(scene.LongEnough)
	defer limit.Stop()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		saw, ok := look()
		if ok {
			return
		}
		select {
		case <-again.C:
		case <-limit.C:
			term.t.Fatalf("waited for %s; there is\n%s", what, saw)
		}
	}
}

func (term *terminal) read(name string) string {
	b, err := os.ReadFile(filepath.Join(term.dir, name))
	if err != nil && !os.IsNotExist(err) {
		term.t.Fatal(err)
	}
	return string(b)
}

// desk returns the process ID that desk has written down, 0 if it has not yet, and
// whether it has ended.
func (term *terminal) desk() (pid int, ended bool) {
	record := "\n" + term.read("record")
	_, after, _ := strings.Cut(record, "\npid ")
	_, _ = fmt.Sscan(after, &pid)
	return pid, strings.Contains(record, "\nended: ")
}

// signal sends one to desk.
func (term *terminal) signal(s syscall.Signal) {
	term.t.Helper()
	pid, _ := term.desk()
	if pid == 0 {
		term.t.Fatal("desk has not said which process it is")
	}
	if err := syscall.Kill(pid, s); err != nil {
		term.t.Fatal(err)
	}
}

// givenBack waits until desk has ended, and looks whether the terminal is as
// it was: its modes, the column, and whether a paste is announced.
func (term *terminal) givenBack(code int) {
	term.t.Helper()
	term.shows("\nthis is the shell\n")
	if got := strings.TrimSpace(term.read("code")); got != strconv.Itoa(code) {
		term.t.Errorf("desk's exit code is %s, want %d", got, code)
	}
	if before, after := term.read("before"), term.read("after"); before != after || before == "" {
		term.t.Errorf("stty says\n%s\nbefore, and after\n%s", before, after)
	}
	if _, below, _ := strings.Cut(term.screen(), "\nthis is the shell\n"); strings.TrimSpace(below) != "" {
		term.t.Errorf("something is left behind:\n%s", term.screen())
	}
	if got := term.tmux("display-message", "-p", "#{alternate_on}#{cursor_flag}#{wrap_flag}#{mouse_any_flag}#{insert_flag}"); got != "01100\n" {
		term.t.Errorf("tmux says of alternate screen, cursor, wrapping, mouse and insert mode: %s", got)
	}
	term.paste("pasted")
	term.press("Enter")
	term.shows("\npasted\npasted\n") // echoed, and from cat, without brackets
}

// golden compares the screen with a file of testdata. In colour it has escape
// sequences, as tmux has them.
func (term *terminal) golden(name string, colour bool) {
	term.t.Helper()
	file := filepath.Join("testdata", name+".golden")
	args := []string{"capture-pane", "-p"}
	if colour {
		args = append(args, "-e")
	}
	if *write {
		still, before := 0, ""
		term.eventually("a screen that stays as it is", func() (string, bool) {
			s := term.tmux(args...)
			if s != before {
				still, before = 0, s
			}
			still++
			return s, still == 100
		})
		if err := os.WriteFile(file, []byte(before), 0o600); err != nil {
			term.t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		term.t.Fatal(err)
	}
	term.eventually("the screen of "+file, func() (string, bool) {
		s := term.tmux(args...)
		return s, bytes.Equal([]byte(s), want)
	})
}
