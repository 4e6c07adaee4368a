package child_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hubbub.example/internal/child"
	"hubbub.example/internal/scene"
)

// If the hub is killed, its command ends too, even one that neither reads STDIN
// nor prints.
func TestHubIsKilled(t *testing.T) {
	t.Parallel()
	hub := exec.Command(os.Args[0])
	hub.Env = append(os.Environ(), roleVariable+"=hub",
		`HUBBUB_TEST_SCRIPT=trap 'echo told >&2; exit' TERM; echo $$; while :; do sleep 0.05; done`)
	stderr, err1 := hub.StderrPipe()
	stdout, err2 := hub.StdoutPipe()
	if err := errors.Join(err1, err2, hub.Start()); err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Fscan(stdout, &pid); err != nil {
		t.Fatal(err)
	}
	told := time.AfterFunc(scene.LongEnough, func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
	defer told.Stop()
	kill(t, hub.Process.Pid, syscall.SIGKILL)
	if line, _ := bufio.NewReader(stderr).ReadString('\n'); line != "told\n" {
		t.Errorf("it says %q", line)
	}
	isGone(t, pid)
	_ = hub.Wait()
}

// The end of one of our threads is not our end: Linux signals a process when the
// thread that started it ends.
func TestThreadsComeAndGo(t *testing.T) {
	t.Parallel()
	enough := make(chan struct{})
	for range 2 {
		go func() {
			for {
				ended := make(chan struct{})
				go func() {
					runtime.LockOSThread() // and its end is the thread's
					close(ended)
				}()
				<-ended
				select {
				case <-enough:
					return
				default:
				}
			}
		}()
	}
	defer close(enough)
	for range 10 {
		o := sh(`read line; exit 6`)
		o.Restart = child.Never
		c := run(t, o)
		c.pid()
		c.says("go\n")
		if end, _ := c.returns(); end.Code != 6 {
			t.Fatalf("%+v", end)
		}
	}
}

// inherited are the descriptors that whoever runs the tests has left open: the
// command's too.
var inherited = inheritable()

func inheritable() map[int]bool {
	open := map[int]bool{}
	for fd := 3; fd < 1024; fd++ {
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			open[fd] = true
		}
	}
	return open
}

// A process gets three descriptors, of the mode that programs expect, and leads a
// session of its own without a terminal.
func TestWhatItIsGiven(t *testing.T) {
	t.Parallel()
	c := run(t, sh(`ls /proc/$$/fd; echo and; cat /proc/$$/fdinfo/0 /proc/$$/fdinfo/1; cut -d' ' -f1,5,6,7 /proc/$$/stat`))
	pid := c.pid()
	if _, err := c.returns(); err != nil {
		t.Fatal(err)
	}
	said := c.said.Text()
	fds, said, _ := strings.Cut(said, "and")
	for fd := range strings.FieldsSeq(fds) {
		if n, err := strconv.Atoi(fd); err != nil || n > 2 && !inherited[n] {
			t.Errorf("it has descriptor %s", fd)
		}
	}
	modes := 0
	for line := range strings.Lines(said) {
		var flags int
		if _, err := fmt.Sscanf(line, "flags: %o", &flags); err == nil {
			modes++
			if flags&unix.O_NONBLOCK != 0 {
				t.Errorf("nonblocking: %s", line)
			}
		}
	}
	if own := fmt.Sprintf("\n%d %[1]d %[1]d 0\n", pid); modes != 2 || !strings.Contains(said, own) {
		t.Errorf("want %q in\n%s", own, said)
	}
}

// Nothing is left of a command, however it ends: no descriptor, no goroutine, no
// zombie. Not parallel.
func TestNothingIsLeft(t *testing.T) {
	descriptors := func() int {
		all, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	scenes := func(t *testing.T) {
		run(t, sh(`exit $((3 - HUBBUB_START))`).Hurried()).returns()
		run(t, sh(`sleep 1000 & exit 0`).Hurried()).returns()
		run(t, sh(`exec <&- >&-; exit 0`)).returns()
		run(t, child.Options{Args: []string{"/no/such"}}).returns()
		run(t, child.Options{Args: []string{"/proc/self/stat"}}).returns()
		o := as("leaver").Strict()
		o.Restart = child.Never
		o.Grace = 1
		o.Input = func(context.Context, *child.Process) {}
		c := run(t, o)
		c.returns()
		leftover := 0
		fmt.Sscan(c.said.Text(), &leftover)
		kill(t, leftover, syscall.SIGKILL)
		o = sh(neverEnds).Hurried()
		o.Grace = 1
		c = run(t, o)
		c.says(strings.Repeat("x\n", 100_000))
		c.said.Until(t, "ready")
		c.isStopped()
	}
	scenes(t) // what is made once and kept
	fds, goroutines := descriptors(), runtime.NumGoroutine()
	for range 3 {
		t.Run("", scenes)
	}
	scene.Until(t, "the descriptors are closed", func() bool { return descriptors() <= fds })
	scene.Until(t, "the goroutines have ended", func() bool { return runtime.NumGoroutine() <= goroutines })
	if err := unix.Waitid(unix.P_ALL, 0, nil, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil); !errors.Is(err, unix.ECHILD) {
		t.Errorf("there are processes left: %v", err)
	}
}
