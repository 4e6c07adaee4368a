//go:build unix

package main

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"hubbub.example"
	"hubbub.example/internal/child"
	"hubbub.example/internal/join"
)

// serveFlags is what the flags of hubbub serve say.
type serveFlags struct {
	options hubbub.Options

	in          inFormat
	out         outFormat
	json        bool
	relay       bool
	chat        bool
	keepUnheard bool // --replay unheard is given, and no default
	noConsole   bool
	command     []string // in the place of STDIN and STDOUT
	restart     child.Restart
	sendOnly    bool
	recvOnly    bool
	waitFor     int
	eof         eof
	drain       time.Duration
	log         logFlags
}

// eof is what a server does when STDIN is at its end.
type eof string

const (
	eofKeep eof = "keep" // serve on
	eofExit eof = "exit" // deliver what is left, and exit
)

const serveHelp = `
    hubbub serve [ADDRESS ...] [flags]

Every message on STDIN goes to every client; every message from any client
comes out on STDOUT, whole. No client can hold up another. A client is whatever
connects: nc, a WebSocket, curl -N http://HOST:9000/, an EventSource, a browser;
and curl -d hello http://HOST:9000/ is one for a moment.

    tail -f app.log | hubbub serve :9000             a stream for everyone
    hubbub serve :9000 --out tagged >> readings      gather from many devices
    rtl_sdr - | hubbub serve :1234 --frame 2         a radio's samples, never cut in two
    hubbub serve unix:/run/app.sock --unix-mode 660  on this machine only
    hubbub serve :9000 --frame raw --wait-for 10 --eof exit < release.tar
                                                     a file to ten, byte for byte, then done
    hubbub serve                                     talk with whoever joins
    hubbub serve :9000 --chat                        have them talk with each other: docs/chat.md
    hubbub serve :9000 --json -- ./bot.py            one program answers every client

A command behind -- is started once, reads on its STDIN what clients send, and
what it prints goes to clients: docs/command.md. --json tells it who says what, and
lets it choose who hears what: docs/protocol.md.

Where STDIN and STDOUT are a terminal there is a console: /help says what it
knows, docs/console.md all of it.

ADDRESS is HOST:PORT, :PORT or unix:PATH; there may be many. What a client
speaks its first bytes tell: tcp://HOST:PORT is for raw clients only, who then
count from the first instant, http://HOST:PORT for HTTP only. Without an ADDRESS
it is localhost:9000. For each a line on STDERR says "listening on" and where,
before anything else does; port 0 is any that is free.

SIGINT and SIGTERM end it: it takes no more clients, delivers what it has, and
exits. A second one, or SIGQUIT, ends it at once. Exit codes: 0 all was
delivered, 1 not all was or it did not work, 2 the command line cannot be meant
so.
`

func (f *serveFlags) groups() []*flagGroup {
	return []*flagGroup{f.messages(), f.slowClients(), f.source(), f.limits(), f.web(), f.sockets(), f.log.group("also who joins and who leaves")}
}

func (f *serveFlags) messages() *flagGroup {
	g := newFlagGroup("Messages")
	parsedFlag(g, &f.options.Framing, "frame", "line", "line|nul|raw|N",
		`where a message ends: at a newline (a client's "\r\n" loses its "\r"), at a zero byte, nowhere (bytes as they come), or after every N bytes`, hubbub.ParseFraming)
	parsedFlag(g, &f.out, "out", "plain", "plain|tagged|json",
		"what STDOUT says: the message; ID, tab, message; or a JSON object a line, for joins and leaves too", choice(outPlain, outTagged, outJSON))
	parsedFlag(g, &f.in, "in", "plain", "plain|json",
		"what STDIN says: messages; or a JSON object a line, for one client, some, or all", choice(inPlain, inJSON))
	g.BoolVar(&f.json, "json", false, "--in json and --out json")
	g.BoolVar(&f.relay, "relay", false, "what one client says goes to all others, too")
	g.BoolVar(&f.chat, "chat", false, "a room for people: --relay with names, and who comes and goes is said; /help says what else")
	parsedFlag(g, &f.options.Replay, "replay", "unheard", "unheard|none|N|all",
		"what a new client gets first: what nobody has heard yet, nothing, the last N messages, or all that is kept", hubbub.ParseReplay)
	g.BoolVar(&f.noConsole, "no-console", false, "plain lines also where STDIN and STDOUT are a terminal")
	g.BoolVar(&f.sendOnly, "send-only", false, "read what clients send, and discard it")
	g.BoolVar(&f.recvOnly, "recv-only", false, "do not read STDIN")
	return g
}

func (f *serveFlags) slowClients() *flagGroup {
	g := newFlagGroup("Slow clients, once they are a whole backlog behind")
	parsedFlag(g, &f.options.Slow, "slow", "wait", "wait|cut|skip",
		"wait: STDIN is paced to the slowest that takes --min-rate, others are cut; cut: they are closed, nobody waits; skip: they go on with the oldest message that is kept", hubbub.ParseSlow)
	parsedFlag(g, &f.options.MinRate, "min-rate", "64KiB", "SIZE",
		"with wait: what a client must take in a second", parseSize)
	parsedFlag(g, &f.options.Patience, "patience", "1s", "TIME",
		"with wait: over how long that is measured. What a client took is known in lumps of up to 128 KiB: to keep one that is close to --min-rate, measure for longer", parseTime)
	parsedFlag(g, &f.options.Backlog, "backlog", "64MiB", "SIZE",
		"how much is kept for clients that lag and for those to come", parseSize)
	return g
}

func (f *serveFlags) source() *flagGroup {
	g := newFlagGroup("Beginning and end")
	parsedFlag(g, &f.waitFor, "wait-for", "0", "N",
		"do not read STDIN until N clients are there (default 0)", atLeast(0))
	parsedFlag(g, &f.eof, "eof", "keep", "keep|exit",
		"at the end of STDIN: keep serving; or exit when every client has all, as with a command unless this says keep", choice(eofKeep, eofExit))
	parsedFlag(g, &f.restart, "restart", "on-failure", "always|on-failure|never",
		"when a command that has ended is started again", child.ParseRestart)
	parsedFlag(g, &f.drain, "drain", "5s", "TIME",
		"how long no client may make any progress at the end; after a signal, how long the end may take", parseTimeOr0)
	return g
}

func (f *serveFlags) limits() *flagGroup {
	g := newFlagGroup("Limits")
	parsedFlag(g, &f.options.MaxClients, "max-clients", "", "N",
		"how many clients at once; one more is told so and closed (default the limit of open files, less what hubbub itself needs)", atLeast(1))
	parsedFlag(g, &f.options.MaxMessage, "max-line", "", "SIZE",
		"the longest message: a client that sends a longer one is closed, one on STDIN goes on in pieces (default 1MiB, but no more than a quarter of --backlog)", parseLength)
	parsedFlag(g, &f.options.IdleTimeout, "idle-timeout", "off", "TIME|off",
		"close a client that had no byte either way for so long", timeOrOff(0))
	parsedFlag(g, &f.options.Loops, "loops", "", "N",
		"how many event loops (default one per core)", between(1, hubbub.MaxLoops))
	return g
}

func (f *serveFlags) web() *flagGroup {
	g := newFlagGroup("HTTP, WebSocket and the page")
	parsedFlag(g, &f.options.Sniff, "sniff", "100ms", "TIME",
		"how long a client that says nothing may still turn out to speak HTTP, once there is something to send", parseTime)
	parsedFlag(g, &f.options.Hosts, "host", "", "NAME",
		"a name by which browsers and curl may call this server, besides its addresses and localhost; * is any; again for more", f.addHost)
	parsedFlag(g, &f.options.Origins, "origin", "", "ORIGIN",
		"another site whose pages may connect, such as https://example.com; * is any; again for more", f.addOrigin)
	return g
}

// addHost is the hosts with one more.
func (f *serveFlags) addHost(s string) ([]string, error) {
	if s == "" || strings.ContainsAny(s, "/@?# \t") {
		return nil, fmt.Errorf("host %q: must be a name, such as example.com, or *", s)
	}
	return append(f.options.Hosts, s), nil
}

// addOrigin is the origins with one more.
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
		"how long a peer may be silent before it is asked whether it lives; a dead one is gone in twice this", timeOrOff(-1))
	parsedFlag(g, &f.options.UnixMode, "unix-mode", "0600", "MODE",
		"the mode of a Unix socket, from its first instant", parseMode)
	g.StringArrayVar(&f.options.SocketOptions, "so", nil,
		"set a socket option, `NAME=VALUE`, such as SO_RCVBUF=65536; again for more. hubbub sockopts lists them")
	return g
}

// check finds what does not go together. Given says whether a flag was given.
func (f *serveFlags) check(given func(flag string) bool, command bool) error {
	framing := f.options.Framing
	if err := f.checkCommand(given, command); err != nil {
		return err
	}
	if err := f.checkTalk(given); err != nil {
		return err
	}
	switch {
	case f.out == outTagged && framing == hubbub.Raw:
		return usage("--out tagged does not go with --frame raw: raw bytes have no messages to tag; take --out json, or another framing")
	case f.sendOnly && f.recvOnly:
		return usage("--send-only and --recv-only do not go together: nothing would be left to do")
	case f.recvOnly && f.eof == eofExit:
		return usage("--eof exit does not go with --recv-only, which does not read STDIN")
	case f.recvOnly && f.waitFor > 0:
		return usage("--wait-for does not go with --recv-only: there is no STDIN to hold")
	case given("max-line") && (framing == hubbub.Raw || framing > 0):
		return usage("--max-line does not go with --frame %v, which has no lines", framing)
	}
	for _, name := range []string{"patience", "min-rate"} {
		if given(name) && f.options.Slow != hubbub.Wait {
			return usage("--%s goes with --slow wait only: %v waits for nobody", name, f.options.Slow)
		}
	}
	if _, err := parseSettings(f.options.SocketOptions, join.Address{}); err != nil {
		return err
	}
	return f.log.check()
}

// checkTalk finds what does not go with JSON lines, nor with clients that talk
// among themselves.
func (f *serveFlags) checkTalk(given func(flag string) bool) error {
	if f.json {
		if given("in") && f.in != inJSON || given("out") && f.out != outJSON {
			return usage("--json is --in json and --out json: give it alone")
		}
		f.in, f.out = inJSON, outJSON
	}
	f.keepUnheard = given("replay") && f.options.Replay == hubbub.Unheard
	switch {
	case f.in == inJSON && f.recvOnly:
		return usage("--in json does not go with --recv-only, which does not read STDIN")
	case f.relay && f.sendOnly, f.chat && f.sendOnly:
		return usage("--send-only does not go with --relay and --chat: nobody would be heard")
	case f.relay && f.options.Framing == hubbub.Raw:
		return usage("--relay does not go with --frame raw: raw bytes have no messages, and different clients' would mix")
	case f.chat && f.options.Framing != hubbub.Lines:
		return usage("--chat does not go with --frame %v: people say lines", f.options.Framing)
	case f.chat && f.out == outTagged:
		return usage("--chat does not go with --out tagged: its lines say who speaks; take --out plain or json")
	}
	return nil
}

// checkCommand finds what does not go with a command, or without.
func (f *serveFlags) checkCommand(given func(flag string) bool, command bool) error {
	switch {
	case command && len(f.command) == 0:
		return usage("behind -- there is no command; one would be: -- ./bot.py")
	case !command && given("restart"):
		return usage("--restart is for a command, which stands behind --: hubbub serve :9000 -- ./bot.py")
	case command && (f.recvOnly || f.sendOnly):
		return usage("--send-only and --recv-only do not go with a command, which hears and speaks")
	case command && f.waitFor > 0:
		return usage("--wait-for does not go with a command: what it prints cannot wait; it is told of each client with --json")
	}
	if command && !given("eof") {
		f.eof = eofExit
	}
	return nil
}

// inbox is what of the clients' doings goes to STDOUT.
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
