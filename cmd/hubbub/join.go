package main

import (
	"context"
	"fmt"
	"math"
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

// This file is the flags of hubbub join, and what package join needs of the
// system. What depends on the system is in join_*.go:
//
//	input      STDIN, and what kind of file it is
//	keepAlive  has the system probe a silent server
//	health     asks the system about a connection

// joinFlags are the flags of hubbub join.
type joinFlags struct {
	options   join.Options
	noConsole bool
	reconnect bool
	keepAlive time.Duration // 0: never
	so        []string
	settings  []sock.Setting // so, parsed
	log       logFlags
}

const joinExamples = `
  hubbub join host:9000                            talk
  hubbub join host:9000 < /dev/null >> all.log     watch
  sensor | hubbub join host:9000                   report
  hubbub join host:9000 --eof exit < batch.txt     deliver and exit
  hubbub join host:9000 --last 100 --out json      from 100 back
  hubbub join unix:/run/app.sock                   on this machine
`

const joinLong = `
Sends STDIN to the server and prints what the server sends on STDOUT, both at
the same time. It reconnects when the connection breaks.

ADDRESS is HOST:PORT, :PORT (this machine), tcp://HOST:PORT, ws://HOST:PORT or
unix:PATH. All addresses of a name are tried, a quarter of a second apart.

End of STDIN: join tells the server, and prints what the server still sends
until it closes the connection. If STDIN ends before its first byte (/dev/null,
cron, a background job), join is a watcher: it tells the server nothing, and
stays.

Protocol: join opens a WebSocket and asks for hubbub.v1. If the server sends
nothing for 2 s, join connects again and uses raw: messages with their
separator, as nc sends them. If the server answers twice with something other
than HTTP, join falls back to raw, too. It reports that on STDERR. An HTTP
answer that opens no WebSocket is an error. The protocol must stay the same
across reconnects.

tcp:// skips detection: for servers that would take the request for messages,
that send something to the first client only, or that accept a single client
(nc -l). ws:// (or http://) requires hubbub.v1, and so do --since, --last and
--name. --frame raw has no messages and is always raw.

Reconnecting: at once if the last connection carried something, else after a
wait that grows to half a minute. Meanwhile up to 1 MiB of STDIN is buffered;
then reading pauses. A connection that the server closes is made again too,
unless everything is sent and STDIN has ended.

With hubbub.v1 each message arrives once, in both directions: join keeps what
the server has not acknowledged and sends it again, and continues printing after
the last message. It reports on STDERR how many messages the server no longer
has, or skipped. Only if the server was restarted or out of reach for ten
minutes can it get a message twice. A message longer than the server's limit is
skipped and reported.

With raw each message arrives at most once: data in flight is lost if the
connection breaks, and is sent again only if the break cut a message in two. If
the connection breaks in the middle of a message, join prints what it has of it.
If the server half-closes the connection, join keeps sending if that came at
once, if STDIN is a file, or with --reconnect=false.

--out tagged prints the sender's name, or else id, and a tab before each
message; "-" if the sender is not known. --out json prints one object per line:
type (message; missed, skipped or unknown where messages are missing), seq,
time, text or base64, id and name of the sender. With raw, time is the time of
arrival.

If STDIN and STDOUT are a terminal, join opens a console: type /help there, or
read docs/console.md. Other slash commands, such as /nick, go to the server;
//word sends /word.

SIGINT and SIGTERM end join once everything is sent and acknowledged, within
5 s; a second signal, or SIGQUIT, ends it at once.

Exit codes: 0 success, 1 it could not connect, lost the connection for good or
left something unsent, 2 usage error.
`

func newJoinCommand(e env) *cobra.Command {
	var f joinFlags
	cmd := &cobra.Command{
		Use:               "join ADDRESS",
		Short:             "the client",
		Long:              joinLong,
		Example:           joinExamples,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(args); err != nil {
				return err
			}
			return f.run(cmd.Context(), e, args[0])
		},
	}
	addFlags(cmd, f.groups()...)
	return cmd
}

func (f *joinFlags) groups() []*flagGroup {
	m := newFlagGroup("Messages")
	parsedFlag(m, &f.options.Frame, "frame", "line", "line|nul|raw|N",
		"where a message ends: at a newline, at a zero byte, nowhere (raw bytes), or after every N bytes", framing.Parse)
	parsedFlag(m, &f.options.Out, "out", "plain", "plain|tagged|json",
		"output format: plain (the message), tagged (sender, tab, message) or json (one object per line, including missing messages)", choice(join.Plain, join.Tagged, join.JSON))
	parsedFlag(m, &f.options.EOF, "eof", "half-close", "half-close|stay|exit",
		"at the end of STDIN: half-close (tell the server, print what it still sends), stay (print, tell nothing) or exit (once everything is sent)", choice(join.HalfClose, join.Stay, join.Exit))
	h := newFlagGroup("With hubbub.v1")
	parsedFlag(h, &f.options.Since, "since", "", "EPOCH-SEQ",
		"start after this message; -v reports the last one at the end", proto.ParsePoint)
	parsedFlag(h, &f.options.Last, "last", "", "N", "start N messages back", func(s string) (*int, error) {
		n, err := number(0, math.MaxInt)(s)
		return &n, err
	})
	parsedFlag(h, &f.options.Name, "name", "", "NAME", "your name", proto.ParseName)
	m.BoolVar(&f.noConsole, "no-console", false, "no console, even on a terminal")
	c := newFlagGroup("Connection")
	c.BoolVar(&f.reconnect, "reconnect", true, "reconnect when the connection breaks")
	parsedFlag(c, &f.options.ConnectTimeout, "connect-timeout", "10s", "TIME",
		"limit for connecting, all addresses together", parseTime)
	parsedFlag(c, &f.keepAlive, "keepalive", "30s", "TIME|off",
		"probe the server after this long without a byte from it; a dead one is given up within twice this", timeOrOff(0))
	c.StringArrayVar(&f.so, "so", nil,
		"set a socket option, `NAME=VALUE`, such as SO_RCVBUF=64KiB (hubbub sockopts lists them); repeatable")
	return []*flagGroup{m, h, c, f.log.group("log each attempt to connect too")}
}

// check takes the address to join, and finds what is wrong with the command line.
func (f *joinFlags) check(args []string) error {
	if len(args) != 1 {
		return usage("join takes one ADDRESS, such as localhost:9000, but got %d%s", len(args), asForNC(args))
	}
	address, err := join.ParseAddress(args[0])
	if err != nil {
		return &usageError{err}
	}
	if address.Path == "" && address.Port == 0 {
		return usage("address %q: port 0 is any free port, which only a server can use", args[0])
	}
	f.options.Address = address
	if err := f.checkV1(address, args[0]); err != nil {
		return err
	}
	if f.keepAlive > 0 {
		f.keepAlive = max(f.keepAlive, time.Second) // the kernel counts in seconds
	}
	if f.settings, err = parseSettings(f.so, address); err != nil {
		return err
	}
	return f.log.check()
}

// asForNC suggests HOST:PORT for HOST PORT.
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

// checkV1 finds flags that cannot be used with the protocol.
func (f *joinFlags) checkV1(address join.Address, given string) error {
	raw := ""
	switch {
	case f.options.Frame == framing.Raw:
		raw = "--frame raw"
	case join.ProtocolAt(address) == join.RawOnly:
		raw = given
	}
	switch {
	case f.options.Frame == framing.Raw && join.ProtocolAt(address) == join.HubbubV1:
		return usage("--frame raw cannot be used with %s: hubbub.v1 has messages", given)
	case f.options.Frame == framing.Raw && f.options.Out == join.Tagged:
		return usage("--out tagged cannot be used with --frame raw, which has no messages to tag")
	case f.options.Since != proto.Point{} && f.options.Last != nil:
		return usage("--since and --last cannot be used together: each says where to start")
	case raw == "":
		return nil
	case f.options.Since != proto.Point{}:
		return usage("--since cannot be used with %s: raw messages have no numbers", raw)
	case f.options.Last != nil:
		return usage("--last cannot be used with %s: with raw, the server decides where to start", raw)
	case f.options.Name != "":
		return usage("--name cannot be used with %s: raw clients have no names", raw)
	}
	return nil
}

// openWebSocket gives package join the WebSockets of package wsconn.
func openWebSocket(conn net.Conn, host, target, protocol string) (join.WebSocket, error) {
	ws, err := wsconn.Open(conn, host, target, protocol)
	if err != nil {
		return nil, err // not a nil *wsconn.Conn
	}
	return ws, nil
}

// parseSettings parses --so for a socket of address's kind.
func parseSettings(so []string, address join.Address) ([]sock.Setting, error) {
	var settings []sock.Setting
	for _, s := range so {
		setting, err := sock.Parse(s)
		if err != nil {
			return nil, usage("--so: %w", err)
		}
		if setting.Option.TCPOnly && address.Path != "" {
			return nil, usage("--so: %s: a Unix socket has no %s", s, setting.Option.Name)
		}
		settings = append(settings, setting)
	}
	return settings, nil
}

func (f *joinFlags) run(ctx context.Context, e env, given string) error {
	ctx, stop := signal.NotifyContext(ctx, stopSignals()...)
	// A second signal kills, as it does any program; except one that came with
	// the first, even if that comes when everything is done.
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
	o := f.options
	o.Control, o.Connected = f.control, f.connected
	o.Stdin, o.Input = in, kind
	o.Stdout, o.Lost = stdoutWriter(out), lost
	o.WebSocket = openWebSocket
	o.Once = !f.reconnect
	if hasHealth {
		o.Health, o.HealthEvery = f.health, f.keepAlive/8
	}
	o.Log = f.log.logger(e.stderr)
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

// control sets the socket options before the connection is made: the size of a
// window is agreed upon then.
func (f *joinFlags) control(_, _ string, c syscall.RawConn) error {
	return onSocket(c, func(fd int) error { return setAll(fd, f.settings) })
}

// connected prepares a connected socket. The options are set once more: net turns
// TCP_NODELAY on when it has connected.
func (f *joinFlags) connected(c net.Conn) error {
	if tcp, is := c.(*net.TCPConn); is && f.keepAlive > 0 {
		if err := keepAlive(tcp, f.keepAlive); err != nil {
			return err
		}
	}
	return onConn(c, func(fd int) error { return setAll(fd, f.settings) })
}

// health asks the system about a connection.
func (f *joinFlags) health(c net.Conn) (h join.Health) {
	_, tcp := c.(*net.TCPConn)
	_ = onConn(c, func(fd int) error {
		h = health(fd, tcp, f.keepAlive)
		return nil
	})
	return h
}

func setAll(fd int, settings []sock.Setting) error {
	for _, s := range settings {
		if err := s.Set(fd); err != nil {
			return err
		}
	}
	return nil
}

// onConn calls do with a connection's descriptor.
func onConn(c net.Conn, do func(fd int) error) error {
	raw, err := c.(syscall.Conn).SyscallConn() // TCP and Unix connections have one
	if err != nil {
		return err
	}
	return onSocket(raw, do)
}

func onSocket(c syscall.RawConn, do func(fd int) error) error {
	var done error
	if err := c.Control(func(fd uintptr) { done = do(int(fd)) }); err != nil {
		return err
	}
	return done
}
