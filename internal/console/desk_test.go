//go:build unix

package console_test

// This file is desk: a console with a made-up hub, for the tests to drive in a
// real terminal. It records what the console has it do. It is the program of the
// tests, started under another name.

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"hubbub.example/internal/console"
)

// noon is when everything happens.
var noon = time.Date(2024, 2, 3, 12, 0, 0, 0, time.UTC)

type desk struct {
	console *console.Console
	log     io.Writer
	size    int // clients that are connected

	mu      sync.Mutex
	file    *os.File
	gone    map[uint64]bool
	muted   map[uint64]bool
	blocked chan struct{} // Send waits for it; nil: it does not
	said    atomic.Uint64
}

func deskMain() {
	flags := flag.NewFlagSet("desk", flag.ExitOnError)
	record := flags.String("record", os.DevNull, "where to record what was done")
	clients := flags.Int("clients", 3, "how many are connected")
	rate := flags.Int("rate", 0, "messages a second from the start")
	eof := flags.Bool("eof", false, "that input ends is of interest")
	_ = flags.Parse(os.Args[1:])
	file, err := os.OpenFile(*record, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	d := &desk{file: file, size: *clients, gone: map[uint64]bool{}, muted: map[uint64]bool{}}
	d.note("pid %d", os.Getpid())
	if !console.Fit(os.Stdin, os.Stdout) {
		d.note("unfit")
		os.Exit(3)
	}
	o := console.Options{
		In: os.Stdin, Out: os.Stdout,
		Send: d.send, Status: d.status, Clients: d.clients,
		Commands: []console.Command{
			console.To(d.to), console.Kick(d.kick),
			console.Mute(func(_ context.Context, id uint64) error { return d.mute(id, true) }),
			console.Unmute(func(_ context.Context, id uint64) error { return d.mute(id, false) }),
			{Name: "say", Usage: "ID text", Help: "have a client say it", Client: true, Run: d.say},
			{Name: "raw", Usage: "Go string", Help: "have a client say it unquoted", Run: d.raw},
			{Name: "name", Usage: "Go string", Help: "have a client of that name say hello", Run: d.name},
			{Name: "err", Usage: "text", Help: "log it", Run: d.err},
			{Name: "flood", Usage: "N", Help: "N messages at once", Run: d.flood},
			{Name: "rate", Usage: "N", Help: "N messages a second from now on", Run: d.start},
			{Name: "block", Help: "sending waits, or no longer", Run: d.block},
			{Name: "boom", Help: "a command that panics", Run: d.boom},
			{Name: "crash", Help: "another goroutine that panics", Run: d.crash},
		},
	}
	if *eof {
		o.EOF = func() { d.note("eof") }
	}
	d.console = console.New(o)
	d.log = d.console.Log()
	if *rate > 0 {
		_, _ = d.start(context.Background(), strconv.Itoa(*rate))
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT)
	defer stop()
	err = d.console.Run(ctx)
	d.note("ended: %v", first(err))
	fmt.Fprintln(d.log, "desk: ended")
	if err != nil {
		os.Exit(1)
	}
}

func first(err error) string {
	if err == nil {
		return "well"
	}
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

func (d *desk) note(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	fmt.Fprintf(d.file, format+"\n", args...)
}

func (d *desk) send(ctx context.Context, line string) error {
	d.mu.Lock()
	wait := d.blocked
	d.mu.Unlock()
	if wait != nil {
		select {
		case <-wait:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	d.note("send %q", line)
	if line == "unsendable" {
		return errors.New("the hub is closed")
	}
	return nil
}

func (d *desk) status() console.Status {
	s := console.Status{Where: "localhost:9000", Clients: d.size, Slowest: 2, Lag: 1100 << 10}
	s.In.Messages = d.said.Load()
	s.In.Bytes = 32 * s.In.Messages
	return s
}

var names = []string{"ann", "", "漢字", "Zoë with a name that is rather long for one"}

func (d *desk) clients() []console.Client {
	d.mu.Lock()
	defer d.mu.Unlock()
	var list []console.Client
	for i := range d.size {
		list = append(list, console.Client{
			ID: uint64(i + 1), Name: names[i%len(names)], Addr: fmt.Sprintf("192.0.2.%d:4000%d", i%250+1, i%10),
			Protocol: []string{"raw", "hubbub.v1", "sse"}[i%3], Since: noon, Lag: []int64{0, 1100 << 10, 12}[i%3], Muted: d.muted[uint64(i+1)],
		})
	}
	return list
}

func (d *desk) known(id uint64) error {
	if id == 0 || id > uint64(d.size) || d.gone[id] {
		return fmt.Errorf("there is no client %d", id)
	}
	return nil
}

func (d *desk) to(_ context.Context, id uint64, text string) error {
	if err := d.known(id); err != nil {
		return err
	}
	d.note("to %d %q", id, text)
	return nil
}

func (d *desk) kick(_ context.Context, id uint64, reason string) error {
	if err := d.known(id); err != nil {
		return err
	}
	d.gone[id] = true
	d.note("kick %d %q", id, reason)
	fmt.Fprintf(d.log, "hubbub: client %d closed: kicked (%s)\n", id, reason)
	return nil
}

func (d *desk) mute(id uint64, mute bool) error {
	if err := d.known(id); err != nil {
		return err
	}
	d.note("mute %d %v", id, mute)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.muted[id] = mute
	return nil
}

func (d *desk) show(id uint64, text []byte) {
	n := d.said.Add(1)
	d.console.Show(console.Message{
		Time: noon.Add(time.Duration(n) * time.Second), ID: id,
		Name: names[(id-1)%uint64(len(names))], Text: text,
	})
}

func (d *desk) say(_ context.Context, args string) (string, error) {
	word, text, _ := strings.Cut(args, " ")
	id, err := strconv.ParseUint(word, 10, 64)
	if err == nil {
		d.show(id, []byte(text))
	}
	return "", err
}

func (d *desk) raw(_ context.Context, args string) (string, error) {
	text, err := strconv.Unquote(`"` + args + `"`)
	if err == nil {
		d.show(1, []byte(text))
	}
	return "", err
}

func (d *desk) name(_ context.Context, args string) (string, error) {
	name, err := strconv.Unquote(`"` + args + `"`)
	if err == nil {
		d.console.Show(console.Message{Time: noon, ID: 9, Name: name, Text: []byte("hello")})
	}
	return "", err
}

func (d *desk) err(_ context.Context, args string) (string, error) {
	fmt.Fprintln(d.log, "hubbub: "+args)
	return "", nil
}

func (d *desk) flood(_ context.Context, args string) (string, error) {
	n, err := strconv.Atoi(args)
	for i := range n {
		d.show(uint64(i%3+1), fmt.Appendf(nil, "flood %d", i+1))
	}
	return "", err
}

func (d *desk) start(_ context.Context, args string) (string, error) {
	n, err := strconv.Atoi(args)
	if err != nil {
		return "", err
	}
	go func() {
		defer console.Rescue()
		began, done := time.Now(), 0
		for range time.Tick(10 * time.Millisecond) {
			for due := int(time.Since(began).Seconds() * float64(n)); done < due; done++ {
				d.show(uint64(done%3+1), fmt.Appendf(nil, "message %d of many", done+1))
			}
		}
	}()
	return "", nil
}

func (d *desk) block(context.Context, string) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.blocked != nil {
		close(d.blocked)
		d.blocked = nil
		return "sending goes on", nil
	}
	d.blocked = make(chan struct{})
	return "sending waits", nil
}

func (d *desk) boom(context.Context, string) (string, error) { panic("boom in a command") }

func (d *desk) crash(context.Context, string) (string, error) {
	go func() {
		defer console.Rescue()
		panic("a crash elsewhere")
	}()
	return "", nil
}
