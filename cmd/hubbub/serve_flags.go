//go:build unix

package main

import (
	"fmt"
	"math"
	"net/url"
	"strings"
	"time"

	"hubbub.example"
	"hubbub.example/internal/child"
	"hubbub.example/internal/join"
)

// serveFlags are the flags of hubbub serve.
type serveFlags struct {
	options hubbub.Options

	in          inFormat
	out         outFormat
	json        bool
	relay       bool
	chat        bool
	keepUnheard bool // --replay unheard is given
	noConsole   bool
	command     []string // after --
	restart     child.Restart
	sendOnly    bool
	recvOnly    bool
	waitFor     int
	eof         eof
	drain       time.Duration
	log         logFlags
}

// eof is what a server does at the end of STDIN.
type eof string

const (
	eofKeep eof = "keep" // keep serving
	eofExit eof = "exit" // deliver what is left and exit
)

const serveExamples = `
  tail -f app.log | hubbub serve :9000             a stream for everyone
  hubbub serve :9000 --out tagged >> readings      gather from many devices
  rtl_sdr - | hubbub serve :1234 --frame 2         a radio, in whole samples
  hubbub serve unix:/run/app.sock --unix-mode 660  on this machine only
  hubbub serve --wait-for 9 --eof exit < release   a file to nine clients
  hubbub serve                                     talk with whoever joins
  hubbub serve :9000 --chat                        a chat room: docs/chat.md
  hubbub serve :9000 --json -- ./bot.py            a program for all clients
`

const serveLong = `
Sends every message on STDIN to every client, and prints every message from any
client on STDOUT, whole. No client holds up another. A client is anything that
connects: nc, a WebSocket, a browser, an EventSource, curl -N http://HOST:9000/.
curl -d hello http://HOST:9000/ sends one message.

A COMMAND takes the place of STDIN and STDOUT: it reads what clients send on its
STDIN, and what it prints goes to the clients (docs/command.md). With --json it
sees who sends what, and chooses who gets what (docs/protocol.md).

If STDIN and STDOUT are a terminal, hubbub opens a console: type /help there, or
read docs/console.md.

ADDRESS is HOST:PORT, :PORT or unix:PATH; there can be several, and the default
is localhost:9000. The protocol is detected from a client's first bytes;
tcp://HOST:PORT skips detection and is for raw clients only, http://HOST:PORT is
for HTTP only. Port 0 is any free port. For each address the server prints
"listening on ADDRESS" on STDERR, before anything else. With --log-format json
every line on STDERR is a JSON object: this one, and those of COMMAND, too.

SIGINT and SIGTERM end the server: it accepts no more clients, delivers what it
has, and exits. A second signal, or SIGQUIT, ends it at once.

Exit codes: 0 everything was delivered, 1 not everything was, or a runtime
error, 2 usage error. With --restart never it is the command's.
`

func (f *serveFlags) groups() []*flagGroup {
	return []*flagGroup{f.messages(), f.slowClients(), f.source(), f.limits(), f.web(), f.sockets(), f.log.group("log joins and leaves too")}
}

func (f *serveFlags) messages() *flagGroup {
	g := newFlagGroup("Messages")
	parsedFlag(g, &f.options.Framing, "frame", "line", "line|nul|raw|N",
		`where a message ends: at a newline (a "\r" before it is dropped from a client's message), at a zero byte, nowhere (raw bytes), or after every N bytes`, hubbub.ParseFraming)
	parsedFlag(g, &f.out, "out", "plain", "plain|tagged|json",
		"output format: plain (the message), tagged (ID, tab, message) or json (one object per line, including joins and leaves)", choice(outPlain, outTagged, outJSON))
	parsedFlag(g, &f.in, "in", "plain", "plain|json",
		"input format: plain (messages) or json (one object per line, for one client, some or all)", choice(inPlain, inJSON))
	g.BoolVar(&f.json, "json", false, "the same as --in json --out json")
	g.BoolVar(&f.relay, "relay", false, "send every client's messages to all other clients too")
	g.BoolVar(&f.chat, "chat", false, "a chat room: --relay with names, joins and leaves; type /help in it")
	parsedFlag(g, &f.options.Replay, "replay", "unheard", "unheard|none|N|all",
		"what a new client gets first: messages that no client has got yet, none, the last N, or all that are kept", hubbub.ParseReplay)
	g.BoolVar(&f.noConsole, "no-console", false, "no console, even on a terminal")
	g.BoolVar(&f.sendOnly, "send-only", false, "discard what clients send")
	g.BoolVar(&f.recvOnly, "recv-only", false, "do not read STDIN")
	return g
}

func (f *serveFlags) slowClients() *flagGroup {
	g := newFlagGroup("Slow clients: what happens to one that is a whole backlog behind")
	parsedFlag(g, &f.options.Slow, "slow", "wait", "wait|cut|skip",
		"wait: STDIN waits for it as long as it takes --min-rate, then it is disconnected; cut: disconnect it; skip: it continues with the oldest message that is kept", hubbub.ParseSlow)
	parsedFlag(g, &f.options.MinRate, "min-rate", "64KiB", "SIZE",
		"with wait: bytes per second that a client must take", parseSize)
	parsedFlag(g, &f.options.Patience, "patience", "1s", "TIME",
		"window for --min-rate. Progress is seen in steps of up to 128 KiB: use a longer window for clients close to --min-rate", parseTime)
	parsedFlag(g, &f.options.Backlog, "backlog", "64MiB", "SIZE",
		"bytes kept for slow and future clients", parseSize)
	return g
}

func (f *serveFlags) source() *flagGroup {
	g := newFlagGroup("Start and end")
	parsedFlag(g, &f.waitFor, "wait-for", "0", "N",
		"do not read STDIN before N clients are connected (default 0)", number(0, math.MaxInt))
	parsedFlag(g, &f.eof, "eof", "keep", "keep|exit",
		"at the end of STDIN: keep serving, or exit when every client has everything; with a command the default is exit", choice(eofKeep, eofExit))
	parsedFlag(g, &f.restart, "restart", "on-failure", "always|on-failure|never",
		"when to restart the command", choice(child.Always, child.OnFailure, child.Never))
	parsedFlag(g, &f.drain, "drain", "5s", "TIME",
		"at the end, give up after this long without progress; after a signal, after this long in all", parseTimeOr0)
	return g
}

func (f *serveFlags) limits() *flagGroup {
	g := newFlagGroup("Limits")
	parsedFlag(g, &f.options.MaxClients, "max-clients", "", "N",
		"clients at once; more are refused (default the limit of open files, minus what hubbub needs)", number(1, math.MaxInt))
	parsedFlag(g, &f.options.MaxMessage, "max-line", "", "SIZE",
		"longest message. A client that sends a longer one is disconnected; longer lines on STDIN are split (default 1MiB, at most a quarter of --backlog)", parseLength)
	parsedFlag(g, &f.options.IdleTimeout, "idle-timeout", "off", "TIME|off",
		"disconnect a client after this long without a byte either way", timeOrOff(0))
	parsedFlag(g, &f.options.Loops, "loops", "", "N",
		"event loops (default one per core)", number(1, hubbub.MaxLoops))
	return g
}

func (f *serveFlags) web() *flagGroup {
	g := newFlagGroup("HTTP, WebSocket and the page")
	parsedFlag(g, &f.options.Sniff, "sniff", "100ms", "TIME",
		"how long to wait for the first bytes of a client before it counts as raw, once there is something to send", parseTime)
	parsedFlag(g, &f.options.Hosts, "host", "", "NAME",
		"allow this host name in browsers and curl, besides IP addresses and localhost; * for any; repeatable", f.addHost)
	parsedFlag(g, &f.options.Origins, "origin", "", "ORIGIN",
		"allow pages of this site, such as https://example.com, to connect; * for any; repeatable", f.addOrigin)
	return g
}

// addHost is --host, with one more.
func (f *serveFlags) addHost(s string) ([]string, error) {
	if s == "" || strings.ContainsAny(s, "/@?# \t") {
		return nil, fmt.Errorf("host %q: must be a host name, such as example.com, or *", s)
	}
	return append(f.options.Hosts, s), nil
}

// addOrigin is --origin, with one more.
func (f *serveFlags) addOrigin(s string) ([]string, error) {
	u, err := url.Parse(s)
	if s != "*" && (err != nil || u.Scheme == "" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/")+u.RawQuery+u.Fragment != "") {
		return nil, fmt.Errorf("origin %q: must be SCHEME://HOST or SCHEME://HOST:PORT, such as https://example.com, or *", s)
	}
	return append(f.options.Origins, s), nil
}

func (f *serveFlags) sockets() *flagGroup {
	g := newFlagGroup("Sockets")
	parsedFlag(g, &f.options.KeepAlive, "keepalive", "30s", "TIME|off",
		"probe a client after this long without a byte from it; a dead one is closed within twice this", timeOrOff(-1))
	parsedFlag(g, &f.options.UnixMode, "unix-mode", "0600", "MODE",
		"mode of a Unix socket, from its creation", parseMode)
	g.StringArrayVar(&f.options.SocketOptions, "so", nil,
		"set a socket option, `NAME=VALUE`, such as SO_RCVBUF=64KiB (hubbub sockopts lists them); repeatable")
	return g
}

// check finds flags that cannot be used together. Given reports whether a flag was
// given.
func (f *serveFlags) check(given func(flag string) bool, command bool) error {
	framing := f.options.Framing
	if err := f.checkCommand(given, command); err != nil {
		return err
	}
	if err := f.checkTalk(given); err != nil {
		return err
	}
	switch {
	case f.out == outTagged && framing == hubbub.FramingRaw:
		return usage("--out tagged cannot be used with --frame raw, which has no messages to tag; use --out json, or another framing")
	case f.sendOnly && f.recvOnly:
		return usage("--send-only and --recv-only cannot be used together: nothing would be left to do")
	case f.recvOnly && f.eof == eofExit:
		return usage("--eof exit cannot be used with --recv-only, which does not read STDIN")
	case f.recvOnly && f.waitFor > 0:
		return usage("--wait-for cannot be used with --recv-only, which does not read STDIN")
	case given("max-line") && (framing == hubbub.FramingRaw || framing > 0):
		return usage("--max-line cannot be used with --frame %v, which has no lines", framing)
	}
	for _, name := range []string{"patience", "min-rate"} {
		if given(name) && f.options.Slow != hubbub.SlowWait {
			return usage("--%s can only be used with --slow wait: %v waits for no client", name, f.options.Slow)
		}
	}
	if _, err := parseSettings(f.options.SocketOptions, join.Address{}); err != nil {
		return err
	}
	return f.log.check()
}

// checkTalk is check for JSON, and for clients that talk to each other.
func (f *serveFlags) checkTalk(given func(flag string) bool) error {
	if f.json {
		if given("in") && f.in != inJSON || given("out") && f.out != outJSON {
			return usage("--json is the same as --in json --out json; use it without them")
		}
		f.in, f.out = inJSON, outJSON
	}
	f.keepUnheard = given("replay") && f.options.Replay == hubbub.ReplayUnheard
	switch {
	case f.in == inJSON && f.recvOnly:
		return usage("--in json cannot be used with --recv-only, which does not read STDIN")
	case f.relay && f.sendOnly, f.chat && f.sendOnly:
		return usage("--send-only cannot be used with --relay or --chat: it discards what clients send")
	case f.relay && f.options.Framing == hubbub.FramingRaw:
		return usage("--relay cannot be used with --frame raw, which has no messages: the bytes of several clients would mix")
	case f.chat && f.options.Framing != hubbub.FramingLines:
		return usage("--chat cannot be used with --frame %v: it needs lines", f.options.Framing)
	case f.chat && f.out == outTagged:
		return usage("--chat cannot be used with --out tagged: its lines name the sender; use --out plain or json")
	}
	return nil
}

// checkCommand is check for flags that need a command, or exclude one.
func (f *serveFlags) checkCommand(given func(flag string) bool, command bool) error {
	switch {
	case command && len(f.command) == 0:
		return usage("no command after --; for example: -- ./bot.py")
	case !command && given("restart"):
		return usage("--restart needs a command after --; for example: hubbub serve :9000 -- ./bot.py")
	case command && (f.recvOnly || f.sendOnly):
		return usage("--send-only and --recv-only cannot be used with a command, which both reads and prints")
	case command && f.waitFor > 0:
		return usage("--wait-for cannot be used with a command; with --json the command sees each join and can wait itself")
	}
	if command && !given("eof") {
		f.eof = eofExit
	}
	return nil
}

// inbox returns what the sink gets of the clients.
func (f *serveFlags) inbox() hubbub.Inbox {
	switch {
	case f.chat:
		return hubbub.InboxAll
	case f.out != outJSON && f.sendOnly:
		return hubbub.InboxNone
	case f.out != outJSON:
		return hubbub.InboxMessages
	case f.sendOnly:
		return hubbub.InboxPresence
	}
	return hubbub.InboxAll
}
