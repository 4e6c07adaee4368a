//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// house is where the scenarios live: the programs they start, the cores they
// start them on, and how much of everything there is.
type house struct {
	self, hub string // the programs: this one, which is the floors too, and the hub
	cores     cores
	dir       string // for files
	// The program of that name: a path, or looked up in PATH.
	websocketd string
	crowd      float64       // times the clients
	effort     float64       // times what they do
	patience   float64       // times the rounds
	quiet      time.Duration // see calm
	check      bool          // look at every byte, at some cost to the load
}

func (h house) clients(n int) int { return max(int(float64(n)*h.crowd), 2) }

func (h house) work(n int) int { return max(int(float64(n)*h.effort), 1) }

func (h house) lasts(d time.Duration) time.Duration { return time.Duration(h.effort * float64(d)) }

func (h house) rounds(n int) int { return max(int(float64(n)*h.patience), 1) }

func (h house) floor(name string, flags ...any) command {
	return command{args: words(h.self, "floor", name, flags), floor: true, cores: h.cores.server}
}

// hubbub takes raw clients only, and at once: an address without tcp:// first
// waits for what they may say.
func (h house) hubbub(flags ...any) command {
	return command{args: words(h.hub, "serve", "tcp://127.0.0.1:0", flags), cores: h.cores.server}
}

// open takes clients of all kinds at one address.
func (h house) open(flags ...any) command {
	return command{args: words(h.hub, "serve", "127.0.0.1:0", flags), cores: h.cores.server}
}

// library is a floor that is no bare loop but an ordinary program.
func (h house) library(name string) command {
	return command{args: words(h.self, "floor", name, nil), cores: h.cores.server}
}

// words are the arguments of a command: what it is called with, then its flags.
func words(name, verb, object string, flags []any) []string {
	args := []string{name, verb, object}
	for _, flag := range flags {
		args = append(args, fmt.Sprint(flag))
	}
	return args
}

// buildHub builds the hub as it is in this module.
func buildHub(dir string) (string, error) {
	path := filepath.Join(dir, "hubbub")
	build := exec.Command("go", "build", "-o", path, "hubbub.example/cmd/hubbub")
	build.Stderr = os.Stderr
	return path, build.Run()
}

// scenarios are all there are, in the order of the table.
func (h house) scenarios() ([]scenario, error) {
	file, err := h.file("bulk", h.bulk())
	if err != nil {
		return nil, err
	}
	all := []scenario{
		h.fanout("fanout", "64 B lines to 1,000 clients, 60 a second", time.Second/60, 60),
		h.fanout("fanout-next", "64 B lines to 1,000 clients, the next when all have the last", 0, 150),
		h.bulkFile(file),
		h.bulkPipe(),
		h.flood(),
		h.fanin("fanin", "1,000 clients send 32 B lines, one at a time", fanin{burst: 1, lines: 100}),
		h.fanin("fanin-queued", "the same; the server finds a line of each waiting", fanin{burst: 1, lines: 50, queued: true}),
		h.fanin("fanin-burst", "the same; it finds 16 lines of each", fanin{burst: 16, lines: 800, queued: true}),
		h.idle(),
		h.accept(),
		h.stuck("stuck", "wait"),
		h.stuck("stuck-cut", "cut"),
		h.stuck("stuck-skip", "skip"),
		h.trickle(),
		h.steady(),
		h.paced(),
	}
	if h.cores.all.Count() > 1 {
		all = append(all, h.loops())
	}
	answers, err := h.answers()
	if err != nil {
		return nil, err
	}
	beside, err := h.answersWebsocketd()
	return append(append(all, h.web()...), h.relay(), answers, beside), err
}

func (h house) fanout(name, does string, every time.Duration, lines int) scenario {
	f := fanout{clients: h.clients(1000), size: 64, lines: h.work(lines), every: every}
	return scenario{
		name: name, does: does, floor: "read(2), send(2) to each",
		figures: []figure{
			{"CPU per delivery", "µs", ratio, 1.10},
			{"p99 of delivery", "ms", ratio, 1.2},
		},
		rounds: h.rounds(12),
		base:   steady(h.floor("copy", "-wait-for", f.clients), f.begin),
		test:   steady(h.hubbub("--loops", 1, "--wait-for", f.clients), f.begin),
	}
}

// answers compares the hub, whose command runs on the other core, with a server
// that is the command itself.
func (h house) answers() (scenario, error) {
	a := replies{clients: h.clients(5000), size: 64, at: h.clients(100), rounds: h.work(2)}
	bare, err := h.program("bare.py")
	if err != nil {
		return scenario{}, err
	}
	bot, err := h.program("bot.py")
	floor := command{args: []string{"python3", bare}, cores: h.cores.server}
	hub := h.hubbub("--loops", 1, "--json", "--replay", "none", "--", "python3", "-u", bot)
	return scenario{
		name: "answers", does: "5,000 clients ask, 100 at a time; a program behind the hub answers each, as JSON",
		floor: "asyncio: all of it",
		figures: []figure{
			{"CPU per answer, the hub's own", "µs", ratio, 1.0},
			{"p99 of an answer", "ms", beside, 0},
		},
		rounds: h.rounds(8),
		base:   steady(floor, a.begin), test: steady(hub, a.begin),
	}, err
}

// answersWebsocketd compares the hub and its one command with websocketd, which starts a
// program for each client. All of either is on one core.
func (h house) answersWebsocketd() (scenario, error) {
	a := replies{clients: h.clients(1000), size: 64, at: h.clients(100), rounds: h.work(10), form: asFrames}
	echo, err := h.program("echo.py")
	if err != nil {
		return scenario{}, err
	}
	bot, err := h.program("bot.py")
	hub := h.open("--loops", 1, "--json", "--replay", "none", "--", "python3", "-u", bot)
	s := scenario{
		name: "answers-websocketd", does: "1,000 WebSockets ask, 100 at a time; a program behind the hub answers each, as JSON",
		floor: "websocketd: a program for each client",
		figures: []figure{
			{"p99 of an answer", "ms", ratio, 1.0},
			{"CPU per answer, of all processes", "µs", beside, 0},
			{"CPU per answer, the server's own", "µs", beside, 0},
			{"memory of all processes", "MiB", shown, 0},
		},
		rounds: h.rounds(8),
		base: func() (side, error) {
			floor, err := h.apart(echo)
			if err != nil {
				return side{}, err
			}
			return steady(floor, a.beginTogether)()
		},
		test: steady(hub, a.beginTogether),
	}
	if _, missing := exec.LookPath(h.websocketd); missing != nil {
		s.lacks = fmt.Errorf("no %s, of which README.md says where it comes from", h.websocketd)
	}
	return s, err
}

// apart is websocketd with a program in Python. It asks Python for its path: where
// python3 is a script that looks for the right one, each client would wait for it.
func (h house) apart(program string) (command, error) {
	python, err := exec.Command("python3", "-c", "import sys; print(sys.executable, end='')").Output()
	if err != nil {
		return command{}, fmt.Errorf("python3: %w", err)
	}
	port, err := freePort()
	flags := []any{port, "--maxforks", 0, "--loglevel", "error", string(python), "-u", program}
	return command{
		args: words(h.websocketd, "--address=127.0.0.1", "--port", flags), cores: h.cores.server, port: port,
	}, err
}

// relay compares the hub with itself: clients talk, and STDIN does.
func (h house) relay() scenario {
	source := relay{
		fanout:  fanout{clients: h.clients(2000), size: 64, lines: h.work(40), every: time.Second / 30},
		talkers: h.clients(100),
	}
	talk := source
	talk.talk = true
	all := source.clients + source.talkers
	return scenario{
		name: "relay", does: "64 B lines from 100 clients to 2,000 others, 30 a second",
		floor: "hubbub, the same lines from STDIN",
		figures: []figure{
			{"CPU per delivery", "µs", ratio, 1.15},
			{"p99 of delivery", "ms", beside, 0},
		},
		rounds: h.rounds(12),
		base:   steady(h.hubbub("--loops", 1, "--wait-for", all), source.begin),
		test:   steady(h.hubbub("--loops", 1, "--relay", "--replay", "none"), talk.begin),
	}
}

func (h house) bulk() stream {
	return stream{
		clients: h.clients(500), size: 128, lines: h.work(64 << 20 / 128),
		per: megabyte, in: time.Microsecond, check: h.check,
	}
}

// file writes the lines of a stream into one.
func (h house) file(name string, s stream) (string, error) {
	path := filepath.Join(h.dir, name)
	return path, os.WriteFile(path, numbered(0, s.lines, s.size), 0o600)
}

var bulkFigures = []figure{{"CPU per MB delivered", "µs", ratio, 0.75}}

// bulkPiece is the best there is for the floor: it stays in the core's cache.
const bulkPiece = 256 << 10

func (h house) bulkFile(path string) scenario {
	s := h.bulk()
	floor := h.floor("copy", "-wait-for", s.clients, "-piece", bulkPiece)
	hub := h.hubbub("--loops", 1, "--wait-for", s.clients)
	floor.stdin, hub.stdin = path, path
	return scenario{
		name: "bulk-file", does: "a file of 64 MiB, STDIN, to 500 clients",
		floor: "read(2), 256 KiB at a time, send(2) to each", figures: bulkFigures,
		rounds: h.rounds(3), base: fresh(floor, s.file), test: fresh(hub, s.file),
	}
}

func (h house) bulkPipe() scenario {
	s := h.bulk()
	s.lines /= 6
	return scenario{
		name: "bulk-pipe", does: "11 MiB at a time through a pipe to 500 clients",
		floor: "read(2), send(2) to each", figures: bulkFigures, rounds: h.rounds(6),
		base: steady(h.floor("copy", "-wait-for", s.clients, "-piece", bulkPiece), s.begin),
		test: steady(h.hubbub("--loops", 1, "--wait-for", s.clients), s.begin),
	}
}

func (h house) flood() scenario {
	s := stream{
		clients: h.clients(900), size: 64, lines: h.work(6 << 20 / 64),
		per: 64, in: time.Nanosecond, check: h.check,
	}
	return scenario{
		name: "flood", does: "64 B lines through a pipe as fast as they go to 900 clients",
		floor:   "read(2), send(2) of what there was to each",
		figures: []figure{{"CPU per delivery", "ns", ratio, 1.0}},
		rounds:  h.rounds(8),
		base:    steady(h.floor("copy", "-wait-for", s.clients), s.begin),
		test:    steady(h.hubbub("--loops", 1, "--wait-for", s.clients), s.begin),
	}
}

func (h house) fanin(name, does string, f fanin) scenario {
	f.clients, f.size, f.lines = h.clients(1000), 32, h.work(f.lines)
	return scenario{
		name: name, does: does, floor: "read(2) of each, write(2) it",
		figures: []figure{{"CPU per line", "µs", ratio, 1.4}},
		rounds:  h.rounds(10),
		base:    steady(h.floor("gather"), f.begin),
		test:    steady(h.hubbub("--loops", 1), f.begin),
	}
}

func (h house) idle() scenario {
	i := idle{clients: h.clients(15000), watched: h.lasts(10 * time.Second), quiet: h.quiet}
	spoken := i
	spoken.line = "is anybody there?\n"
	return scenario{
		name: "idle", does: "15,000 clients that do nothing",
		floor: "accept4(2), a list of descriptors",
		figures: []figure{
			{"resident per client", "B", limit, 400},
			{"the same after a line to each", "B", limit, 400},
			{"CPU per second", "µs", limit, 100},
		},
		rounds: h.rounds(1),
		base:   fresh(h.floor("hold"), i.measure),
		test:   fresh(h.hubbub("--loops", 1), spoken.measure),
	}
}

func (h house) accept() scenario {
	a := accept{clients: h.clients(15000), quiet: h.quiet}
	return scenario{
		name: "accept", does: "15,000 clients connect, faster than they are accepted",
		floor: "a net.Listener accepting in a loop",
		figures: []figure{
			{"time per client", "µs", ratio, 1.0},
			{"CPU per client", "µs", shown, 0},
		},
		rounds: h.rounds(3),
		base:   fresh(h.floor("listener"), a.measure),
		test:   fresh(h.hubbub("--loops", 1), a.measure),
	}
}

// lunch compares the hub with itself: some clients at lunch, and none.
func (h house) lunch(name, does string, l lunch, figures []figure, flags ...any) scenario {
	l.clients, l.size, l.lines, l.every = h.clients(900), 32<<10, h.work(200), 20*time.Millisecond
	nobody := l
	nobody.away = 0
	flags = append([]any{"--loops", 1}, flags...)
	return scenario{
		name: name, does: does, floor: "hubbub, nobody at lunch",
		figures: figures, rounds: h.rounds(5),
		base: fresh(h.hubbub(append(flags, "--wait-for", l.clients)...), nobody.measure),
		test: fresh(h.hubbub(append(flags, "--wait-for", l.clients+l.away)...), l.measure),
	}
}

func lunchFigures(backlog float64) []figure {
	return []figure{
		{"the others' p99", "ms", ratio, 1.1},
		{"growth", "MiB", limit, backlog},
		{"socket memory each at lunch", "KiB", limit, 512},
		{"cut", "clients", shown, 0},
	}
}

func (h house) stuck(name, slow string) scenario {
	return h.lunch(name, "1.6 MB/s to 900 clients, and 100 who never read; --backlog 4MiB --slow "+slow,
		lunch{away: h.clients(100), rcvbuf: 4096},
		lunchFigures(4), "--backlog", "4MiB", "--slow", slow)
}

func (h house) trickle() scenario {
	return h.lunch("trickle", "the same, the 100 reading 1 byte a second; --slow wait",
		lunch{away: h.clients(100), rcvbuf: 4096, bite: 1, often: time.Second},
		lunchFigures(4), "--backlog", "4MiB")
}

func (h house) steady() scenario {
	figures := lunchFigures(64)
	// One client's socket is lost among what 900 have not acknowledged yet.
	figures[2].want = shown
	figures[3].want = limit
	return h.lunch("steady", "the same, and one who reads 200 KB/s; --backlog 64MiB --slow wait",
		lunch{away: 1, rcvbuf: 32 << 10, bite: 10_000, often: 50 * time.Millisecond}, figures)
}

func (h house) paced() scenario {
	p := paced{
		clients: h.clients(100), size: 128, rate: 200_000,
		lasts: h.lasts(5 * time.Second),
	}
	return scenario{
		name: "paced", does: "all that goes to 100 clients, one of whom reads 200 KB/s; --backlog 256KiB",
		figures: []figure{
			{"cut", "clients", limit, 0},
			{"KB/s to each", "KB/s", shown, 0},
		},
		rounds: h.rounds(1),
		test:   fresh(h.hubbub("--loops", 1, "--backlog", "256KiB", "--wait-for", p.clients), p.measure),
	}
}

// loops compares the hub with itself: with two loops, and with one. Here the
// clients must not keep a core busy that a loop needs.
func (h house) loops() scenario {
	f := fanout{clients: h.clients(1000), size: 64, lines: h.work(60), every: time.Second / 60, nap: time.Millisecond}
	one := h.hubbub("--loops", 1, "--wait-for", f.clients)
	two := h.hubbub("--loops", 2, "--wait-for", f.clients)
	one.cores, two.cores = h.cores.all, h.cores.all
	return scenario{
		name: "loops", does: "fanout with two loops on all cores",
		floor: "hubbub, one loop on all cores",
		figures: []figure{
			{"CPU per delivery", "µs", ratio, 1.1},
			{"p99 of delivery", "ms", shown, 0},
		},
		rounds: h.rounds(10),
		base:   steady(one, f.begin), test: steady(two, f.begin),
	}
}

// web are the scenarios of what is not raw.
func (h house) web() []scenario {
	const paced, next = time.Second / 60, 0
	return []scenario{
		h.fanoutAs("fanout-ws", asFrames, paced, 60),
		h.fanoutAs("fanout-ws-next", asFrames, next, 150),
		h.fanoutAs("fanout-sse", asEvents, paced, 60),
		h.fanoutAs("fanout-sse-next", asEvents, next, 150),
		h.fanoutAs("fanout-v1", asNumbered, paced, 60),
		h.idleAs("idle-ws", asFrames),
		h.handshakes(),
		h.handshakesLeft(),
		h.heads(),
		h.posts(),
	}
}

// fanoutAs compares the hub with itself: clients of a form, and raw ones.
func (h house) fanoutAs(name string, as *form, every time.Duration, lines int) scenario {
	f := fanout{clients: h.clients(1000), size: 64, lines: h.work(lines), every: every}
	formed := f
	formed.form = as
	flags := []any{"--loops", 1, "--wait-for", f.clients}
	figures := []figure{
		{"CPU per delivery", "µs", ratio, 1.15},
		{"p99 of delivery", "ms", beside, 0},
	}
	rounds := 12
	if as == asNumbered {
		figures[0].want = beside
		rounds = 8 // in which no heartbeat is due, that each would get elsewhere in its stream
	}
	return scenario{
		name: name, does: "the same lines to 1,000 clients of " + as.name, floor: "hubbub, raw clients",
		figures: figures, rounds: h.rounds(rounds),
		base: steady(h.hubbub(flags...), f.begin), test: steady(h.open(flags...), formed.begin),
	}
}

// later is when what a server has once needed is to be gone.
const later = 30 * time.Second

// idleAs compares the hub with itself: clients of a form, and raw ones.
func (h house) idleAs(name string, as *form) scenario {
	i := idle{
		clients: h.clients(15000), watched: h.lasts(10 * time.Second), quiet: h.quiet,
		line: "is anybody there?\n", later: h.lasts(later), first: h.clients(3000),
	}
	formed := i
	formed.form = as
	return scenario{
		name: name, does: "15,000 clients of " + as.name + " that do nothing, the first 3,000 looked at by themselves",
		floor: "hubbub, raw clients",
		figures: []figure{
			{"resident per client", "B", ratio, 1.05},
			{"the same after a line to each", "B", ratio, 1.05},
			{"CPU per second", "µs", limit, 100},
			{"the first 3,000, all together", "MiB", shown, 0},
		},
		rounds: h.rounds(1),
		base:   fresh(h.hubbub("--loops", 1), i.measure), test: fresh(h.open("--loops", 1), formed.measure),
	}
}

func (h house) handshakes() scenario {
	s := handshakes{clients: h.clients(10000), quiet: h.quiet}
	return scenario{
		name: "handshakes", does: "10,000 WebSocket handshakes, as fast as they go",
		floor: "net/http, websocket.Accept of coder/websocket, a goroutine that reads",
		figures: []figure{
			{"time per handshake", "µs", beside, 0},
			{"CPU per handshake", "µs", beside, 0},
			{"growth at most", "MiB", limit, 64},
		},
		rounds: h.rounds(5),
		base:   fresh(h.library("upgrade"), s.rush), test: fresh(h.open("--loops", 1), s.rush),
	}
}

func (h house) handshakesLeft() scenario {
	s := handshakes{clients: h.clients(10000), quiet: h.quiet, later: h.lasts(later)}
	left := s.after(h.hubbub("--loops", 1))
	return scenario{
		name: "handshakes-left", does: "the same; what of it is left after 30 s, and 30 s after the clients have left",
		floor: "net/http, which keeps descriptors alone and gives back all it can",
		figures: []figure{
			{"resident after 30 s, by before and raw clients", "×", limit, 1.1},
			{"resident 30 s after they left, by before", "×", limit, 1.1},
			{"more than before and raw clients", "MiB", shown, 0},
			{"more than before, when they left", "MiB", ratio, 1.1},
			{"resident after as many more, by after the first", "×", limit, 1.1},
		},
		rounds: h.rounds(1),
		base:   fresh(h.library("let-go"), left), test: fresh(h.open("--loops", 1), left),
	}
}

// heads compares the hub with itself: some who ask slowly, and nobody.
func (h house) heads() scenario {
	nobody := heads{
		fanout: fanout{clients: h.clients(900), size: 64, lines: h.work(660), every: time.Second / 60},
		often:  time.Second, quiet: h.quiet,
	}
	slow := nobody
	slow.slow = h.clients(2000)
	hub := h.open("--loops", 1, "--wait-for", slow.clients)
	return scenario{
		name: "slow-heads", does: "64 B lines to 900 raw clients, 60 a second; 2,000 send an HTTP request, 1 byte a second",
		floor: "hubbub without those",
		figures: []figure{
			{"the 900's p99", "ms", ratio, 1.1},
			{"CPU per delivery to the 900", "µs", beside, 0},
			{"ended, and came again", "clients", shown, 0},
			{"taken for raw clients", "clients", shown, 0},
		},
		rounds: h.rounds(5),
		base:   fresh(hub, nobody.measure), test: fresh(hub, slow.measure),
	}
}

func (h house) posts() scenario {
	p := posts{clients: h.clients(100), size: 32, lines: h.work(100)}
	return scenario{
		name: "posts", does: "100 connections post a line of 32 B each, the next after the answer",
		floor:   "net/http, the body read, written to STDOUT",
		figures: []figure{{"CPU per post", "µs", beside, 0}},
		rounds:  h.rounds(10),
		base:    steady(h.library("post"), p.begin), test: steady(h.open("--loops", 1), p.begin),
	}
}
