package hubbub_test

// Scenes in which a hub has a process of its own: its CPU time is its own
// then, and so is its number of descriptors. The test binary is that process
// as well.

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hubbub.example/internal/scene"

	"hubbub.example"
)

const childVariable = "HUBBUB_TEST_CHILD"

// childOptions says what a hub in its own process is to be like.
type childOptions struct {
	Descriptors uint64 // the process may have; 0 means as many as we may
	MaxClients  int
	Backlog     int64
	Replay      hubbub.Replay
}

func TestMain(m *testing.M) {
	o := os.Getenv(childVariable)
	if o == "" {
		scene.Signals()
		scene.AtOnce(16)
		os.Exit(m.Run())
	}
	if err := beChild([]byte(o)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// beChild returns a hub that says on STDOUT where it listens and broadcasts what
// comes on STDIN, until its end.
func beChild(options []byte) error {
	var o childOptions
	if err := json.Unmarshal(options, &o); err != nil {
		return err
	}
	if o.Descriptors > 0 {
		limit := unix.Rlimit{Cur: o.Descriptors, Max: o.Descriptors}
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			return err
		}
	}
	h, err := hubbub.New(hubbub.Options{
		MaxClients: o.MaxClients, Backlog: o.Backlog, Replay: o.Replay, Inbox: hubbub.InboxNone,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		return err
	}
	at, err := h.Listen("tcp://127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(at[0])
	if err := h.BroadcastFrom(context.Background(), os.Stdin); err != nil {
		return err
	}
	return h.Close()
}

// child is a hub in a process of its own.
type child struct {
	t     *testing.T
	cmd   *exec.Cmd
	at    string
	stdin io.WriteCloser
	said  bytes.Buffer // on STDERR; to be read after the end
}

func startChild(t *testing.T, o childOptions) *child {
	t.Helper()
	options, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	c := &child{t: t, cmd: exec.Command(os.Args[0])}
	c.cmd.Env = append(os.Environ(), childVariable+"="+string(options))
	c.cmd.Stderr = &c.said
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.cmd.Process.Kill() })
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("the child says no address: %v", err)
	}
	c.at = strings.TrimSpace(line)
	return c
}

// says has the child broadcast text.
func (c *child) says(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.stdin, text); err != nil {
		c.t.Fatal(err)
	}
}

// ends lets the child come to its end, and returns what it has logged.
func (c *child) ends() string {
	c.t.Helper()
	_ = c.stdin.Close()
	if err := begins(c.cmd.Wait)(); err != nil {
		c.t.Fatalf("the child: %v\n%s", err, &c.said)
	}
	return c.said.String()
}

// cpu returns what the child has used, up to now (proc_pid_stat(5)).
func (c *child) cpu() time.Duration {
	c.t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.cmd.Process.Pid))
	if err != nil {
		c.t.Fatal(err)
	}
	_, rest, _ := bytes.Cut(stat, []byte(") ")) // the name may hold anything
	fields := strings.Fields(string(rest))
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	if err1 != nil || err2 != nil {
		c.t.Fatalf("/proc says %q", stat)
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}

// Clients that are silent cost nothing, however many they are, and whatever
// went on before.
func TestIdleHubUsesNoCPU(t *testing.T) {
	t.Parallel()
	const clients = 400
	c := startChild(t, childOptions{Replay: hubbub.ReplayAll})
	peers := make([]*peer, clients)
	for i := range peers {
		peers[i] = dial(t, c.at)
		peers[i].Says("hello\n")
		if i%4 == 1 {
			peers[i].Says("half a line")
		}
	}
	// Whoever comes gets it, so whoever has it is there.
	c.says("first\n")
	for _, p := range peers {
		p.Hears("first\n")
	}
	// What went on before may have a little left to do.
	scene.Until(t, "in three idle seconds hardly any CPU is used", func() bool {
		before := c.cpu()
		passes(3 * time.Second)
		return c.cpu()-before <= 30*time.Millisecond
	})
	c.says("last\n")
	peers[0].Hears("last\n")
}

// Without descriptors the hub goes on: it refuses one with a word, once in a
// while, and does not spin; it serves those it has, also with more than the
// backlog keeps; and it takes in who waits as soon as somebody leaves.
func TestOutOfDescriptors(t *testing.T) {
	t.Parallel()
	const clients, n = 60, 3000
	c := startChild(t, childOptions{Descriptors: 40, MaxClients: 1000, Backlog: 1 << 20, Replay: hubbub.ReplayAll})
	c.says("hello\n")
	fates := &scene.Board[string]{}
	for i := range clients {
		p := dial(t, c.at)
		if i == 0 { // the source must have its descriptor before all are gone
			if _, err := p.R.Peek(len("hello\n")); err != nil {
				t.Fatal(err)
			}
		}
		if i%2 == 1 {
			p.Says("may I come in?\n") // unread input must not turn a refusal into a reset
		}
		go func() { meetFate(p, n, fates) }()
	}
	count := func(want string) int {
		n := 0
		for _, fate := range fates.All() {
			if fate == want {
				n++
			}
		}
		return n
	}
	scene.Until(t, "one is refused", func() bool { return count("refused") == 1 })
	before := c.cpu()
	scene.Until(t, "three are refused", func() bool { return count("refused") == 3 })
	if used := c.cpu() - before; used > 500*time.Millisecond {
		t.Errorf("in the two seconds in which two were refused %v of CPU were used", used)
	}
	served := count("served")
	if served < 5 || served > 40 {
		t.Fatalf("%d are served", served)
	}
	for i := range n {
		c.says(string(numbered(i, 1000)) + "\n")
	}
	scene.Until(t, "all who are served have heard everything", func() bool { return count("told") == served })
	c.says("goodbye\n")
	scene.Until(t, "all have come to their end", func() bool { return count("refused")+count("done") == clients })
	if count("served") != count("done") || count("torn") > 0 {
		t.Errorf("what became of them: %v", fates.All())
	}
	if said := c.ends(); strings.Count(said, "out of descriptors with") != 1 {
		t.Errorf("it was said more than once a minute, or not at all:\n%s", said)
	}
}

// meetFate is one client, who notes what becomes of him.
func meetFate(p *peer, n int, fates *scene.Board[string]) {
	stays := false
	defer func() {
		if !stays {
			_ = scene.Reset(p.Conn)
		}
	}()
	next := -1
	for {
		line, err := p.R.ReadString('\n')
		line = strings.TrimSuffix(line, "\n")
		switch {
		case err != nil:
			fates.Add("torn")
			return
		case line == "hubbub: refused: the server is out of descriptors":
			fates.Add("refused")
			stays = true // as a person would who has not looked yet
			return
		case next < 0:
			fates.Add("served")
			next = 0
			if line != "hello" { // who comes late begins with the oldest that is kept
				_, _ = fmt.Sscanf(line, "%d", &next)
				next++
			}
		case line == "goodbye":
			fates.Add("done")
			return
		case line != string(numbered(next, 1000)):
			fates.Add("torn")
			return
		default:
			if next++; next == n {
				fates.Add("told")
			}
		}
	}
}
