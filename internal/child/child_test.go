//go:build unix

package child_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"hubbub.example/internal/child"
	"hubbub.example/internal/scene"
)

func TestMessagesGoInAndOut(t *testing.T) {
	t.Parallel()
	c := run(t, child.Options{Args: []string{"cat"}})
	c.says("one\ntwo\n")
	c.said.Until(t, "one\ntwo\n")
	c.says("three\n")
	c.said.Until(t, "three\n")
}

func TestItsExitCode(t *testing.T) {
	t.Parallel()
	for script, code := range map[string]int{
		"exit 0": 0, "exit 7": 7, "kill -9 $$": 137, "kill -TERM $$": 143,
	} {
		o := sh(script)
		o.Restart = child.Never
		c := run(t, o)
		end, err := c.returns()
		if end.Code != code || err != nil || end.Again != 0 {
			t.Errorf("%s: code %d, %v, again in %s", script, end.Code, err, end.Again)
		}
		if told := c.ended(); told != end {
			t.Errorf("%s: told of %v, returned %v", script, told, end)
		}
	}
}

func TestRestart(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		restart child.Restart
		script  string
		codes   []int // of each start
	}{
		{child.OnFailure, `exit $((3 - HUBBUB_START))`, []int{2, 1, 0}},
		{child.OnFailure, `test $HUBBUB_START = 2 || kill -9 $$`, []int{137, 0}},
		{child.OnFailure, `exit 0`, []int{0}},
		{child.Never, `exit 1`, []int{1}},
		{child.Never, `exit 0`, []int{0}},
	} {
		o := sh(tt.script).Hurried()
		o.Restart = tt.restart
		c := run(t, o)
		if _, err := c.returns(); err != nil {
			t.Errorf("%s, %s: %v", tt.restart, tt.script, err)
		}
		for i, code := range tt.codes {
			end := c.ended()
			if end.Code != code || end.Start != i+1 || (end.Again == 0) != (i == len(tt.codes)-1) {
				t.Errorf("%s, %s: %+v", tt.restart, tt.script, end)
			}
		}
		if len(c.ends) > 0 {
			t.Errorf("%s, %s: started again", tt.restart, tt.script)
		}
	}
}

func TestRestartAlways(t *testing.T) {
	t.Parallel()
	o := sh("exit 0").Hurried()
	o.Restart = child.Always
	c := run(t, o)
	for range 3 {
		if end := c.ended(); end.Code != 0 || end.Again == 0 {
			t.Errorf("%+v", end)
		}
	}
	c.isStopped()
}

// The first restart comes within half a second, the next ones after longer and
// longer waits, and none early.
func TestExitsAtOnceOverAndOver(t *testing.T) {
	t.Parallel()
	c := run(t, as("clock"))
	longest := 500 * time.Millisecond
	waits := make([]time.Duration, 3)
	for i := range waits {
		end := c.ended()
		if end.Again < longest/2 || end.Again > longest {
			t.Errorf("after start %d: %s", end.Start, end.Again)
		}
		longest *= 2
		waits[i] = end.Again
	}
	var starts []int
	for start := range strings.SplitSeq(c.said.Text(), "|") {
		if n, err := strconv.Atoi(start); err == nil {
			starts = append(starts, n)
		}
	}
	for i, start := range starts[1:] {
		if passed := time.Duration(start - starts[i]); passed < waits[i] {
			t.Errorf("start %d came after %s instead of %s", i+2, passed, waits[i])
		}
	}
}

// The last output of a process, half a line too, comes before the output of the
// next one.
func TestLastWordsComeFirst(t *testing.T) {
	t.Parallel()
	o := sh(`printf "start $HUBBUB_START, "; head -c 100000 /dev/zero | tr '\0' x; printf "last words"; test $HUBBUB_START = 3`)
	c := run(t, o.Hurried())
	if _, err := c.returns(); err != nil {
		t.Fatal(err)
	}
	want := ""
	for n := range 3 {
		want += fmt.Sprintf("start %d, %slast words|", n+1, strings.Repeat("x", 100000))
	}
	if c.said.Text() != want {
		t.Errorf("heard %.100q …", c.said.Text())
	}
}

func TestStopIsSIGTERMFirst(t *testing.T) {
	t.Parallel()
	o := sh(`trap 'echo bye; exit 5' TERM; echo ready; read line; echo "end of file"`)
	var c *command
	running := make(chan struct{})
	o.Input = func(ctx context.Context, _ *child.Process) {
		<-running
		<-ctx.Done()
		c.said.Until(t, "bye\n") // its STDIN ends when we return
	}
	c = run(t, o)
	close(running)
	c.said.Until(t, "ready\n")
	end := c.isStopped()
	if end.Code != 5 || !strings.HasPrefix(c.said.Text(), "ready\nbye\n") {
		t.Errorf("code %d, and it says %q", end.Code, c.said.Text())
	}
	if c.warned.Text() != "" {
		t.Error(c.warned.Text())
	}
}

// A program that does not handle signals ends at the end of its STDIN.
func TestStopEndsStdin(t *testing.T) {
	t.Parallel()
	c := run(t, sh(`trap "" TERM; echo ready; cat; echo the end`))
	c.says("hello\n")
	c.said.Until(t, "hello\n")
	if end := c.isStopped(); end.Code != 0 || c.said.Text() != "ready\nhello\nthe end\n|" {
		t.Errorf("code %d, and it says %q", end.Code, c.said.Text())
	}
}

const neverEnds = `trap "" TERM; echo ready; while :; do sleep 1; done`

func TestStopIsSIGKILLAtLast(t *testing.T) {
	t.Parallel()
	o := sh(neverEnds)
	o.Grace = 100 * time.Millisecond
	c := run(t, o)
	c.said.Until(t, "ready\n")
	if end := c.isStopped(); end.Signal != syscall.SIGKILL || end.Code != 137 {
		t.Errorf("%+v", end)
	}
	c.warned.Until(t, "did not exit within 100ms of SIGTERM")
}

func TestKillMakesHaste(t *testing.T) {
	t.Parallel()
	haste := make(chan struct{})
	o := sh(neverEnds)
	o.Grace = time.Hour
	o.Kill = haste
	c := run(t, o)
	c.said.Until(t, "ready\n")
	c.stop()
	close(haste)
	if end, _ := c.returns(); end.Signal != syscall.SIGKILL {
		t.Errorf("%+v", end)
	}
}

// A stopped process gets SIGTERM too.
func TestStopWakesTheStopped(t *testing.T) {
	t.Parallel()
	c := run(t, sh(`trap 'echo bye; exit 5' TERM; echo ready; kill -STOP $$; read line`))
	c.said.Until(t, "ready\n")
	pid := c.pid()
	scene.Until(t, "it is stopped", func() bool { return stateOf(pid) == "T" })
	if end := c.isStopped(); end.Code != 5 {
		t.Errorf("%+v", end)
	}
}

// While no process runs, Run returns at once.
func TestStopBetweenTwo(t *testing.T) {
	t.Parallel()
	c := run(t, sh("exit 1").Lasting())
	c.ended()
	c.isStopped()
}

func TestOutputThatFailsEndsIt(t *testing.T) {
	t.Parallel()
	full := errors.New("full")
	o := sh(`cat; echo more`)
	o.Restart = child.Always
	o.Output = func(_ context.Context, f *os.File) error {
		_, err := io.ReadFull(f, make([]byte, 3))
		return errors.Join(full, err)
	}
	c := run(t, o)
	c.says("abc\n")
	if end, err := c.returns(); !errors.Is(err, full) || end.Signal != syscall.SIGTERM {
		t.Errorf("%v, %+v", err, end)
	}
}

// A helper that a process left behind does not outlive it.
func TestWhoIsLeftBehindEndsToo(t *testing.T) {
	t.Parallel()
	for _, script := range []string{
		`sleep 1000 & echo $!; exit 3`,
		`(trap "" TERM; while :; do sleep 1; done) & echo $!; exit 3`,
	} {
		c := run(t, sh(script).Hurried())
		if end := c.ended(); end.Code != 3 || end.Again == 0 {
			t.Errorf("%+v", end)
		}
		var helper int
		fmt.Sscan(c.said.Until(t, "\n"), &helper)
		isGone(t, helper)
		c.ended() // the second, so there was one
		c.isStopped()
		if c.warned.Text() != "" {
			t.Error(c.warned.Text())
		}
	}
}

// The helper gets SIGTERM first, and may clean up.
func TestWhoIsLeftBehindIsAsked(t *testing.T) {
	t.Parallel()
	o := sh(`(trap 'echo told; exit' TERM; echo ready; while :; do sleep 0.01; done) & read line; exit 3`)
	o.Restart, o.Grace = child.Never, scene.LongEnough
	c := run(t, o)
	c.said.Until(t, "ready\n")
	c.says("go\n")
	c.said.Until(t, "told\n|")
}

// A process that has left the group delays the next start for a moment only, and
// its output is read.
func TestLeftoverProcessKeepsStdoutOpen(t *testing.T) {
	t.Parallel()
	c := run(t, as("leaver").Strict())
	if end := c.ended(); end.Code != 1 || end.Again == 0 {
		t.Errorf("%+v", end)
	}
	if end, err := c.returns(); end.Start != 2 || err != nil {
		t.Errorf("%+v, %v", end, err)
	}
	c.warned.Until(t, "holds its STDOUT open")
	leftover, words, _ := strings.Cut(c.said.Text(), "\n")
	if words != "last words|the second\n|" {
		t.Errorf("it says %q", words)
	}
	pid, _ := strconv.Atoi(leftover)
	kill(t, pid, syscall.SIGKILL)
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	o := sh(`echo "$HUBBUB_START $HUBBUB_EPOCH $HOME"; test $HUBBUB_START = 2`).Hurried()
	o.Env = []string{"HUBBUB_EPOCH=abc", "HUBBUB_START=fooled"}
	c := run(t, o)
	c.returns()
	home := os.Getenv("HOME")
	if want := "1 abc " + home + "\n|2 abc " + home + "\n|"; c.said.Text() != want {
		t.Errorf("it is told %q", c.said.Text())
	}
}

// Without Input and Output the process has /dev/null for both.
func TestNeitherInputNorOutput(t *testing.T) {
	t.Parallel()
	o := sh("cat; echo hello; exit 4")
	o.Restart = child.Never
	end, err := child.Run(t.Context(), o)
	if end.Code != 4 || err != nil {
		t.Errorf("%+v, %v", end, err)
	}
}

func TestStderrIsOurs(t *testing.T) {
	t.Parallel()
	at := filepath.Join(t.TempDir(), "stderr")
	f, err := os.Create(at)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	o := sh("echo hello >&2")
	o.Stderr = f
	run(t, o).returns()
	if said, _ := os.ReadFile(at); string(said) != "hello\n" {
		t.Errorf("on STDERR is %q", said)
	}
}

func TestEndIsASentence(t *testing.T) {
	for want, end := range map[string]child.End{
		"./bot.py (process 7) exited with code 3 after 1.2s": {
			Command: "./bot.py", PID: 7, Code: 3, Uptime: 1200 * time.Millisecond,
		},
		"./bot.py (process 7) was killed by SIGKILL after 2s; lost 17 messages (1204 bytes) that it had not read; restarting in 380ms": {
			Command: "./bot.py", PID: 7, Code: 137, Signal: syscall.SIGKILL, Uptime: 2 * time.Second,
			Lost: 17, LostBytes: 1204, Again: 381 * time.Millisecond,
		},
		"./bot.py (process 7) exited with code 0 after 2s; messages it had not read are lost; 1 message discarded after it closed its STDIN": {
			Command: "./bot.py", PID: 7, Uptime: 2 * time.Second, Lost: -1, LostBytes: -1, Discarded: 1,
		},
		"exec ./bot.py: permission denied; restarting in 1s": {
			Command: "./bot.py", Err: &child.StartError{Command: "./bot.py", Err: syscall.EACCES}, Again: time.Second,
		},
	} {
		if got := end.String(); got != want {
			t.Errorf("%q\nis not\n%q", got, want)
		}
	}
}
