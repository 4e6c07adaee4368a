// Package console is a terminal for whoever operates a server, or has joined
// one: messages scroll above, and below them stand the line being typed and a
// status line.
//
//	c := console.New(console.Options{In: os.Stdin, Out: os.Stdout, Send: …})
//	go func() { … c.Show(console.Message{ID: 17, Name: "ann", Text: text}) … }()
//	err := c.Run(ctx)
//
// It knows nothing of a hub: it calls the functions it is given, and passes on
// what is typed.
//
//	console.go   Options, Show, Log, Run: from outside
//	model.go     what a key does
//	line.go      the line being typed, and history
//	complete.go  Tab
//	command.go   slash commands
//	table.go     /who and /slow
//	filter.go    /filter
//	status.go    the status line
//	send.go      the queue of lines to send
//	scrollback.go  what is remembered, within bounds
//	style.go     how a message looks; width.go, how many cells it takes
//	paint.go     what is written to the terminal
//	keyboard.go  what is read from it
//	panic.go     the terminal is given back, whatever happens
//	terminal*.go ^Z, sizes, and what else depends on the system
//
// # Inline, not on a screen of its own
//
// The console lives on the terminal's main screen, at its bottom, as a shell's
// prompt does. It takes neither the alternate screen nor the mouse. So a
// terminal's output works as ever: people scroll back through hours of it,
// search it, select and copy across pages with the mouse (a long message is one
// line to the terminal and is copied as one), and read it after the program has
// ended. A screen of our own would be a second, worse terminal that has to offer
// all of this again and that takes everything it has shown with it. The price:
// what is printed stays printed. A filter, or times, apply to new messages; for
// earlier ones, /filter and /last print the last messages again from a memory of
// some thousands.
//
// # Libraries
//
// ultraviolet decodes keys and pastes, as each kind of terminal sends them;
// golang.org/x/term sets raw mode and knows the size. The console draws by
// itself. We measured three ways with the same scenes (desk_test.go on a pty;
// 1,000 messages a second for 8 s, and 200,000 at once):
//
//	                          CPU, s          MB written     desk's binary
//	bubbletea reads keys      0.10  0.05      0.32  0.13     6.0 MB
//	bubbletea also draws      0.15  0.11      0.33  0.14     5.9 MB
//	ultraviolet's decoder     0.10  0.05      0.32  0.13     5.1 MB
//
// When bubbletea draws, its Println makes room for as many rows as it expects the
// text to take. A line with tabs or of exactly two full rows loses a row,
// characters of disputed width end up inside other messages, and more lines at a
// time than the screen has rows leave as many blank ones: the tests of widths and
// of resizing fail. paint.go says how to draw without having to know.
//
// # A terminal that is slow
//
// Show never waits for the terminal. It appends to a bounded memory, which the
// painter follows as a client follows a feed: 30 times a second, 256 messages at
// most. It draws all of 1,000 messages a second. Of 100,000 it draws some, and
// the console says how many are missing: between those it draws, and in the
// status line.
package console

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	uv "github.com/charmbracelet/ultraviolet"

	"hubbub.example/internal/visible"
)

// Options configures a console. In and Out are required. The console calls the
// functions on goroutines of its own, several at once; Clients also while an
// earlier call has not returned.
type Options struct {
	In, Out *os.File // the terminal: see Fit

	// Send sends a typed line, without its newline. It may block until ctx
	// ends with the console. The console shows its error. nil means that
	// nothing can be sent.
	Send func(ctx context.Context, line string) error

	// As is what Send puts before a line, with a blank, to tell others who
	// sent it. The console shows it in place of the prompt.
	As string

	// EOF is called at the end of input: ^D on an empty line, after all
	// earlier lines are sent. The console stays. nil means that ^D quits.
	EOF func()

	// Status is called every second for the status line. nil means none.
	Status func() Status

	// Clients is called for /who, /slow and completion; every second while a
	// table is open. The console keeps the slice. nil means that these
	// commands do not exist.
	Clients func() []Client

	// Commands are added to the console's own: To, Kick, Mute, Unmute, others.
	Commands []Command

	// Foreign: the receiver of typed lines has slash commands of its own, so
	// unknown ones are sent as they are. Otherwise they are refused as typing
	// errors.
	Foreign bool
}

// Message is what a client sent.
type Message struct {
	Time time.Time // zero means now
	ID   uint64    // 0: none
	Name string    // "": none
	Text []byte    // without its separator; copied
}

// Console is the console of one terminal. Its methods may be called from any
// goroutine.
type Console struct {
	o        Options
	model    *model
	paint    *painter
	keyboard keyboard
	events   chan uv.Event // keys, pastes, and answers to what the model asks

	suspends chan struct{} // ^Z was typed
	over     atomic.Bool   // the terminal is given back: no keys, no frame

	mu     sync.Mutex
	quit   chan struct{} // closed: the console ends
	failed error         // why, unless somebody ended it
}

// What is kept.
const (
	longest      = 4 << 10 // bytes of a message
	longestRaw   = 256     // bytes of a name
	keepMessages = 4096
	keepNotices  = 1024
	messageSpace = 4 << 20 // bytes of all
	noticeSpace  = 1 << 20
)

// New makes a console. What is shown before Run appears once it runs.
func New(o Options) *Console {
	came := new(atomic.Uint64)
	p := &painter{
		style:   style{visible: visible.AppendLine, colour: os.Getenv("NO_COLOR") == ""}, // no-color.org
		notices: newScrollback(keepNotices, noticeSpace, came), messages: newScrollback(keepMessages, messageSpace, came),
		out: tty{o.Out}, wake: make(chan struct{}, 1), reports: make(chan int, 1),
	}
	m := &model{
		Options: o, style: &p.style, paint: p, queue: newQueue(), errands: newQueue(), now: time.Now,
		actions: actionsOf(o),
	}
	c := &Console{
		o: o, model: m, paint: p, events: make(chan uv.Event),
		suspends: make(chan struct{}, 1), quit: make(chan struct{}),
	}
	c.keyboard = keyboard{in: o.In, events: c.events, lost: func() { c.fail(errors.New("the terminal is gone")) }}
	m.suspend = func() {
		select {
		case c.suspends <- struct{}{}:
		default:
		}
	}
	return c
}

// Show shows a message. While the console runs, Show does not wait for the
// terminal: messages that come faster than it takes are counted instead. After Run
// has returned, Show writes and waits.
func (c *Console) Show(m Message) {
	c.show(m, 0)
}

func (c *Console) show(m Message, cut int) {
	if m.Time.IsZero() {
		m.Time = time.Now()
	}
	text, more := clip(m.Text, longest)
	name, _ := clip([]byte(m.Name), longestRaw)
	c.paint.messages.add(entry{at: m.Time, id: m.ID, name: string(name), text: bytes.Clone(text), more: more + cut})
	c.drawn()
}

// drawn draws what was added.
func (c *Console) drawn() {
	if c.over.Load() {
		c.finish()
		return
	}
	c.paint.nudge()
}

// Log returns a writer for the program's log. Each line written to it is shown, also
// among messages that come too fast to be drawn.
func (c *Console) Log() io.Writer {
	return &lines{each: func(text []byte, more int) {
		c.paint.notices.add(entry{kind: logged, at: time.Now(), text: bytes.Clone(text), more: more})
		c.drawn()
	}}
}

// Messages returns a writer of messages, one per line. parse is Plain or Tagged.
func (c *Console) Messages(parse func(line []byte) Message) io.Writer {
	return &lines{each: func(text []byte, more int) { c.show(parse(text), more) }}
}

// Plain returns a message that is all text.
func Plain(line []byte) Message { return Message{Text: line} }

// Tagged returns a message after its sender's name or ID and a tab.
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

// lines splits what is written into lines and keeps the beginning of each.
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

// Run takes the terminal and gives it back before it returns: after /quit or ^C,
// when ctx ends, when the terminal is gone, or when something in the console
// panics. The last two are errors; neither is a reason to end a server. Call it
// once.
func (c *Console) Run(ctx context.Context) error {
	sending, cancel := context.WithCancel(ctx)
	defer cancel()
	restore, err := obeyEscapes(c.o.Out)
	if err != nil {
		return err
	}
	defer restore()
	defer open.CompareAndSwap(c, nil)
	open.Store(c)

	last, stop := make(chan struct{}), make(chan struct{})
	var painting, sent, jobs sync.WaitGroup
	painting.Go(func() { c.attempt(func() error { return c.paint.run(stop, c.model.layout) }) })
	for _, q := range []*queue{c.model.queue, c.model.errands} {
		sent.Go(func() { c.attempt(func() error { q.run(sending, last); return nil }) })
	}
	controlling, letGo := context.WithCancel(ctx)
	defer letGo()
	jobs.Go(func() { c.attempt(func() error { return c.control(controlling) }) })
	c.attempt(c.paint.enter)
	c.attempt(c.keyboard.take)
	c.handle(sending)

	letGo()
	within(lastMoment, jobs.Wait)
	close(stop)
	close(last)
	c.giveBack(&painting)
	within(lastMoment, sent.Wait)
	c.sayUnsent()
	return c.failure()
}

// handle hands events to the model until the console ends.
func (c *Console) handle(ctx context.Context) {
	c.ask(ctx, c.model.askStatus(0))
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.quit:
			return
		case e := <-c.events:
			c.attempt(func() error { c.ask(ctx, c.model.update(e)); return nil })
			c.paint.nudge()
		}
		if c.model.done {
			return
		}
	}
}

// ask answers a question of the model on another goroutine: it may block.
func (c *Console) ask(ctx context.Context, q *question) {
	if q == nil {
		return
	}
	time.AfterFunc(q.in, func() {
		if ctx.Err() != nil {
			return
		}
		c.attempt(func() error {
			select {
			case c.events <- q.answer():
			case <-ctx.Done():
			}
			return nil
		})
	})
}

// lastMoment is how long the end waits for a terminal that takes nothing, and for
// a line that cannot be sent.
const lastMoment = time.Second

// giveBack gives the terminal back, with the remaining messages on it.
func (c *Console) giveBack(painting *sync.WaitGroup) {
	released := make(chan struct{})
	go func() { defer close(released); c.keyboard.release() }()
	for waiting := true; waiting; { // keys may still be coming
		select {
		case <-c.events:
		case <-released:
			waiting = false
		}
	}
	within(lastMoment, func() {
		painting.Wait()
		c.paint.leave()
		c.finish()
	})
	c.over.Store(true)
}

// finish draws what is left, also after a panic while drawing.
func (c *Console) finish() {
	c.attempt(func() error { c.paint.finish(); return nil })
}

func (c *Console) sayUnsent() {
	if n := c.model.queue.waiting(); n > 0 {
		c.model.refuse("not sent: " + several(uint64(n), "line"))
		within(lastMoment, c.finish)
	}
}

// within runs do and waits for it, up to limit.
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

// failure returns why the console ended, unless somebody ended it.
func (c *Console) failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failed
}

// fail ends the console.
func (c *Console) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed == nil {
		c.failed = err
		close(c.quit)
	}
}
