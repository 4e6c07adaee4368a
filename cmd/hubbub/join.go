package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"hubbub.example/internal/console"
	"hubbub.example/internal/framing"
	"hubbub.example/internal/join"
	"hubbub.example/internal/proto"
	"hubbub.example/internal/sock"
	"hubbub.example/internal/wsconn"
)

// This file is hubbub join's flags, and what it gives package join of the
// system; what differs from system to system is in join_*.go:
//
//	input      STDIN, and what it is
//	settle     readies a connected socket
//	health     asks the system about a connection

// joinFlags is what the flags of hubbub join say.
type joinFlags struct {
	frame          framing.Framing
	out            join.Out
	eof            join.EOF
	noConsole      bool
	since          proto.Point
	last           *int
	name           string
	reconnect      bool
	connectTimeout time.Duration
	keepAlive      time.Duration // 0: never
	so             []string
	log            logFlags

	settings []sock.Setting
}

const joinHelp = `
    hubbub join ADDRESS [flags]

Sends STDIN to the server and prints on STDOUT what the server sends, both at
once: neither waits for the other.

    hubbub join host:9000                            talk
    hubbub join host:9000 < /dev/null >> all.log     watch
    sensor | hubbub join host:9000                   report
    hubbub join host:9000 --eof exit < batch.txt     deliver, and be done
    hubbub join host:9000 --last 100 --out json      what was last, and what comes
    hubbub join unix:/run/app.sock                   on this machine

ADDRESS is HOST:PORT, :PORT (this machine), tcp://HOST:PORT, ws://HOST:PORT or
unix:PATH. All addresses of a name are tried, a quarter of a second apart.

A server is asked, as a WebSocket, for hubbub.v1. One that says nothing for 2 s
is spoken to raw, on another connection: messages with their separator, as nc
has them. So is one that twice answers what is no HTTP: a hubbub that is asked
later than its --sniff begins so. What was said on the connections before is
not printed; that the server speaks raw is said on STDERR. An answer in HTTP
that opens no WebSocket is an error: a page is no stream. What it spoke once a
server must speak after every break.

With tcp:// it is not asked: for a server to which the question would be
messages, that says what it has to say to whoever comes first, or that takes a
single client (nc -l). With ws://, and http:// which is the same, it must speak
hubbub.v1; so it must for --since, --last and --name. --frame raw has no
messages, and is always raw.

When STDIN ends, the server is told, and what it still sends is printed until
it closes. If STDIN ends before its first byte (/dev/null, cron, a background
job), join is a watcher: it tells the server nothing, and stays.

A connection that breaks, or that the server closes, is made again, unless all
is said: soon if something came of it, else after a wait that grows to half a
minute. What STDIN gives meanwhile is kept, 1 MiB of it; then STDIN is not
read, so whoever writes it waits.

Over hubbub.v1 a message arrives once, both ways: what the server has not
acknowledged is kept and sent again, and printing goes on behind the last
message. How many are gone from the server, or were skipped, is said on STDERR.
Only a server that is started anew, or was out of reach for ten minutes, may
get twice what it had not acknowledged. A message longer than the server takes
is left out, and said.

Raw, a message arrives at most once: what was on its way when the connection
broke may be lost, and is not sent again unless the break cut it in two. A
message that breaks off while it is being printed ends early. If the server
says that it will send no more, that may mean that it still listens. Sending
goes on if it said so at once, if STDIN is a file, or with --reconnect=false.

Where STDIN and STDOUT are a terminal there is a console: /help says what it
knows, docs/console.md all of it. Another word behind a slash, such as a room's
/nick, goes to the server as it is; //word sends /word always.

--out tagged says before each message, and a tab, the name or else the id of
the client that said it, and - where none is known. --out json has an object a
line: type (message; missed, skipped or unknown where something is missing),
seq, time, text or base64, id and name of the client; raw, time is when it came.

SIGINT and SIGTERM end it once all is sent and acknowledged, for which there
are 5 s; a second one, or SIGQUIT, ends it at once. Exit codes: 0 done, 1 it
could not connect, lost the connection for good or left something unsent, 2 the
command line cannot be meant so.
`

func newJoinCommand(e env) *cobra.Command {
	var f joinFlags
	cmd := &cobra.Command{
		Use: "join",
		RunE: func(cmd *cobra.Command, args []string) error {
			address, err := f.check(args)
			if err != nil {
				return err
			}
			return f.run(cmd.Context(), e, address, args[0])
		},
	}
	describe(cmd, joinHelp, f.groups()...)
	return cmd
}

func (f *joinFlags) groups() []*flagGroup {
	m := newFlagGroup("Messages")
	parsedFlag(m, &f.frame, "frame", "line", "line|nul|raw|N",
		"where a message ends: at a newline, at a zero byte, nowhere (bytes as they come), or after every N bytes", framing.Parse)
	parsedFlag(m, &f.out, "out", "plain", "plain|tagged|json",
		"what STDOUT says: the message; who said it, tab, message; or a JSON object a line, also for what is missing", choice(join.Plain, join.Tagged, join.JSON))
	parsedFlag(m, &f.eof, "eof", "half-close", "half-close|stay|exit",
		"at the end of STDIN: tell the server and print what still comes; print without telling; or leave once all is sent", choice(join.HalfClose, join.Stay, join.Exit))
	h := newFlagGroup("With a server that speaks hubbub.v1")
	parsedFlag(h, &f.since, "since", "", "EPOCH-SEQ",
		"begin behind this message; -v says at the end how far it came", proto.ParsePoint)
	parsedFlag(h, &f.last, "last", "", "N", "begin so many messages back", func(s string) (*int, error) {
		n, err := atLeast(0)(s)
		return &n, err
	})
	parsedFlag(h, &f.name, "name", "", "NAME", "what to be called", proto.ParseName)
	m.BoolVar(&f.noConsole, "no-console", false, "plain lines also where STDIN and STDOUT are a terminal")
	c := newFlagGroup("Connection")
	c.BoolVar(&f.reconnect, "reconnect", true, "come back when the connection breaks")
	parsedFlag(c, &f.connectTimeout, "connect-timeout", "10s", "TIME",
		"how long connecting may take, all addresses together", parseTime)
	parsedFlag(c, &f.keepAlive, "keepalive", "30s", "TIME|off",
		"how long the server may be silent before it is asked whether it lives; a dead one is given up in twice this", timeOrOff(0))
	c.StringArrayVar(&f.so, "so", nil,
		"set a socket option, `NAME=VALUE`, such as SO_RCVBUF=65536; again for more. hubbub sockopts lists them")
	return []*flagGroup{m, h, c, f.log.group("also each attempt to connect")}
}

// check returns whom to join, and finds what is wrong with the command line.
func (f *joinFlags) check(args []string) (join.Address, error) {
	if len(args) != 1 {
		return join.Address{}, usage("join takes one ADDRESS, such as localhost:9000, but there are %d%s", len(args), asForNC(args))
	}
	address, err := join.ParseAddress(args[0])
	if err != nil {
		return address, &usageError{err}
	}
	if address.Port == "0" {
		return address, usage("address %q: port 0 is any that is free, which only a server can take", args[0])
	}
	if err := f.checkV1(address, args[0]); err != nil {
		return address, err
	}
	if f.keepAlive > 0 {
		f.keepAlive = max(f.keepAlive, time.Second) // the kernel counts in seconds
	}
	if f.settings, err = parseSettings(f.so, address); err != nil {
		return address, err
	}
	return address, f.log.check()
}

// asForNC guesses what was meant by HOST PORT.
func asForNC(args []string) string {
	if len(args) == 2 {
		if a := net.JoinHostPort(args[0], args[1]); parses(a) {
			return fmt.Sprintf("; did you mean %s?", a)
		}
	}
	return ""
}

func parses(address string) bool {
	_, err := join.ParseAddress(address)
	return err == nil
}

// checkV1 finds what does not go together with what is spoken.
func (f *joinFlags) checkV1(address join.Address, given string) error {
	raw := ""
	switch {
	case f.frame == framing.Raw:
		raw = "--frame raw"
	case address.Protocol == join.RawOnly:
		raw = given
	}
	switch {
	case f.frame == framing.Raw && address.Protocol == join.HubbubV1:
		return usage("--frame raw does not go with %s: hubbub.v1 has messages", given)
	case f.frame == framing.Raw && f.out == join.Tagged:
		return usage("--out tagged does not go with --frame raw, which has no messages to tag")
	case f.since != proto.Point{} && f.last != nil:
		return usage("--since and --last do not go together: each says where to begin")
	case raw == "":
		return nil
	case f.since != proto.Point{}:
		return usage("--since does not go with %s: raw, messages have no numbers", raw)
	case f.last != nil:
		return usage("--last does not go with %s: raw, the server decides where to begin", raw)
	case f.name != "":
		return usage("--name does not go with %s: raw, clients have no names", raw)
	}
	return nil
}

// openWebSocket introduces package wsconn to package join.
func openWebSocket(conn net.Conn, host, target, protocol string) (join.WebSocket, error) {
	ws, err := wsconn.Open(conn, host, target, protocol)
	if err != nil {
		return nil, err // and no nil of another type
	}
	return ws, nil
}

// parseSettings reads what --so says for a socket of address's kind.
func parseSettings(so []string, address join.Address) ([]sock.Setting, error) {
	var settings []sock.Setting
	for _, s := range so {
		setting, err := sock.Parse(s)
		if err != nil {
			return nil, usage("--so: %w", err)
		}
		if setting.Option.TCPOnly && address.Network == "unix" {
			return nil, usage("--so: %s: a Unix socket has no %s", s, setting.Option.Name)
		}
		settings = append(settings, setting)
	}
	return settings, nil
}

func (f *joinFlags) run(ctx context.Context, e env, address join.Address, given string) error {
	ctx, stop := signal.NotifyContext(ctx, stopSignals()...)
	// A second signal does what it always does, but for one that came with the
	// first, and may come still when all is done.
	context.AfterFunc(ctx, func() { time.AfterFunc(oneInstant, stop) })
	defer time.AfterFunc(oneInstant, stop)

	in, kind := input(e.stdin)
	out := reopened(e.stdout, os.O_WRONLY)
	lost := make(chan error, 1)
	go func() {
		if hungUp(out) {
			lost <- syscall.EPIPE
		}
	}()
	o := join.Options{
		Address:        address,
		Stdin:          in,
		Input:          kind,
		Stdout:         stdoutWriter(out),
		Lost:           lost,
		Frame:          f.frame,
		EOF:            f.eof,
		Out:            f.out,
		WebSocket:      openWebSocket,
		Since:          f.since,
		Last:           f.last,
		Name:           f.name,
		Once:           !f.reconnect,
		ConnectTimeout: f.connectTimeout,
		Control:        f.control,
		Connected:      func(c net.Conn) error { return settle(c, f.keepAlive, f.settings) },
		Health:         health(address, f.keepAlive),
		HealthEvery:    f.keepAlive / 8,
		Log:            f.log.logger(e.stderr),
	}
	c := f.openConsole(e, given)
	if c == nil {
		return join.Run(ctx, o)
	}
	ctx, quit := context.WithCancel(ctx)
	o.Stdin, o.Input = c.typed, join.Terminal
	o.Stdout, o.Out = counted{c.Messages(console.Tagged), c}, join.Tagged
	o.Log = f.log.logger(c.Log())
	go c.run(ctx, quit)
	err := join.Run(ctx, o)
	quit()
	<-c.ended
	return err
}

// control sets the socket options before the connection is made, when a window
// is still to be agreed upon.
func (f *joinFlags) control(_, _ string, c syscall.RawConn) error {
	return onSocket(c, func(fd int) error { return setAll(fd, f.settings) })
}

func setAll(fd int, settings []sock.Setting) error {
	for _, s := range settings {
		if err := s.Set(fd); err != nil {
			return err
		}
	}
	return nil
}

// onSocket does something with a connection's descriptor.
func onSocket(c syscall.RawConn, do func(fd int) error) error {
	var done error
	if err := c.Control(func(fd uintptr) { done = do(int(fd)) }); err != nil {
		return err
	}
	return done
}

// rawConn is the connection's descriptor for onSocket.
func rawConn(c net.Conn) (syscall.RawConn, error) {
	return c.(syscall.Conn).SyscallConn() // TCP and Unix connections have one
}
