//go:build unix

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"hubbub.example/internal/scene"
)

// script returns a program in sh, which must not say $1.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// answers starts a server with a command behind it, in sh.
func answers(t *testing.T, text string, flags ...string) *program {
	t.Helper()
	args := append([]string{"serve", "127.0.0.1:0"}, flags...)
	return start(t, append(args, "--", "sh", script(t, text))...)
}

func TestCommandAnswersInLines(t *testing.T) {
	t.Parallel()
	p := answers(t, `while read -r line; do echo "$line, too"; done`)
	a, b := p.client(), p.client()
	a.Says("one\n")
	a.Hears("one, too\n")
	b.Hears("one, too\n")
	b.Says("two\n")
	a.Hears("two, too\n")
	p.stop(0)
}

// The environment, and nothing else, tells the command the address and the epoch.
func TestCommandEnvironment(t *testing.T) {
	t.Parallel()
	p := answers(t, `echo "$HUBBUB_START $HUBBUB_ADDRESS $HUBBUB_EPOCH"; cat`, "--replay", "all")
	c := p.client()
	c.Says("hello\n")
	line, err := c.R.ReadString('\n')
	if err != nil || !regexp.MustCompile(`^1 `+p.address()+` [a-z0-9]{8}\n$`).MatchString(line) {
		t.Errorf("%q (%v)", line, err)
	}
}

func TestCommandSpeaksToOne(t *testing.T) {
	t.Parallel()
	// The id is behind "id": in what it reads.
	p := answers(t, `while read -r line; do case $line in *'"type":"message"'*)
	id=${line#*'"id":'}; id=${id%%,*}
	echo "{\"to\":$id,\"text\":\"you are $id\"}";; esac; done`, "--json")
	a, b := p.client(), p.client()
	a.Says("hello\n")
	first, _ := a.R.ReadString('\n')
	b.Says("hello\n")
	second, _ := b.R.ReadString('\n')
	if !strings.HasPrefix(first, "you are ") || !strings.HasPrefix(second, "you are ") || first == second {
		t.Errorf("%q, %q", first, second)
	}
}

// A command that is killed is restarted. Clients stay connected, and the next
// process gets a join for each of them.
func TestCommandIsStartedAgain(t *testing.T) {
	t.Parallel()
	p := answers(t, `echo '{"text":"ready"}'
	while read -r line; do case $line in *die*) kill -9 $$;; *'"join"'*|*'"text"'*) echo "{\"text\":\"$HUBBUB_START $(echo "$line" | tr -d '"')\"}";; esac; done`, "--json", "--replay", "none")
	a := p.client()
	a.Says("one\n")
	a.until("text:one")
	b := p.client()
	b.Says("two\n")
	a.until("text:two")
	a.Says("die\n")
	for _, id := range []string{"id:1", "id:2"} { // of both
		if line := a.until("2 {type:join"); !strings.Contains(line, id) {
			t.Errorf("%q is not of %s", line, id)
		}
	}
	b.Says("three\n")
	a.until("2 {type:message")
	p.stderr.Until(t, "was killed by SIGKILL")
	p.stop(0)
}

// A blocked log delays neither the output of a command, valid or not, nor its
// restart.
func TestABlockedLogHoldsUpNoCommand(t *testing.T) {
	t.Parallel()
	stderr, full := scene.Pipe(t)
	launch{
		args: []string{
			"serve", "127.0.0.1:0", "--json", "--", "sh", "-c",
			`read -r line; echo rubbish; echo '{"text":"hello"}'; exit 3`,
		},
		stderr: full,
	}.start(t)
	address := firstAddress(t, stderr)
	fill(t, full)
	_ = full.Close()
	c := dial(t, address)
	c.Says("hello\n")
	c.Hears("hello\nhello\nhello\n")
}

// The joins that every process gets first do not count as lost when a process does
// not read them.
func TestWhoIsThereIsNotLost(t *testing.T) {
	t.Parallel()
	p := answers(t, `test $HUBBUB_START = 1 || { sleep 0.1; exit 3; }
	while read -r line; do case $line in *die*) exit 3;; *hello*) echo '{"text":"read"}';; esac; done`, "--json", "--replay", "none")
	c := p.client()
	for range 50 {
		p.client().Says("hello\n")
	}
	for range 50 {
		c.Hears("read\n")
	}
	c.Says("die\n")
	log := p.stderr.When(t, "three deaths", func(log string, _ bool) bool { return strings.Count(log, "exited with code 3") == 3 })
	if strings.Contains(log, "lost ") {
		t.Errorf("the log says %s", log)
	}
}

// A command may name a client while it still reads the first joins: the next
// process gets that name.
func TestCommandNamesAtOnce(t *testing.T) {
	t.Parallel()
	p := answers(t, `read -r line
	id=${line#*'"id":'}; id=${id%%,*}
	if test $HUBBUB_START = 1; then
		echo "{\"name\":\"ann\",\"id\":$id}"
		echo "{\"text\":\"pid $$\"}"
		exec sleep 1000
	fi
	echo "{\"text\":\"$(echo "$line" | tr -d '"')\"}"
	exec cat >/dev/null`, "--json", "--replay", "none")
	c := p.client()
	c.Says(strings.Repeat("much\n", 10_000)) // more than a pipe holds, in the same batch as its join
	pid := 0
	if _, err := fmt.Sscanf(c.until("pid "), "pid %d", &pid); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if line := c.until("type:join"); !strings.Contains(line, "name:ann") {
		t.Errorf("the next is told %q", line)
	}
}

// until reads lines until one contains text.
func (c *peer) until(text string) string {
	c.T.Helper()
	for {
		line, err := c.R.ReadString('\n')
		if err != nil {
			c.T.Fatalf("waiting for %q: %v", text, err)
		}
		if strings.Contains(line, text) {
			return line
		}
	}
}

// No message reaches the command twice, whenever it is killed. Messages that it
// had not read are counted.
func TestNoMessageReachesACommandTwice(t *testing.T) {
	t.Parallel()
	const lines, deaths = 20_000, 4
	folder := t.TempDir()
	p := start(t, "serve", "127.0.0.1:0", "--", "sh", "-c", `echo "pid $$"; exec cat > "$1/$HUBBUB_START"`, "sh", folder)
	c := p.client()
	c.Says("hello\n")
	pid := 0
	for i := range deaths {
		if _, err := fmt.Sscanf(c.until("pid "), "pid %d", &pid); err != nil {
			t.Fatal(err)
		}
		if i == deaths-1 {
			break
		}
		for n := range lines {
			if n == lines/2 {
				if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
			}
			c.Says(fmt.Sprintf("%d-%d\n", i, n))
		}
	}
	c.Says("the end\n")
	last := filepath.Join(folder, fmt.Sprint(deaths))
	scene.Until(t, "the last one has the end", func() bool {
		text, _ := os.ReadFile(last)
		return strings.HasSuffix(string(text), "the end\n")
	})
	seen := map[string]bool{}
	for start := range deaths {
		text, err := os.ReadFile(filepath.Join(folder, fmt.Sprint(start+1)))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if seen[line] {
				t.Errorf("%q is there twice", line)
			}
			seen[line] = true
		}
	}
	lost := 0
	for _, m := range regexp.MustCompile(`lost (\d+) message`).FindAllStringSubmatch(p.stderr.Text(), -1) {
		n := 0
		_, _ = fmt.Sscan(m[1], &n)
		lost += n
	}
	// cat has read what it had not yet written; of those nobody can know.
	if all := 1 + lines*(deaths-1) + 1; len(seen)+lost > all {
		t.Errorf("%d arrived and %d are said to be lost, of %d", len(seen), lost, all)
	}
}

func TestCommandEndsWithUs(t *testing.T) {
	t.Parallel()
	p := answers(t, `trap 'echo goodbye; exit 0' TERM; echo ready; while read -r line; do :; done; echo goodbye`)
	c := p.client()
	c.Says("hello\n")
	c.Hears("ready\n")
	p.signal(syscall.SIGTERM)
	c.Hears("goodbye\n")
	c.hearsEnd()
	p.exits(0)
}

func TestCommandThatDoesNotWantToEnd(t *testing.T) {
	t.Parallel()
	p := answers(t, `trap '' TERM; echo ready; while :; do sleep 60; done`, "--drain", "200ms")
	c := p.client()
	c.Says("hello\n")
	c.Hears("ready\n")
	p.signal(syscall.SIGTERM)
	_ = c.Close()
	p.stderr.Until(t, "SIGKILL")
	p.exits(0)
}

// With --restart never we exit with the command's code. Otherwise we exit when it
// is done.
func TestCommandsExitCode(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text  string
		flags []string
		code  int
	}{
		{"exit 0", nil, 0},
		{"exit 7", []string{"--restart", "never"}, 7},
		{"kill -9 $$", []string{"--restart", "never"}, 137},
		{"exit 0", []string{"--restart", "never"}, 0},
		{"echo last words", []string{"--restart", "never"}, 1}, // which nobody has heard
	} {
		p := answers(t, tt.text, append(tt.flags, "--replay", "none")...)
		p.exits(tt.code)
	}
	p := answers(t, "exit 0", "--eof", "keep")
	p.stderr.Until(t, "serving on without a command")
	c := p.client()
	c.Says(strings.Repeat("to nobody\n", 200_000)) // who speaks is not held up
	p.stop(0)
}

func TestCommandThatCannotBeStarted(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		command []string
		says    string
	}{
		{[]string{"./nothing-here"}, "hubbub: exec ./nothing-here: no such file or directory\n"},
		{[]string{"surely-no-such-command"}, "hubbub: exec surely-no-such-command: not found in PATH\n"},
		{nil, "hubbub: no command after --"},
	} {
		p := start(t, append([]string{"serve", "127.0.0.1:0", "--"}, tt.command...)...)
		p.exits(2)
		if text := p.stderr.Ends(t); !strings.Contains(text, tt.says) {
			t.Errorf("it says %q", text)
		}
	}
}

// A command that does not read makes the clients wait that send to it, and nobody
// else.
func TestCommandThatDoesNotRead(t *testing.T) {
	t.Parallel()
	p := answers(t, `i=0; while sleep 0.01; do i=$((i+1)); echo "tick $i"; done`, "--replay", "none")
	listener := p.client()
	listener.Says("hello\n")
	listener.until("tick ")
	talker := p.client()
	go func() { _, _ = talker.Write([]byte(strings.Repeat("to nobody\n", 2_000_000))) }()
	for range 50 {
		listener.until("tick ")
	}
}
