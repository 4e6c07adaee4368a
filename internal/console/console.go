// Package console is a terminal for whoever operates a server, or has joined
// one: messages scroll above, and below them stand the line being typed and a
// status line.
//
//	c := console.New(console.Options{In: os.Stdin, Out: os.Stdout, Send: …})
//	go func() { … c.Show(console.Message{ID: 17, Name: "ann", Text: text}) … }()
//	err := c.Run(ctx)
//
// It knows nothing of a hub: it is given functions, and hands on what is typed.
//
//	console.go   Options, Show, Log, Run: from outside
//	model.go     what a key does
//	line.go      the line being typed, and history
//	complete.go  Tab
//	command.go   what begins with a slash
//	table.go     /who and /slow
//	filter.go    /filter
//	status.go    the status line
//	send.go      the way of what is typed
//	roll.go      what is remembered, within bounds
//	look.go      how a message looks; cells.go, how wide
//	paint.go     what is written to the terminal
//	panic.go     the terminal is given back, whatever happens
//	job_*.go     ^Z, and what else a system has its own way with
//
// # Inline, not on a screen of its own
//
// The console lives on the terminal's main screen, at its bottom, as a shell's
// prompt does; it takes neither the alternate screen nor the mouse. So what
// people do with a terminal's output works as ever: scrolling back through
// hours of it, searching it, selecting and copying with the mouse across more
// than a page (a long message is one line to the terminal, and is copied as
// one), and reading it after the program has ended. A screen of our own would
// be a second, worse terminal in which each of these is to be had again, and
// which takes all it has shown with it. The price: what has been printed is
// printed. A filter, or times, hold for what comes; for what was, /filter and
// /last print the last messages once more from a memory of some thousands.
//
// # What bubbletea does, and what not
//
// It reads: raw mode, keys, bracketed paste, the size of the window, and the
// model's event loop. It does not draw: to print above, its Println makes room
// for as many rows as it takes the text to have. Of a line with tabs or of two
// full rows, one row gets lost; characters of disputed width, which a stranger
// may send, come out within other messages; and with more lines at a time than
// the screen has rows come as many blank ones. paint.go says how to draw such
// that there is nothing to work out.
//
// # A terminal that is slow
//
// Show never waits for the terminal. It appends to a bounded memory, which the
// painter follows as a client follows a feed: 30 times a second, 256 messages
// at most. 1,000 messages a second are all drawn. At 100,000 most are not, and
// how many is said between those that are, and in the status line.
package console

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	tea "charm.land/bubbletea/v2"
)

// Options says what the console is for. In and Out are needed. Functions are
// called on goroutines of the console's, so several at once; Clients even while
// it is still at it.
type Options struct {
	In, Out *os.File // the terminal: see Fit
	Prompt  string   // "" means "> "

	// Visible appends text of strangers, made fit for one line of a terminal
	// that obeys nothing of it: visible.AppendLine. nil has all that is not
	// printable ASCII escaped, as Go does in a quoted string.
	Visible func(dst, text []byte) []byte

	// Next is the length of a text's first character and the cells it takes:
	// visible.Next. nil means a code point, and one.
	Next func(text string) (size, cells int)

	// Send takes a line that was typed, without its end, and may take its
	// time, until ctx ends with the console. Its error is shown. nil means
	// that nothing can be sent here.
	Send func(ctx context.Context, line string) error

	// As is what Send has stand before a line, and a blank, so that those who
	// hear it know who said it: shown in the prompt's place when it is sent.
	As string

	// EOF is called when input has ended: ^D on an empty line, after all
	// before it was sent. The console stays. nil means that ^D quits.
	EOF func()

	// Status is asked every second for the status line. nil means none.
	Status func() Status

	// Clients is asked for /who, /slow and completion; every second while
	// such a table is open. The slice is the console's to keep. nil means
	// that there are none of them.
	Clients func() []Client

	// Commands are those beside the console's own: To, Kick, Mute, Unmute, others.
	Commands []Command

	// Foreign says that whoever is sent what is typed has commands of their
	// own, which begin with a slash as ours do: what is none of ours is sent
	// as it is. Otherwise it is refused, as a slip of the finger.
	Foreign bool

	// NoColor leaves out all colour, bold and dim; so does an environment
	// with a NO_COLOR that is not empty (no-color.org).
	NoColor bool
}

// Message is what a client said.
type Message struct {
	Time time.Time // zero means now
	ID   uint64    // 0 means that it has none
	Name string    // "" means that it has none
	Text []byte    // without its separator; copied
}

// Console is one terminal's. Its methods may be called from any goroutine.
type Console struct {
	o     Options
	model *model
	paint *painter

	program  atomic.Pointer[tea.Program]
	suspends chan struct{} // somebody wants to
	over     atomic.Bool   // nobody reads the terminal any more, nor draws the frame

	mu     sync.Mutex
	failed error // why it ended, if not by anybody's wish
}

// What is kept, and of one message.
const (
	longest    = 4 << 10
	keepSaid   = 4096
	keepTold   = 1024
	spaceSaid  = 4 << 20
	spaceTold  = 1 << 20
	longestRaw = 256 // of a name
)

// New makes a console. What it is given to show before Run waits for it.
func New(o Options) *Console {
	if o.Prompt == "" {
		o.Prompt = "> "
	}
	l := look{visible: o.Visible, next: o.Next, prompt: o.Prompt}
	if l.visible == nil {
		l.visible = quoted
	}
	if l.next == nil {
		l.next = codePoint
	}
	l.colour = !o.NoColor && os.Getenv("NO_COLOR") == ""
	came := new(atomic.Uint64)
	p := &painter{
		look: l,
		told: newRoll(keepTold, spaceTold, came), said: newRoll(keepSaid, spaceSaid, came),
		out: tty{o.Out}, wake: make(chan struct{}, 1),
	}
	q := newQueue()
	m := &model{
		Options: o, look: &p.look, paint: p, queue: q, errands: newQueue(), now: time.Now,
		builtins: builtins(o.Clients != nil), line: line{next: l.next},
	}
	c := &Console{o: o, model: m, paint: p, suspends: make(chan struct{}, 1)}
	m.suspend = func() {
		select {
		case c.suspends <- struct{}{}:
		default:
		}
	}
	return c
}

// quoted is what Options.Visible is if nothing is.
func quoted(dst, text []byte) []byte {
	q := strconv.QuoteToASCII(string(text))
	return append(dst, strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)...)
}

// codePoint is what Options.Next is if nothing is.
func codePoint(text string) (size, cells int) {
	for range text {
		size++
		if size == len(text) || text[size]&0xc0 != 0x80 {
			return size, 1
		}
	}
	return 0, 0
}

// Show shows a message. While the console runs it does not wait for the
// terminal: what comes faster than that takes is counted instead. Once Run has
// returned it writes itself, and waits.
func (c *Console) Show(m Message) {
	c.show(m, 0)
}

func (c *Console) show(m Message, cut int) {
	if m.Time.IsZero() {
		m.Time = time.Now()
	}
	text, more := clip(m.Text, longest)
	name, _ := clip([]byte(m.Name), longestRaw)
	c.paint.said.add(entry{at: m.Time, id: m.ID, name: string(name), text: bytes.Clone(text), more: more + cut})
	c.drawn()
}

// drawn has what was added drawn.
func (c *Console) drawn() {
	if c.over.Load() {
		c.paint.finish()
		return
	}
	c.paint.nudge()
}

// Log is a writer for the program's own log: each line written to it is shown,
// also among messages that come too fast to be drawn.
func (c *Console) Log() io.Writer {
	return &lines{each: func(text []byte, more int) {
		c.paint.told.add(entry{kind: fromLog, at: time.Now(), text: bytes.Clone(text), more: more})
		c.drawn()
	}}
}

// Messages is a writer of messages: each line written to it is what parse
// makes of it, Plain or Tagged.
func (c *Console) Messages(parse func(line []byte) Message) io.Writer {
	return &lines{each: func(text []byte, more int) { c.show(parse(text), more) }}
}

// Plain is a message that is all text.
func Plain(line []byte) Message { return Message{Text: line} }

// Tagged is a message behind the name, or the id, of who said it, and a tab.
func Tagged(line []byte) Message {
	tag, text, ok := bytes.Cut(line, []byte("\t"))
	switch {
	case !ok:
		return Message{Text: line}
	case string(tag) == "-":
		return Message{Text: text}
	}
	if id, err := strconv.ParseUint(string(tag), 10, 64); err == nil {
		return Message{ID: id, Text: text}
	}
	return Message{Name: string(tag), Text: text}
}

// lines cuts what is written into lines, and of each keeps the beginning.
type lines struct {
	each func(text []byte, more int)

	mu   sync.Mutex
	head []byte
	more int
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(p)
	for {
		part, rest, whole := bytes.Cut(p, []byte("\n"))
		head, more := clip(part, max(0, longest-len(l.head)))
		if l.more > 0 {
			head, more = nil, len(part)
		}
		l.head, l.more = append(l.head, head...), l.more+more
		if !whole {
			return n, nil
		}
		l.each(l.head, l.more)
		l.head, l.more, p = l.head[:0], 0, rest
	}
}

// Run takes the terminal, and gives it back before it returns: when somebody
// quits, when ctx ends, when the terminal is gone, or when something panics
// here. Only the last two are errors, and none of them is a reason to end a
// server. It may be called once.
func (c *Console) Run(ctx context.Context) error {
	sending, cancel := context.WithCancel(ctx)
	defer cancel()
	p := tea.NewProgram(guarded{c.model, c},
		tea.WithInput(input{c.o.In, c}), tea.WithOutput(undrawn{c.o.Out}),
		// The caller knows what signals mean to it.
		tea.WithoutSignalHandler(),
		// What bubbletea draws goes nowhere: let it not try often, nor ask
		// what colours there are.
		tea.WithFPS(1), tea.WithColorProfile(0))
	c.program.Store(p)
	defer open.CompareAndSwap(c, nil)
	open.Store(c)
	defer context.AfterFunc(ctx, p.Quit)()

	last, stop := make(chan struct{}), make(chan struct{})
	var painting, sent, jobs sync.WaitGroup
	painting.Go(func() { c.attempt(func() error { return c.paint.run(stop) }) })
	for _, q := range []*queue{c.model.queue, c.model.errands} {
		sent.Go(func() { c.attempt(func() error { q.run(sending, last); return nil }) })
	}
	jobs.Go(func() { c.attempt(func() error { return c.control(sending, p) }) })
	c.attempt(c.paint.enter)
	_, err := p.Run()

	close(stop)
	close(last)
	c.giveBack(&painting)
	within(lastMoment, sent.Wait)
	c.sayUnsent()
	cancel()
	within(lastMoment, jobs.Wait)
	return c.reason(ctx, err)
}

// lastMoment is how long the end waits for a terminal that takes nothing, and
// for a line that nobody takes.
const lastMoment = time.Second

// giveBack leaves the terminal as anybody's, with the messages that were still
// to be drawn on it.
func (c *Console) giveBack(painting *sync.WaitGroup) {
	within(lastMoment, func() {
		painting.Wait()
		c.paint.leave()
		c.paint.finish()
	})
	c.over.Store(true)
}

func (c *Console) sayUnsent() {
	if n := c.model.queue.waiting(); n > 0 {
		c.model.refuse("not sent: " + several(uint64(n), "line"))
		within(lastMoment, c.paint.finish)
	}
}

// within waits until do is done, but not longer than limit.
func within(limit time.Duration, do func()) {
	done := make(chan struct{})
	go func() { defer close(done); do() }()
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	}
}

// reason is why the console ended, if that is an error.
func (c *Console) reason(ctx context.Context, err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.failed != nil:
		return c.failed
	case ctx.Err() != nil || errors.Is(err, tea.ErrInterrupted):
		return nil
	}
	return err
}

// fail ends the console.
func (c *Console) fail(err error) {
	c.mu.Lock()
	if c.failed == nil {
		c.failed = err
	}
	c.mu.Unlock()
	if p := c.program.Load(); p != nil {
		go p.Quit()
	}
}

// undrawn is the terminal to bubbletea, as far as its size and modes go.
type undrawn struct{ *os.File }

func (undrawn) Write(p []byte) (int, error)       { return len(p), nil }
func (undrawn) WriteString(s string) (int, error) { return len(s), nil }

// input tells when nobody can type any more, which bubbletea does not.
type input struct {
	*os.File
	c *Console
}

func (i input) Read(p []byte) (int, error) {
	n, err := i.File.Read(p)
	if err != nil {
		i.c.fail(errors.New("the terminal is gone"))
	}
	return n, err
}
