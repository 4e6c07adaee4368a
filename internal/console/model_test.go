package console

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	uv "github.com/charmbracelet/ultraviolet"

	"hubbub.example/internal/quantity"
	"hubbub.example/internal/visible"
)

// These tests press keys on a model and look at its frame; no terminal, no
// goroutine but the test's. What is beyond that is in operator_test.go and
// screen_test.go.

// desk is a model and what it had done.
type desk struct {
	t *testing.T
	*model
	c    *Console
	time time.Time
}

func newDesk(t *testing.T, o Options) *desk {
	t.Helper()
	t.Setenv("NO_COLOR", "1")
	c := New(o)
	d := &desk{t: t, model: c.model, c: c, time: time.Date(2024, 2, 3, 12, 0, 0, 0, time.UTC)}
	d.now = func() time.Time { return d.time }
	d.layout(60, 20)
	return d
}

var named = map[string]uv.KeyPressEvent{
	"enter": {Code: uv.KeyEnter}, "tab": {Code: uv.KeyTab}, "esc": {Code: uv.KeyEscape},
	"up": {Code: uv.KeyUp}, "down": {Code: uv.KeyDown}, "left": {Code: uv.KeyLeft},
	"backspace": {Code: uv.KeyBackspace}, "pgdown": {Code: uv.KeyPgDown},
}

// press presses keys, and returns what they asked for last.
func (d *desk) press(keys ...string) *question {
	d.t.Helper()
	var q *question
	for _, k := range keys {
		key, ok := named[k]
		if letter, isCtrl := strings.CutPrefix(k, "ctrl+"); isCtrl {
			key, ok = uv.KeyPressEvent{Code: rune(letter[0]), Mod: uv.ModCtrl}, true
		}
		if !ok {
			d.t.Fatalf("there is no key %s", k)
		}
		q = d.update(key)
	}
	return q
}

func (d *desk) types(text string) {
	for _, r := range text {
		d.update(uv.KeyPressEvent{Code: r, Text: string(r)})
	}
}

// enter types a line, and returns what it asked for.
func (d *desk) enter(text string) *question {
	d.types(text)
	return d.press("enter")
}

// sends does what waits to be sent.
func (d *desk) sends() {
	for _, q := range []*queue{d.queue, d.errands} {
		for j, ok := q.next(); ok; j, ok = q.next() {
			j.do(context.Background())
		}
	}
}

// told returns what the console has said of its own.
func (d *desk) told() string {
	var b []byte
	for _, e := range d.paint.notices.take(nil, 1000, 1<<20, filter{}).entries {
		b = d.append(b, &e, false, 0)
	}
	return strings.ReplaceAll(string(b), "\r\n", "\n")
}

func (d *desk) frameIs(want string) {
	d.t.Helper()
	f := d.frame()
	got := f.before + "_" + f.after
	if f.below != "" {
		got += "\n" + f.below
	}
	if got != want {
		d.t.Errorf("the frame is\n%s\nwant\n%s", got, want)
	}
}

// quits reports whether the keys end the console.
func (d *desk) quits(keys ...string) bool {
	d.t.Helper()
	d.done = false
	d.press(keys...)
	return d.done
}

func TestWhatIsTypedIsSentInItsOrder(t *testing.T) {
	var sent []string
	d := newDesk(t, Options{
		Send: func(_ context.Context, line string) error { sent = append(sent, line); return nil },
		EOF:  func() { sent = append(sent, "the end") },
		Commands: []Command{To(func(_ context.Context, id uint64, text string) error {
			sent = append(sent, fmt.Sprintf("%d: %s", id, text))
			return nil
		})},
	})
	d.enter("one")
	d.enter("/to 7 two")
	d.enter("//three")
	d.enter("") // is nothing
	d.update(uv.PasteEvent{Content: "four\r\nfive\rsix"})
	d.press("enter", "ctrl+d")
	if d.queue.waiting() != 7 || sent != nil {
		t.Fatalf("%d wait, and %q are sent before anybody sends", d.queue.waiting(), sent)
	}
	d.sends()
	if got := strings.Join(sent, "|"); got != "one|7: two|/three|four|five|six|the end" {
		t.Errorf("sent is %q", got)
	}
	if got := d.told(); got != "> one\n> /to 7 two\n> /three\n> four\n> five\n> six\n" {
		t.Errorf("told is %q", got)
	}
}

// A client is named by its id, which wins, or by a name of one word that nobody
// else has; Tab offers what is taken.
func TestClientsAreNamed(t *testing.T) {
	var kicked []string
	d := newDesk(t, Options{
		Clients: func() []Client {
			return []Client{{ID: 7, Name: "ann"}, {ID: 8, Name: "bob"}, {ID: 10, Name: "bob"}, {ID: 11, Name: "7"}, {ID: 12, Name: "Zoë B"}, {ID: 13, Name: "an"}, {ID: 14}}
		},
		Commands: []Command{Kick(func(_ context.Context, id uint64, reason string) error {
			kicked = append(kicked, fmt.Sprintf("%d %s", id, reason))
			return nil
		})},
	})
	for _, tt := range []struct{ typed, kicked, told string }{
		{"/kick ann too loud", "7 too loud", "* kicked 7\n"},
		{"/kick   an", "13 ", "* kicked 13\n"},
		{"/kick 7", "7 ", "* kicked 7\n"},
		{"/kick #11", "11 ", "* kicked 11\n"},
		{"/kick bob", "", "! /kick: 2 clients are called bob; use an ID: 8, 10\n"},
		{"/kick ANN", "", "! /kick: no client is called ANN (Tab completes names, /who lists all)\n"},
		{"/kick", "", "! /kick: missing client: give its ID or name (Tab completes it, /who lists all)\n"},
	} {
		kicked = nil
		d.enter(tt.typed)
		d.sends()
		if got := strings.Join(kicked, "|"); got != tt.kicked {
			t.Errorf("%s kicks %q, want %q", tt.typed, got, tt.kicked)
		}
		if got := d.told(); got != "> "+tt.typed+"\n"+tt.told {
			t.Errorf("%s says %q", tt.typed, got)
		}
	}
	for _, tt := range []struct{ typed, shows string }{
		{"/kick a", "> /kick an_"},
		{"/kick an", "> /kick an_\nan  13\nann  7"},
		{"/kick ann", "> /kick ann _"},
		{"/kick b", "> /kick b_\n8  bob\n10  bob"},
		{"/kick z", "> /kick 12 _"},
		{"/kick 7", "> /kick 7_\n7  ann\n11  7"},
	} {
		d.press("ctrl+u")
		d.types(tt.typed)
		d.update(d.press("tab").answer())
		d.frameIs(tt.shows)
	}
}

// Where others have commands, too, only the console's own are taken.
func TestCommandsOfOthersAreSent(t *testing.T) {
	var sent []string
	d := newDesk(t, Options{
		Foreign:  true,
		Send:     func(_ context.Context, line string) error { sent = append(sent, line); return nil },
		Commands: []Command{Kick(func(context.Context, uint64, string) error { return nil })},
	})
	for _, line := range []string{"/nick bob", "/kick 1", "/times", "//times", "///x", "/", "/timesy", "/who", "times"} {
		d.enter(line)
	}
	d.types("/nick ")
	d.update(uv.PasteEvent{Content: "a\nb"})
	d.frameIs("> /nick a b_")
	d.sends()
	if got := strings.Join(sent, "|"); got != "/nick bob|/times|//x|/|/timesy|/who|times" {
		t.Errorf("sent is %q", got)
	}
}

func TestALineThatIsRefusedStays(t *testing.T) {
	for name, o := range map[string]Options{
		"! this console cannot send messages; /help lists what it can do\n": {},
		"! input has ended: no more messages can be sent; /quit quits\n":    {EOF: func() {}, Send: func(context.Context, string) error { return nil }},
		"! not sent: more than 4.0 MiB would be waiting\n":                  {Send: func(context.Context, string) error { return nil }},
	} {
		d := newDesk(t, o)
		if o.EOF != nil {
			d.press("ctrl+d")
		} else if o.Send != nil {
			d.queue.push(job{size: unsent})
		}
		d.enter("dear line")
		if got := d.told(); got != name {
			t.Errorf("told is %q, want %q", got, name)
		}
		if o.EOF != nil { // never again: it would stand in the way of what is typed next
			d.frameIs("> _")
			continue
		}
		d.frameIs("> dear line_")
	}
}

func TestAnErrorOfSendIsShownWithItsLine(t *testing.T) {
	d := newDesk(t, Options{Send: func(context.Context, string) error { return errors.New("the hub is closed") }})
	d.enter("hello")
	d.sends()
	if got := d.told(); got != "> hello\n! not sent: the hub is closed: hello\n" {
		t.Errorf("told is %q", got)
	}
}

// A paste that is too large is refused whole, and is not lost.
func TestAPasteIsSentWholeOrNotAtAll(t *testing.T) {
	n := 0
	d := newDesk(t, Options{Send: func(context.Context, string) error { n++; return nil }})
	d.update(uv.PasteEvent{Content: strings.Repeat("0123456789\n", unsent/11+1)})
	d.press("enter")
	if got := d.told(); got != "! not sent: more than 4.0 MiB would be waiting\n" {
		t.Errorf("told is %q", got)
	}
	if d.paste == nil || d.queue.waiting() != 0 {
		t.Errorf("the paste is gone, or %d of it waits", d.queue.waiting())
	}
	d.press("esc")
	d.update(uv.PasteEvent{Content: strings.Repeat("0123456789\n", unsent/11)})
	d.press("enter")
	d.sends()
	if n != unsent/11 {
		t.Errorf("%d lines are sent, want %d", n, unsent/11)
	}
	if got := strings.Count(d.told(), "\n"); got != 10 {
		t.Errorf("a paste is echoed on %d lines, want 10", got)
	}
}

// A paste by mistake does not cost what was being typed.
func TestAPasteThatIsDroppedLeavesTheLine(t *testing.T) {
	d := newDesk(t, Options{Send: func(context.Context, string) error { return nil }})
	d.types("half a lne")
	d.press("left", "left")
	d.update(uv.PasteEvent{Content: "one\ntwo\n"})
	if len(d.paste) != 3 {
		t.Errorf("pasted is %q", d.paste)
	}
	d.press("esc")
	d.types("i")
	d.frameIs("> half a li_ne")
	d.update(uv.PasteEvent{Content: "one\ntwo\n"})
	d.types("another")
	d.press("esc")
	d.frameIs("> another_")
}

func TestInterrupt(t *testing.T) {
	d := newDesk(t, Options{Clients: func() []Client { return nil }})
	d.types("x")
	if d.quits("ctrl+c") {
		t.Error("^C quits, and something is typed")
	}
	d.time = d.time.Add(bounce - 1)
	if d.quits("ctrl+c") {
		t.Error("a second ^C, too soon, quits")
	}
	d.time = d.time.Add(1)
	if !d.quits("ctrl+c") {
		t.Error("^C on an empty line does not quit")
	}
	d.enter("/who")
	if d.quits("ctrl+c") || d.table != nil {
		t.Error("^C quits, or leaves the table open")
	}
	d.types("x")
	d.press("backspace")
	if !d.quits("ctrl+c") {
		t.Error("^C on an empty line does not quit after other keys")
	}
}

func TestEndOfInputQuitsWhereItIsOfNoInterest(t *testing.T) {
	d := newDesk(t, Options{})
	d.types("ab")
	d.press("left")
	if d.quits("ctrl+d") || d.line.text != "a" {
		t.Errorf("^D quits, or leaves %q", d.line.text)
	}
	d.press("backspace")
	if !d.quits("ctrl+d") {
		t.Error("^D on an empty line does not quit")
	}
}

func TestTabWaitsForNobodyAndDisturbsNobody(t *testing.T) {
	d := newDesk(t, Options{
		Clients:  func() []Client { return []Client{{ID: 170, Name: "ann"}, {ID: 171, Name: "Anton"}, {ID: 2}} },
		Commands: []Command{Kick(nil)},
	})
	d.types("/kick 1")
	answer := d.press("tab").answer()
	d.frameIs("> /kick 1_")
	d.update(answer)
	d.frameIs("> /kick 17_") // as far as there is no choice
	d.update(d.press("tab").answer())
	d.frameIs("> /kick 17_\n170  ann\n171  Anton")
	answer = d.press("tab").answer()
	d.types("0") // somebody types on before the answer is there
	d.update(answer)
	d.frameIs("> /kick 170_")
	d.press("ctrl+u")
	d.types("/kick ANT")
	d.update(d.press("tab").answer())
	d.frameIs("> /kick Anton _")
	d.types("why ")
	if d.press("tab") != nil {
		t.Error("Tab in the reason asks who is here")
	}
	d.press("ctrl+u", "tab")
	d.frameIs("> _")
}

func TestALongLineIsShownWhereTheCursorIs(t *testing.T) {
	d := newDesk(t, Options{})
	d.layout(22, 5)
	d.types("0123456789abcdefgh")
	d.frameIs("> <9abcdefgh_")
	d.types("ijklmnopqrstuvwxyz")
	d.frameIs("> <rstuvwxyz_")
	d.press("ctrl+a")
	d.frameIs("> _0123456789abcdefg>")
	for range 10 {
		d.press("ctrl+f")
	}
	d.frameIs("> 0123456789_abcdefg>")
	for width := 1; width < 60; width++ {
		d.layout(width, 5)
		for at := range d.line.text {
			d.line.at = at
			f := d.frame()
			if w := utf8.RuneCountInString(f.before + f.after); w > max(2, width-1) {
				t.Fatalf("at %d of %d cells %q and %q take %d", at, width, f.before, f.after, w)
			}
		}
	}
}

// Each table is asked for by itself: one that is closed asks no more.
func TestOneTableAtATimeIsKeptUpToDate(t *testing.T) {
	d := newDesk(t, Options{Clients: func() []Client { return []Client{{ID: 1}} }})
	who := d.enter("/who")
	slow := d.enter("/slow")
	if again := d.update(who.answer()); again != nil || d.table.known {
		t.Error("a table that is not open is filled, or asked for again")
	}
	if again := d.update(slow.answer()); again == nil || !d.table.known {
		t.Error("the table that is open is not filled, or not asked for again")
	}
	late := d.askClients(d.table, 0)
	d.enter("/slow")
	if again := d.update(late.answer()); again != nil || d.table != nil {
		t.Error("a table that is closed is asked for")
	}
}

// All text from elsewhere passes style.visible: one that turns it to capitals leaves
// no small letter of it.
func TestAllTextFromElsewherePassesVisible(t *testing.T) {
	shout := func(dst, text []byte) []byte { return append(dst, bytes.ToUpper(text)...) }
	d := newDesk(t, Options{
		Status: func() Status { return Status{Where: "stranger"} },
		Clients: func() []Client {
			return []Client{{ID: 1, Name: "stranger", Addr: "stranger", Protocol: "stranger"}, {ID: 11, Name: "stranger"}}
		},
		Commands: []Command{{Name: "k", Client: true, Run: func(context.Context, string) (string, error) { return "stranger", errors.New("stranger") }}},
		Send:     func(context.Context, string) error { return errors.New("stranger") },
	})
	d.paint.visible = shout
	var seen strings.Builder
	style := func() {
		f := d.frame()
		seen.WriteString(f.before + f.after + f.below + "\n" + d.told())
		d.c.paint.change(func() {})
		seen.Write(d.c.paint.picture(f, 60, 0))
	}
	d.c.Show(Message{ID: 1, Name: "stranger", Text: []byte("stranger\nstranger")})
	_, _ = d.c.Log().Write([]byte("stranger\n"))
	_, _ = d.c.Messages(Tagged).Write([]byte("stranger\tstranger\n"))
	style()
	d.update(statusEvent{d.time, d.Status()})
	d.enter("/who")
	d.update(clientsEvent{clients: d.Clients(), table: d.table})
	style()
	d.types("/k 1")
	d.update(d.press("tab").answer())
	style()
	d.enter("")
	for _, b := range []string{"/k 1", "/last", "/filter stranger", "/who stranger no one", "/stranger", "/kick stranger", "stranger"} {
		if q := d.enter(b); q != nil {
			d.update(q.answer())
		}
		d.sends()
		style()
	}
	d.types("stranger")
	style()
	d.update(uv.PasteEvent{Content: "stranger\nstranger"})
	style()
	if n := strings.Count(seen.String(), "STRANGER"); n < 20 {
		t.Errorf("strangers are seen %d times in\n%s", n, seen.String())
	}
	if i := strings.Index(seen.String(), "stranger"); i >= 0 {
		t.Errorf("not through visible: %q", seen.String()[max(0, i-200):min(seen.Len(), i+100)])
	}
}

// A visible that leaves only ASCII shows only ASCII, whatever comes; and no message has a
// line that begins as it likes.
func FuzzMessage(f *testing.F) {
	for _, s := range []string{"", "plain", "\x1b[2J\x9b2J\u202e\xff", "a\nb\r\n> c", strings.Repeat("\n", 100), strings.Repeat("é", 3000), "“\t”"} {
		f.Add([]byte(s), "ann", uint64(17))
		f.Add([]byte("hello"), s, uint64(0))
	}
	f.Setenv("NO_COLOR", "1")
	f.Fuzz(func(t *testing.T, text []byte, name string, id uint64) {
		c := New(Options{})
		c.paint.visible = quoted
		c.Show(Message{ID: id, Name: name, Text: text})
		picture := string(c.paint.picture(frame{before: "> "}, 80, 0))
		rows, ok := strings.CutPrefix(picture, sync2026+eraseBelow)
		rows, frame, found := strings.Cut(rows, wrapOff)
		if !ok || !found || frame != "> "+saveCursor+restoreCursor+wrapOn+synced2026 {
			t.Fatalf("the picture of %q from %q is %q", text, name, picture)
		}
		label := strconv.FormatUint(id, 10)
		for row := range strings.SplitSeq(strings.TrimSuffix(rows, "\r\n"), "\r\n") {
			if id != 0 && !strings.HasPrefix(row, label) {
				t.Fatalf("a row of %q from %q is %q", text, name, row)
			}
			for _, r := range strings.ReplaceAll(row, "…", "") {
				if r > '~' || !unicode.IsPrint(r) {
					t.Fatalf("a row of %q from %q is %q, with %q", text, name, row, r)
				}
			}
		}
	})
}

func quoted(dst, text []byte) []byte {
	q := strconv.QuoteToASCII(string(text))
	return append(dst, strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)...)
}

func TestRatesAreOfTheTimeThatPassed(t *testing.T) {
	var r rates
	r.next(time.Unix(100, 0), Status{In: Flow{1000, 5000}})
	if r.in.brief() != "0/s" {
		t.Errorf("at first it is %s", r.in.brief())
	}
	r.next(time.Unix(102, 0), Status{In: Flow{3000, 5000 + 4096}})
	if got := r.in.long(); got != "1,000/s 2.0 KiB/s" {
		t.Errorf("then it is %s", got)
	}
	r.next(time.Unix(103, 0), Status{In: Flow{5, 5}}) // whatever that is
	if got := r.in.long(); got != "0/s" {
		t.Errorf("then it is %s", got)
	}
	for n, want := range map[float64]string{0.24: "0.2/s", 9.96: "10/s", 9999: "9,999/s", 10e3: "10k/s", 1.25e6: "1.2M/s"} {
		if got := (rate{messages: n}).brief(); got != want {
			t.Errorf("%v is %s, want %s", n, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 10 << 10: "10 KiB", 1 << 20: "1.0 MiB", 64 << 20: "64 MiB", 3 << 40: "3.0 TiB"} {
		if got := quantity.Bytes(n); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
}

// The memory is bounded in entries and in bytes, and what it lets go of
// before it was drawn is counted once.
func TestTheScrollbackIsBoundedAndCounts(t *testing.T) {
	c := New(Options{})
	r := newScrollback(10, 100, c.paint.messages.came)
	add := func(size int) { r.add(entry{text: make([]byte, size)}) }
	for range 12 {
		add(1)
	}
	got := r.take(nil, 4, 1000, filter{})
	if len(got.entries) != 4 || got.lapped != 2 || !got.more {
		t.Errorf("took %d with %d lapped and more: %v", len(got.entries), got.lapped, got.more)
	}
	add(60)
	add(60) // all others go
	got = r.take(nil, 100, 1000, filter{})
	if len(got.entries) != 1 || got.lapped != 7 || got.more || r.bytes != 60 {
		t.Errorf("took %d with %d lapped and more: %v, %d bytes are kept", len(got.entries), got.lapped, got.more, r.bytes)
	}
	add(1000) // more than all: it is kept alone
	if undrawn, lapped := r.waiting(); undrawn != 1 || lapped != 0 || r.head-r.first != 1 {
		t.Errorf("%d wait, %d are lapped", undrawn, lapped)
	}
}

// A terminal that takes nothing keeps nobody who shows something.
func TestShowDoesNotWaitForTheTerminal(t *testing.T) {
	stuck := make(chan struct{})
	c := New(Options{Out: os.Stdout})
	c.paint.out = writer(func(p []byte) (int, error) { <-stuck; return len(p), nil })
	stop, done := make(chan struct{}), make(chan struct{})
	go func() { defer close(done); _ = c.paint.run(stop, c.model.layout) }()
	for i := range 3 * keepMessages {
		c.Show(Message{Text: []byte("message " + strconv.Itoa(i))})
		_, _ = c.Log().Write([]byte("log\n"))
	}
	if n := c.paint.counts().undrawn; n < 2*keepMessages-fullPicture {
		t.Errorf("%d are counted, want two thirds of %d", n, 3*keepMessages)
	}
	close(stuck)
	close(stop)
	<-done
}

type writer func(p []byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }
func (w writer) size() (columns, rows int)   { return 80, 24 }

func TestLinesAreWrittenInAnyPieces(t *testing.T) {
	var got []string
	l := lines{each: func(text []byte, more int) { got = append(got, fmt.Sprintf("%.10s %d %d", text, len(text), more)) }}
	long := strings.Repeat("x", longest-1) + "éyy"
	for _, p := range []string{"a", "b\n\nc", "\n" + long[:100], long[100:longest], long[longest:], "zz\nend\n"} {
		if n, err := l.Write([]byte(p)); n != len(p) || err != nil {
			t.Fatalf("Write returns %d, %v", n, err)
		}
	}
	want := []string{"ab 2 0", " 0 0", "c 1 0", "xxxxxxxxxx 4096 5", "end 3 0"}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("lines are %q, want %q", got, want)
	}
}

func TestTagged(t *testing.T) {
	for line, want := range map[string]Message{
		"ann\thi\tthere": {Name: "ann", Text: []byte("hi\tthere")},
		"17\thi":         {ID: 17, Text: []byte("hi")},
		"-\thi":          {Text: []byte("hi")},
		"hi":             {Text: []byte("hi")},
	} {
		if got := Tagged([]byte(line)); got.ID != want.ID || got.Name != want.Name || !bytes.Equal(got.Text, want.Text) {
			t.Errorf("Tagged(%q) is %v, want %v", line, got, want)
		}
	}
}

// What 1,000 messages a second cost: a message shown and drawn, 33 to a
// picture.
func BenchmarkMessage(b *testing.B) {
	for name, batch := range map[string]int{"1,000 a second": 33, "100 a second": 3} {
		b.Run(name, func(b *testing.B) {
			c := New(Options{})
			c.paint.out = writer(func(p []byte) (int, error) { return len(p), nil })
			layout := func(int, int) frame { return frame{before: "> half a line", below: strings.Repeat("x", 79)} }
			text := []byte("a message of some sixty bytes, such as people and programs send")
			for i := 0; b.Loop(); i++ {
				c.Show(Message{ID: 17, Name: "ann", Text: text})
				if i%batch == 0 {
					_ = c.paint.draw(layout)
				}
			}
		})
	}
}

// A room's messages say themselves who has said them: each guest has a colour.
func TestSpeakersInARoomHaveTheirColours(t *testing.T) {
	l := style{visible: visible.AppendLine, colour: true}
	shown := func(text string) string {
		return strings.TrimSuffix(string(l.append(nil, &entry{text: []byte(text)}, false, 80)), "\r\n")
	}
	colours := map[string]bool{}
	for _, name := range []string{"<ann>", "<bob>", "<carl>", "<dora>", "<emil>"} {
		got := shown(name + " hello")
		colour, rest, _ := strings.Cut(got, name)
		if rest != "\x1b[m hello" || !strings.HasPrefix(colour, "\x1b[") || shown(name+" bye") != colour+name+"\x1b[m bye" {
			t.Errorf("%s is shown as %q", name, got)
		}
		colours[colour] = true
	}
	if len(colours) < 2 {
		t.Errorf("all speakers are of one colour: %v", colours)
	}
	for _, text := range []string{"", "* ann is here", "<", "<> hello", "<a b> hello", " <ann> hello"} {
		if got := shown(text); got != text {
			t.Errorf("%q is shown as %q", text, got)
		}
	}
}

// What the console says itself breaks between words, and no row of it begins
// as a stranger likes.
func TestWhatTheConsoleSaysBreaksBetweenWords(t *testing.T) {
	l := style{visible: visible.AppendLine}
	for _, tt := range []struct {
		kind    kind
		text    string
		times   bool
		columns int
		hang    int
		want    string
	}{
		{logged, "client 7 closed: lapped", false, 17, 0, "client 7 closed:|  lapped"}, // 16 of 16 cells
		{logged, "client 7 closed: lapped", false, 16, 0, "client 7|  closed:|  lapped"},
		{failure, "there is no client 18", false, 20, 0, "! there is no|  client 18"},
		{answer, "/to ID text  say it to one", false, 20, 2, "* /to ID text  say|    it to one"},
		{answer, "/to ID text  say it", true, 25, 0, "00:00:00 * /to ID text|           say it"},
		{logged, "averylongwordindeed and more", false, 10, 0, "averylongwordindeed|  and|  more"},
		{logged, "a averylongwordindeed", false, 10, 0, "a|  averylongwordindeed"},
		{logged, "  a    b  ", false, 4, 0, "  a|  b"},
		{logged, "   ", false, 3, 0, ""},
		{logged, "no room", false, 2, 0, "no room"},
		{message, "a message is the terminal's", false, 10, 0, "a message is the terminal's"},
	} {
		got := string(l.append(nil, &entry{kind: tt.kind, text: []byte(tt.text), hang: tt.hang}, tt.times, tt.columns))
		if want := strings.ReplaceAll(tt.want, "|", "\r\n") + "\r\n"; got != want {
			t.Errorf("%q in %d columns is %q, want %q", tt.text, tt.columns, got, want)
		}
	}
}
