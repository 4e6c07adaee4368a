//go:build linux

package main

import "time"

// scenario compares hubbub with a floor. All scenarios are values: compare.go runs
// them, config.go starts the servers.
type scenario struct {
	name, what string
	floor      string   // what hubbub is compared with, in words; "": nothing
	base, test string   // how to start the two: config.command; base "": as test
	work       workload // what clients do to test
	baseWork   workload // what they do to base; nil: the same
	allCores   bool     // servers use all cores, of which there must be two
	rounds     int
	figures    []figure
}

// workload is what clients do to a server. It is either a measurer or a beginner.
type workload interface {
	scale(c config) (scaled workload, waitFor int) // waitFor: clients the server waits for
}

// measurer needs a new server for each round.
type measurer interface {
	measure(h *harness) (sample, error)
}

// beginner measures one server again and again.
type beginner interface {
	begin(h *harness) (stepper, error)
}

const tick = time.Second / 60

// What several scenarios share.
var (
	bulk         = stream{clients: 500, size: 128, lines: 64 << 20 / 128, per: megabyte, in: time.Microsecond}
	sixth        = stream{clients: 500, size: 128, lines: 64 << 20 / 128 / 6, per: megabyte, in: time.Microsecond}
	every60th    = fanout{clients: 1000, size: 64, lines: 60, every: tick}
	oneByOne     = fanout{clients: 1000, size: 64, lines: 150}
	noneStalled  = stalled{clients: 900, size: 32 << 10, lines: 200, every: 20 * time.Millisecond}
	stuck        = stalled{clients: 900, size: 32 << 10, lines: 200, every: 20 * time.Millisecond, away: 100, rcvbuf: 4096}
	asleep       = idle{clients: 15_000, first: 3000, watched: 10 * time.Second, later: later, line: "is anybody there?\n"}
	asleepWS     = idle{clients: 15_000, first: 3000, watched: 10 * time.Second, later: later, line: "is anybody there?\n", speaks: webSocket}
	fanoutGoals  = []figure{{"CPU per delivery", "µs", ratio, 1.10}, {"p99 of delivery", "ms", ratio, 1.2}}
	encodedGoals = []figure{{"CPU per delivery", "µs", ratio, 1.15}, {"p99 of delivery", "ms", beside, 0}}
	bulkGoals    = []figure{{"CPU per MB delivered", "µs", ratio, 0.75}}
	faninGoals   = []figure{{"CPU per line", "µs", ratio, 1.4}}
	stalledGoals = []figure{
		{"p99 of the others", "ms", ratio, 1.1},
		{"growth", "MiB", limit, 4},
		{"socket memory per stalled client", "KiB", limit, 512},
		{"cut", "clients", shown, 0},
	}
)

// scenarios are all there are, in the order of the results.
var scenarios = []scenario{{
	name: "fanout", what: "64 B lines to 1,000 clients, 60 a second",
	floor: "read(2), send(2) to each client", base: "floor copy -wait-for CLIENTS", test: "raw --wait-for CLIENTS",
	work: every60th, rounds: 12, figures: fanoutGoals,
}, {
	name: "fanout-next", what: "64 B lines to 1,000 clients, the next when all have the last",
	floor: "read(2), send(2) to each client", base: "floor copy -wait-for CLIENTS", test: "raw --wait-for CLIENTS",
	work: oneByOne, rounds: 12, figures: fanoutGoals,
}, {
	name: "bulk-file", what: "a file of 64 MiB on STDIN to 500 clients", // pieces of 256 KiB stay in the core's cache
	floor: "read(2) of 256 KiB, send(2) to each client", base: "floor copy -wait-for CLIENTS -piece 262144", test: "raw --wait-for CLIENTS",
	work: fileStream{bulk}, rounds: 3, figures: bulkGoals,
}, {
	name: "bulk-pipe", what: "11 MiB at a time through a pipe to 500 clients",
	floor: "read(2) of 256 KiB, send(2) to each client", base: "floor copy -wait-for CLIENTS -piece 262144", test: "raw --wait-for CLIENTS",
	work: sixth, rounds: 6, figures: bulkGoals,
}, {
	name: "flood", what: "64 B lines as fast as the pipe takes them to 900 clients",
	floor: "read(2), send(2) to each client", base: "floor copy -wait-for CLIENTS", test: "raw --wait-for CLIENTS",
	work:   stream{clients: 900, size: 64, lines: 6 << 20 / 64, per: 64, in: time.Nanosecond},
	rounds: 8, figures: []figure{{"CPU per delivery", "ns", ratio, 1.0}},
}, {
	name: "fanin", what: "1,000 clients send 32 B lines as fast as they can, one per call",
	floor: "read(2) from each client, write(2)", base: "floor gather", test: "raw",
	work: fanin{clients: 1000, size: 32, lines: 100, burst: 1}, rounds: 10, figures: faninGoals,
}, {
	name: "fanin-queued", what: "the same; the server is stopped until each client has sent a line",
	floor: "read(2) from each client, write(2)", base: "floor gather", test: "raw",
	work: fanin{clients: 1000, size: 32, lines: 50, burst: 1, queued: true}, rounds: 10, figures: faninGoals,
}, {
	name: "fanin-burst", what: "the same with 16 lines",
	floor: "read(2) from each client, write(2)", base: "floor gather", test: "raw",
	work: fanin{clients: 1000, size: 32, lines: 800, burst: 16, queued: true}, rounds: 10, figures: faninGoals,
}, {
	name: "idle", what: "15,000 clients that do nothing",
	floor: "accept4(2), a list of descriptors", base: "floor hold", test: "raw",
	work:     idle{clients: 15_000, watched: 10 * time.Second, line: "is anybody there?\n"},
	baseWork: idle{clients: 15_000, watched: 10 * time.Second}, rounds: 1,
	figures: []figure{{"resident per client", "B", limit, 400}, {"the same after a line to each", "B", limit, 400}, {"CPU per second", "µs", limit, 100}},
}, {
	name: "accept", what: "15,000 clients connect while the server is stopped, 3,000 at a time",
	floor: "net.Listener.Accept in a loop", base: "floor listener", test: "raw",
	work: accept{clients: 15_000}, rounds: 3,
	figures: []figure{{"time per client", "µs", ratio, 1.0}, {"CPU per client", "µs", shown, 0}},
}, {
	name: "stuck", what: "32 KiB lines to 900 clients, 50 a second; 100 more never read; --backlog 4MiB",
	floor: "hubbub without the 100", test: "raw --backlog 4MiB --wait-for CLIENTS",
	work: stuck, baseWork: noneStalled, rounds: 5, figures: stalledGoals,
}, {
	name: "stuck-cut", what: "the same with --slow cut",
	floor: "hubbub without the 100", test: "raw --backlog 4MiB --slow cut --wait-for CLIENTS",
	work: stuck, baseWork: noneStalled, rounds: 5, figures: stalledGoals,
}, {
	name: "stuck-skip", what: "the same with --slow skip",
	floor: "hubbub without the 100", test: "raw --backlog 4MiB --slow skip --wait-for CLIENTS",
	work: stuck, baseWork: noneStalled, rounds: 5, figures: stalledGoals,
}, {
	name: "trickle", what: "the same as stuck, but the 100 read 1 byte a second",
	floor: "hubbub without the 100", test: "raw --backlog 4MiB --wait-for CLIENTS",
	work: stalled{
		clients: 900, size: 32 << 10, lines: 200, every: 20 * time.Millisecond, away: 100, rcvbuf: 4096, bite: 1, often: time.Second,
	},
	baseWork: noneStalled, rounds: 5, figures: stalledGoals,
}, {
	name: "steady", what: "the same lines to 900 clients; one more reads 200 KB/s; --backlog 64MiB",
	floor: "hubbub without that one", test: "raw --wait-for CLIENTS",
	work: stalled{
		clients: 900, size: 32 << 10, lines: 200, every: 20 * time.Millisecond,
		away: 1, rcvbuf: 32 << 10, bite: 10_000, often: 50 * time.Millisecond,
	},
	baseWork: noneStalled, rounds: 5,
	figures: []figure{ // one socket is lost among the unacknowledged bytes of 900
		{"p99 of the others", "ms", ratio, 1.1},
		{"growth", "MiB", limit, 64},
		{"socket memory per stalled client", "KiB", shown, 0},
		{"cut", "clients", limit, 0},
	},
}, {
	name: "paced", what: "as much as 100 clients take, one of which reads 200 KB/s; --backlog 256KiB",
	test: "raw --backlog 256KiB --wait-for CLIENTS",
	work: paced{clients: 100, size: 128, rate: 200_000, lasts: 5 * time.Second}, rounds: 1,
	figures: []figure{{"cut", "clients", limit, 0}, {"KB/s per client", "KB/s", shown, 0}},
}, {
	name: "loops", what: "fanout with two loops on all cores",
	floor: "hubbub with one loop on all cores", base: "raw --wait-for CLIENTS", test: "raw --loops 2 --wait-for CLIENTS", allCores: true,
	// The clients sleep: they must not take a core that a loop needs.
	work: fanout{clients: 1000, size: 64, lines: 60, every: tick, nap: time.Millisecond}, rounds: 10,
	figures: []figure{{"CPU per delivery", "µs", ratio, 1.1}, {"p99 of delivery", "ms", shown, 0}},
}, {
	name: "fanout-ws", what: "fanout to 1,000 WebSockets",
	floor: "hubbub with raw clients", base: "raw --wait-for CLIENTS", test: "any --wait-for CLIENTS",
	work:     fanout{clients: 1000, size: 64, lines: 60, every: tick, speaks: webSocket},
	baseWork: every60th, rounds: 12, figures: encodedGoals,
}, {
	name: "fanout-ws-next", what: "fanout-next to 1,000 WebSockets",
	floor: "hubbub with raw clients", base: "raw --wait-for CLIENTS", test: "any --wait-for CLIENTS",
	work:     fanout{clients: 1000, size: 64, lines: 150, speaks: webSocket},
	baseWork: oneByOne, rounds: 12, figures: encodedGoals,
}, {
	name: "fanout-sse", what: "fanout to 1,000 readers of server-sent events",
	floor: "hubbub with raw clients", base: "raw --wait-for CLIENTS", test: "any --wait-for CLIENTS",
	work:     fanout{clients: 1000, size: 64, lines: 60, every: tick, speaks: serverSent},
	baseWork: every60th, rounds: 12, figures: encodedGoals,
}, {
	name: "fanout-sse-next", what: "fanout-next to 1,000 readers of server-sent events",
	floor: "hubbub with raw clients", base: "raw --wait-for CLIENTS", test: "any --wait-for CLIENTS",
	work:     fanout{clients: 1000, size: 64, lines: 150, speaks: serverSent},
	baseWork: oneByOne, rounds: 12, figures: encodedGoals,
}, {
	name: "fanout-v1", what: "fanout to 1,000 clients of hubbub.v1",
	floor: "hubbub with raw clients", base: "raw --wait-for CLIENTS", test: "any --wait-for CLIENTS",
	work:     fanout{clients: 1000, size: 64, lines: 60, every: tick, speaks: hubbubV1},
	baseWork: every60th, rounds: 8, // no heartbeat is due, which each client would get elsewhere in its stream
	figures: []figure{{"CPU per delivery", "µs", beside, 0}, {"p99 of delivery", "ms", beside, 0}},
}, {
	name: "idle-ws", what: "15,000 WebSockets that do nothing: 3,000 connect, 30 s later the rest",
	floor: "hubbub with raw clients", base: "raw", test: "any", work: asleepWS, baseWork: asleep, rounds: 1,
	figures: []figure{
		{"resident per client of the 12,000", "B", ratio, 1.05},
		{"the same after a line to each", "B", ratio, 1.05},
		{"CPU per second", "µs", limit, 100},
		{"the first 3,000 together", "MiB", shown, 0},
	},
}, {
	name: "handshakes", what: "10,000 WebSockets connect as fast as they are answered",
	floor: "net/http and coder/websocket, a goroutine per client", base: "library upgrade", test: "any",
	work: handshakes{clients: 10_000}, rounds: 5,
	figures: []figure{{"time per handshake", "µs", beside, 0}, {"CPU per handshake", "µs", beside, 0}, {"peak growth", "MiB", limit, 64}},
}, {
	name: "handshakes-left", what: "the same: memory 30 s later, 30 s after all have left, and after a second time",
	floor: "net/http, keeping descriptors only and freeing all it can", base: "library let-go", test: "any",
	work: handshakesLeft{handshakes{clients: 10_000}, later}, rounds: 1,
	figures: []figure{
		{"resident after 30 s, by the empty server and raw clients", "×", shown, 0},
		{"resident 30 s after they left, by the empty server", "×", shown, 0},
		{"more than the empty server and raw clients", "MiB", shown, 0},
		{"more than the empty server, after they left", "MiB", ratio, 1.1},
		{"resident after the second time, by after the first", "×", limit, 1.1},
	},
}, {
	name: "slow-heads", what: "64 B lines to 900 raw clients, 60 a second; 2,000 more send an HTTP request, 1 byte a second",
	floor: "hubbub without the 2,000", test: "any --wait-for CLIENTS",
	work:     slowloris{fanout: fanout{clients: 900, size: 64, lines: 660, every: tick}, often: time.Second, slow: 2000},
	baseWork: slowloris{fanout: fanout{clients: 900, size: 64, lines: 660, every: tick}, often: time.Second}, rounds: 5,
	figures: []figure{
		{"p99 of the 900", "ms", ratio, 1.1},
		{"CPU per delivery to the 900", "µs", beside, 0},
		{"closed, and connected again", "clients", shown, 0},
		{"taken for raw clients", "clients", shown, 0},
	},
}, {
	name: "posts", what: "100 connections post 32 B lines, each the next after the response",
	floor: "net/http writing bodies to STDOUT", base: "library post", test: "any",
	work: posts{clients: 100, size: 32, lines: 100}, rounds: 10, figures: []figure{{"CPU per post", "µs", beside, 0}},
}, {
	name: "relay", what: "64 B lines, 30 a second, from 100 clients that read nothing to 2,000 others; --relay",
	floor: "hubbub, the same lines from STDIN", base: "raw --wait-for CLIENTS", test: "raw --relay --replay none",
	work:     relay{fanout: fanout{clients: 2000, size: 64, lines: 40, every: time.Second / 30}, talkers: 100, talk: true},
	baseWork: relay{fanout: fanout{clients: 2000, size: 64, lines: 40, every: time.Second / 30}, talkers: 100},
	rounds:   12, figures: encodedGoals,
}, {
	name: "answers", what: "5,000 clients ask, 100 at a time; a Python program behind the hub answers as JSON, on the same core",
	floor: "asyncio, all in one program", base: "python3 bare.py", test: "raw --json --replay none -- python3 -u bot.py",
	work: replies{clients: 5000, size: 64, at: 100, rounds: 2}, rounds: 8,
	figures: []figure{{"CPU per answer, the hub alone", "µs", ratio, 1.0}, {"p99 of an answer", "ms", beside, 0}},
}, {
	name: "answers-websocketd", what: "1,000 WebSockets ask, 100 at a time; the same program answers",
	floor: "websocketd, a Python program per client, on the same core", base: "websocketd echo.py", test: "any --json --replay none -- python3 -u bot.py",
	work: replies{clients: 1000, size: 64, at: 100, rounds: 10, speaks: webSocket}, rounds: 8,
	figures: []figure{
		{"p99 of an answer", "ms", ratio, 1.0},
		{"CPU per answer, all processes", "µs", beside, 0},
		{"CPU per answer, the server alone", "µs", beside, 0},
		{"memory of all processes", "MiB", shown, 0},
	},
}}
