//go:build linux

package lesson

// What the lesson shows, shown with the real programs. First the blocking
// pair, which is right and slow; then the naive one: that it works, and then
// its problems in the order of docs/problems.md. These tests fail if somebody
// repairs the naive programs, which then no longer teach anything.
//
// The programs build on every Unix; the scenes look into Linux's pockets.

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"hubbub.example/internal/scene"
)

// morePipe is more than a pipe holds: once such a text is said, most of it has
// been read.
const morePipe = 256 << 10

// --- the blocking pair

// Each waits for the other, so neither can say two things in a row.
func TestBlockingPairTakesTurns(t *testing.T) {
	server := serve(t, "blocking-server")
	client := start(t, "blocking-client", server.address)

	client.say("first\nsecond\n")
	server.prints("client: first")
	server.say("an answer\n")
	client.prints("server: an answer")
	server.prints("client: second")
}

// The heart of the lesson: client 2 is connected, has spoken, and waits until
// client 1 is back from lunch and has left.
func TestClientTwoWaitsForClientOnesLunch(t *testing.T) {
	server := serve(t, "blocking-server")
	one := start(t, "blocking-client", server.address)
	one.say("I am off to lunch\n")
	server.prints("client: I am off to lunch")
	server.say("enjoy\n")
	one.prints("server: enjoy")

	two := connect(t, server.address)
	two.Says("anybody there?\n")

	one.say("I am back\n")
	server.prints("client: I am back")
	server.say("at last\n")
	one.prints("server: at last")
	one.sayNoMore()
	one.exits(0)
	server.prints("client: anybody there?")
}

// SO_REUSEADDR before bind: the port can be had again at once.
func TestBlockingServerRestarts(t *testing.T) {
	first := serve(t, "blocking-server")
	c := connect(t, first.address)
	c.Says("hello\n")
	first.prints("client: hello")
	first.kill()

	second := start(t, "blocking-server", first.address)
	second.listens()
}

// --- the naive pair

// Both may speak at any time, as often as they like.
func TestNaivePairTalks(t *testing.T) {
	server := serve(t, "naive-server")
	client := start(t, "naive-client", server.address)
	for _, word := range []string{"one", "two"} {
		client.say(word + "\n")
		server.prints("client: " + word)
	}
	for _, word := range []string{"three", "four"} {
		server.say(word + "\n")
		client.prints("server: " + word)
	}
}

// Problem 1: the second client is never served, lunch or no lunch.
func TestNaiveServerServesOneClient(t *testing.T) {
	server := serve(t, "naive-server")
	one := connect(t, server.address)
	turn(server, one, "client")

	two := connect(t, server.address)
	two.Says("anybody there?\n")
	for range 200 {
		turn(server, one, "client")
	}
	server.say("news for all\n")
	one.hears("news for all")
	turn(server, one, "client")
	two.hearsNothing()

	if late := server.printedUntilKilled(); len(late) > 0 {
		t.Fatalf("client 2 was heard: %q", late)
	}
}

// Problem 2: with nothing to do, all of a processor's time is used up. Allowed
// one second of it, the naive programs die; the blocking one does not.
func TestNaivePairNeverRests(t *testing.T) {
	lonely := serve(t, "naive-server")
	server := serve(t, "naive-server")
	turn(server, connect(t, server.address), "client")
	l := listen(t)
	client := start(t, "naive-client", l.Addr().String())
	turn(client, accept(t, l), "server")
	blocking := serve(t, "blocking-server")

	for _, p := range []*program{lonely, server, client, blocking} {
		p.allow(unix.RLIMIT_CPU, 1)
	}
	for _, p := range []*program{lonely, server, client} {
		p.diesOf(syscall.SIGKILL)
	}
	connect(t, blocking.address).Says("well rested?\n")
	blocking.prints("client: well rested?")
}

// Problems 3 and 4: the client has left, by the door or through the window,
// and the server goes on talking to nobody. (Hundreds of kilobytes, each line
// of which took a turn.)
func TestNaiveServerNeverSeesTheEnd(t *testing.T) {
	for how, leave := range map[string]func(*peer){
		"end of file": func(c *peer) { _ = c.Close() },
		"reset":       (*peer).Reset,
	} {
		t.Run(how, func(t *testing.T) {
			server := serve(t, "naive-server")
			one := connect(t, server.address)
			turn(server, one, "client")
			leave(one)

			two := connect(t, server.address)
			two.Says("my turn?\n")
			server.say(strings.Repeat(strings.Repeat("x", 1023)+"\n", morePipe/1024))
			two.hearsNothing()
			if late := server.printedUntilKilled(); len(late) > 0 {
				t.Fatalf("client 2 was heard: %q", late)
			}
		})
	}
}

// Problem 3: the server has left, and the client learns of it only by talking
// to it, twice at least.
func TestNaiveClientNeverSeesTheEnd(t *testing.T) {
	l := listen(t)
	client := start(t, "naive-client", l.Addr().String())
	server := accept(t, l)
	turn(client, server, "server")
	_ = server.Close()

	client.sayUntilItEnds("are you there?\n")
	client.exits(1)
	client.logs("write: broken pipe")
}

// Problem 4: the server is busy, and the client takes it for dead.
func TestNaiveClientTakesFullForBroken(t *testing.T) {
	l := listen(t)
	client := start(t, "naive-client", l.Addr().String())
	accept(t, l) // and does not read

	client.sayUntilItEnds(strings.Repeat("x", 4095) + "\n")
	client.exits(1)
	client.logs("write: resource temporarily unavailable")
}

// Problem 5, server: while a line is half typed, nobody is heard.
func TestHalfTypedLineBlocksNaiveServer(t *testing.T) {
	tick := clock(t)
	server := serve(t, "naive-server")
	c := connect(t, server.address)
	turn(server, c, "client")

	server.say(strings.Repeat("x", morePipe)) // no newline
	c.Says("hello?\n")
	tick()
	if len(server.stdout) > 0 {
		t.Fatal("the client was heard")
	}

	server.say("\n")
	server.prints("client: hello?")
}

// Problem 5, client: what was half typed is lost.
func TestNaiveClientLosesHalfTypedLine(t *testing.T) {
	l := listen(t)
	client := start(t, "naive-client", l.Addr().String())
	server := accept(t, l)

	client.say("never ")
	turn(client, server, "server")
	client.say("mind\n")
	server.hears("mind")
}

// Problem 6: of two lines that come at once, the second stays in the buffer
// until a third comes.
func TestLinesHideFromPoll(t *testing.T) {
	server := serve(t, "naive-server")
	c := connect(t, server.address)
	server.say("one\ntwo\n")
	c.hears("one")

	turn(server, c, "client")
	c.hearsNothing()

	server.say("three\n")
	c.hears("two")
	c.hears("three")
}

// Problem 7: the end of the server's input is the end for all.
func TestEndOfInputEndsNaiveServer(t *testing.T) {
	server := serve(t, "naive-server")
	c := connect(t, server.address)
	turn(server, c, "client")
	server.sayNoMore()
	server.exits(0)
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Fatalf("the client read %v, not the end of file", err)
	}
}

// Problem 7: the end of the client's input is nothing to the client: it
// neither tells the server nor ends.
func TestNaiveClientNeverSeesTheEndOfItsInput(t *testing.T) {
	l := listen(t)
	client := start(t, "naive-client", l.Addr().String())
	server := accept(t, l)
	client.say("bye\n")
	client.sayNoMore()
	server.hears("bye")
	turn(client, server, "server")
	server.hearsNothing()
}

// Problem 8: a last line without its newline is lost.
func TestNaiveServerLosesTheLastLine(t *testing.T) {
	server := serve(t, "naive-server")
	c := connect(t, server.address)
	server.say("first\n")
	c.hears("first")
	server.say("last")
	server.sayNoMore()
	server.exits(0)
	if said, err := io.ReadAll(c.R); len(said) > 0 || err != nil {
		t.Fatalf("heard %q, %v", said, err)
	}
}

// Problem 9: a line without an end is kept whole, in memory.
func TestNaiveServerKeepsAnyLine(t *testing.T) {
	const line = 64 << 20
	server := serve(t, "naive-server")
	turn(server, connect(t, server.address), "client")
	server.say(strings.Repeat("x", line))
	if used := status(t, server, "VmHWM") << 10; used < line {
		t.Fatalf("it used %d bytes of memory for a line of %d", used, line)
	}
}

// status returns a number of /proc/PID/status.
func status(t *testing.T, p *program, name string) (n int) {
	t.Helper()
	all, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(all), name+":")
	if _, err := fmt.Sscan(after, &n); err != nil {
		t.Fatalf("%s in %q: %v", name, all, err)
	}
	return n
}

// Problem 10: what the kernel does not take at once is lost, and nobody is told.
func TestNaiveServerLosesTheRestOfALine(t *testing.T) {
	const line = 16 << 20
	server := serve(t, "naive-server")
	c := connectSmall(t, server.address)
	server.say(strings.Repeat("x", line-1) + "\n")
	turn(server, c, "client") // so the line has been read, and written once
	server.kill()

	n, err := io.Copy(io.Discard, c)
	if n == 0 || n >= line || err != nil {
		t.Fatalf("%d bytes of %d came, then %v", n, line, err)
	}
}

// Problem 11: a reader of its output that leaves kills the server without a
// word, and with it everybody's connection.
func TestNaiveServerDiesOfSIGPIPE(t *testing.T) {
	reader, stdout := scene.Pipe(t)
	server := servePrintingTo(t, stdout, "naive-server")
	c := connect(t, server.address)
	server.logs("a client has come")
	_ = reader.Close()

	c.Says("hello\n")
	server.diesOf(syscall.SIGPIPE)
}

// Problem 12: one message becomes two, two become one, and a long one is cut
// where the buffer ends.
func TestNaiveServerKnowsNoMessages(t *testing.T) {
	server := serve(t, "naive-server")
	c := connect(t, server.address)

	c.Says("hel")
	server.prints("client: hel")
	c.Says("lo\n")
	server.prints("client: lo")

	c.Says("one\ntwo\n")
	server.prints("client: one")
	server.prints("two") // no client said this, as the server has it

	c.Says(strings.Repeat("x", 1500) + "\n")
	server.prints("client: " + strings.Repeat("x", 1024))
	server.prints("client: " + strings.Repeat("x", 1500-1024))
}

// Problem 13: whoever does not read its output stops the server.
func TestBlockedOutputStopsNaiveServer(t *testing.T) {
	tick := clock(t)
	reader, stdout := scene.Pipe(t)
	server := servePrintingTo(t, stdout, "naive-server")
	c := connect(t, server.address)
	for writable(t, stdout) {
		c.Says(strings.Repeat("x", 1023) + "\n")
	}
	// The next print waits. Before it comes to that, the server may look at
	// its input once, but not twice.
	c.Says(strings.Repeat("x", 4095) + "\n")
	server.say("one\n")
	tick()
	server.say("two\n")
	tick()
	if heard := c.heardSoFar(); strings.Contains(heard, "two") {
		t.Fatalf("the client heard %q", heard)
	}

	go func() { _, _ = io.Copy(io.Discard, reader) }()
	c.hears("one")
}

// writable reports whether a write to f would not wait.
func writable(t *testing.T, f *os.File) (yes bool) {
	t.Helper()
	raw, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	_ = raw.Control(func(fd uintptr) {
		var n int
		n, err = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, 0)
		yes = n > 0
	})
	if err != nil {
		t.Fatal(err)
	}
	return yes
}

// Problem 14: a client that sends without end is listened to without end.
func TestFlooderKeepsNaiveServer(t *testing.T) {
	server := serve(t, "naive-server")
	flooder := connect(t, server.address)
	turn(server, flooder, "client")
	quiet := connect(t, server.address)
	quiet.Says("help\n")

	go func() {
		for {
			if _, err := io.WriteString(flooder, strings.Repeat("x\n", 512)); err != nil {
				return
			}
		}
	}()
	for range 20_000 {
		if line, ok := next(t, server.stdout); !ok || strings.Contains(line, "help") {
			t.Fatalf("the quiet client was heard, or the server has gone: %q", line)
		}
	}
}

// Problem 15: one message of the client's that was not read makes the server's
// close a reset, and what the client was still to get is lost.
func TestNaiveCloseResets(t *testing.T) {
	all, err := hearTheEnd(t, "")
	if err != nil {
		t.Fatalf("with nothing unread: %d bytes, then %v", all, err)
	}
	some, err := hearTheEnd(t, "wait!\n")
	if some >= all || !errors.Is(err, unix.ECONNRESET) {
		t.Fatalf("with a message unread: %d bytes of %d, then %v", some, all, err)
	}
}

// hearTheEnd returns how many bytes a client gets, and what then, that has said
// something unheard when the server closes.
func hearTheEnd(t *testing.T, unheard string) (int64, error) {
	t.Helper()
	server := serve(t, "naive-server")
	c := connectSmall(t, server.address)
	server.say(strings.Repeat("x", 1<<20) + "\n")
	turn(server, c, "client")
	server.say(strings.Repeat("x", morePipe)) // half typed: the server reads nothing else
	c.Says(unheard)
	server.sayNoMore()
	server.exits(0)
	return io.Copy(io.Discard, c)
}

// Problem 16: out of descriptors, the server asks again as fast as it can and
// says nothing to anybody.
func TestNaiveServerSpinsWithoutDescriptors(t *testing.T) {
	reader, stdout := nonblockingPipe(t)
	server := servePrintingTo(t, stdout, "naive-server")
	_ = stdout.Close()
	server.allow(unix.RLIMIT_NOFILE, firstFree(t, server))
	server.allow(unix.RLIMIT_CPU, 1)
	c := connect(t, server.address)
	c.Says("hello?\n")
	server.diesOf(syscall.SIGKILL)
	if said := slices.Concat(rest(lines(reader)), rest(server.stderr)); len(said) > 0 {
		t.Fatalf("it said %q", said)
	}
}

// nonblockingPipe is for the output of a program that is to run out of
// descriptors: seeing it, Go's runtime opens at once those that it needs
// itself, and not in the middle of the scene.
func nonblockingPipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	r, w = os.NewFile(uintptr(fds[0]), "reader"), os.NewFile(uintptr(fds[1]), "writer")
	t.Cleanup(func() { _, _ = r.Close(), w.Close() })
	return r, w
}

// firstFree returns the descriptor that p would open next.
func firstFree(t *testing.T, p *program) (fd uint64) {
	t.Helper()
	for {
		_, err := os.Lstat(fmt.Sprintf("/proc/%d/fd/%d", p.cmd.Process.Pid, fd))
		if errors.Is(err, os.ErrNotExist) {
			return fd
		}
		if err != nil {
			t.Fatal(err)
		}
		fd++
	}
}

// Problem 17: two clients may wait at the door. For the next it looks as if
// there were no server.
func TestNaiveServerHasRoomForTwo(t *testing.T) {
	server := serve(t, "naive-server")
	fillDoor(t, server)
}

// fillDoor connects clients to a naive server until one gets no answer. Were
// there answers to come, they would come at once: this is loopback.
func fillDoor(t *testing.T, server *program) {
	t.Helper()
	turn(server, connect(t, server.address), "client")
	connect(t, server.address)
	connect(t, server.address)
	for range 8 {
		conn, err := net.DialTimeout("tcp", server.address, time.Second)
		if err != nil {
			return
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
	t.Fatal("ten clients wait at the door")
}

// Problem 18: while it connects, the client does nothing else, for minutes.
func TestNaiveClientWaitsInConnect(t *testing.T) {
	tick := clock(t)
	server := serve(t, "naive-server")
	fillDoor(t, server)

	client := start(t, "naive-client", server.address)
	client.logs("connecting to")
	client.say("hello?\n")
	tick()
	if n := unread(t, client.theirs); n != len("hello?\n") {
		t.Fatalf("its input has %d bytes left", n)
	}
	if len(client.stderr) > 0 {
		t.Fatalf("it said %q", <-client.stderr)
	}
}

// unread returns how many bytes wait in a pipe (FIONREAD, which Linux also calls TIOCINQ).
func unread(t *testing.T, f *os.File) (n int) {
	t.Helper()
	raw, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	_ = raw.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.TIOCINQ) })
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Problem 19: IPv6 is no address.
func TestNaivePairKnowsOnlyIPv4(t *testing.T) {
	for name, address := range map[string]string{"naive-server": "[::1]:0", "naive-client": "[::1]:1"} {
		p := start(t, name, address)
		p.exits(1)
		p.logs("resolve: address ::1: no suitable address found")
	}
}

// Problem 20: as long as a connection of the last server's lingers, a new one
// cannot start.
func TestNaiveServerCannotRestart(t *testing.T) {
	first := serve(t, "naive-server")
	turn(first, connect(t, first.address), "client")
	first.kill()

	second := start(t, "naive-server", first.address)
	second.exits(1)
	second.logs("bind: address already in use")
}

// Problems 21, 22 and 23: nobody asks whether a silent peer is alive, small
// lines wait for acknowledgements of the last, and child processes get it all.
func TestNaiveSocketIsBare(t *testing.T) {
	server := serve(t, "naive-server")
	turn(server, connect(t, server.address), "client")

	sockets := socketsOf(t, server)
	if len(sockets) != 2 {
		t.Fatalf("a listener and a client are %v", sockets)
	}
	for _, fd := range sockets {
		if flags := flagsOf(t, server, fd); flags&unix.O_CLOEXEC != 0 {
			t.Errorf("descriptor %d is closed on exec", fd)
		}
		ours := borrow(t, server, fd)
		for option, level := range map[int]int{unix.SO_KEEPALIVE: unix.SOL_SOCKET, unix.TCP_NODELAY: unix.IPPROTO_TCP} {
			if on, err := unix.GetsockoptInt(ours, level, option); on != 0 || err != nil {
				t.Errorf("descriptor %d: option %d is %d, %v", fd, option, on, err)
			}
		}
	}
}

func socketsOf(t *testing.T, p *program) (fds []int) {
	t.Helper()
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		var fd int
		if target, _ := os.Readlink(link); strings.HasPrefix(target, "socket:") {
			_, _ = fmt.Sscan(filepath.Base(link), &fd)
			fds = append(fds, fd)
		}
	}
	return fds
}

func flagsOf(t *testing.T, p *program, fd int) (flags int) {
	t.Helper()
	info, err := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%d", p.cmd.Process.Pid, fd))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(info), "flags:")
	if _, err := fmt.Sscanf(strings.TrimSpace(after), "%o", &flags); err != nil {
		t.Fatalf("flags in %q: %v", info, err)
	}
	return flags
}

// borrow makes a descriptor of p's one of ours (pidfd_getfd(2)).
func borrow(t *testing.T, p *program, fd int) int {
	t.Helper()
	pidfd, err := unix.PidfdOpen(p.cmd.Process.Pid, 0)
	if err != nil {
		t.Fatal("pidfd_open:", err)
	}
	defer func() { _ = unix.Close(pidfd) }()
	ours, err := unix.PidfdGetfd(pidfd, fd, 0)
	if err == unix.EPERM {
		t.Skip("this system does not let a process look at another's sockets (pidfd_getfd)")
	}
	if err != nil {
		t.Fatal("pidfd_getfd:", err)
	}
	t.Cleanup(func() { _ = unix.Close(ours) })
	return ours
}

// Problem 24: the client makes its standard input nonblocking, also for those
// who share it, and after its end.
func TestNaiveClientLeavesItsInputNonblocking(t *testing.T) {
	l := listen(t)
	client := start(t, "naive-client", l.Addr().String())
	if isNonblocking(t, client.theirs) {
		t.Fatal("nonblocking before the client came")
	}
	turn(client, accept(t, l), "server")
	client.kill()
	if !isNonblocking(t, client.theirs) {
		t.Fatal("left as it was")
	}
}

func isNonblocking(t *testing.T, f *os.File) bool {
	t.Helper()
	raw, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var flags int
	_ = raw.Control(func(fd uintptr) { flags, err = unix.FcntlInt(fd, unix.F_GETFL, 0) })
	if err != nil {
		t.Fatal(err)
	}
	return flags&unix.O_NONBLOCK != 0
}

// Problem 25: a client writes what it likes on the server's terminal.
func TestNaiveServerLetsClientsDriveItsTerminal(t *testing.T) {
	terminal, stdout, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = terminal.Close(), stdout.Close() })
	server := servePrintingTo(t, stdout, "naive-server")
	c := connect(t, server.address)

	const hostile = "\x1b[2J\x1b]0;root@bank\a$ you have paid"
	c.Says(hostile + "\n")
	_ = terminal.SetReadDeadline(time.Now().Add(scene.LongEnough))
	seen := make([]byte, len("client: "+hostile))
	if _, err := io.ReadFull(terminal, seen); err != nil || string(seen) != "client: "+hostile {
		t.Fatalf("the terminal got %q, %v", seen, err)
	}
}
