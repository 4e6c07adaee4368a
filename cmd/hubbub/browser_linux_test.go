package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	devtools "github.com/chromedp/cdproto/input"
	devpage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"hubbub.example/internal/scene"
)

// This file is a real browser for tests to drive: Debian's Chromium, without a
// window.
//
//	browse   starts it
//	tab      one of its tabs: what a person sees there, and can do
//	wire     what lies between it and a server, and can be cut

type browser struct {
	t   *testing.T
	ctx context.Context
}

// browse starts a browser that nobody has used yet.
func browse(t *testing.T, flags ...chromedp.ExecAllocatorOption) *browser {
	t.Helper()
	needs(t, "chromium")
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath("chromium"),
		chromedp.Flag("no-sandbox", true), // root has none
		chromedp.Flag("disable-gpu", true),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
	)
	allocator, release := chromedp.NewExecAllocator(context.Background(), append(options, flags...)...)
	// It logs what of the browser's it does not know yet.
	ctx, closeIt := chromedp.NewContext(allocator, chromedp.WithLogf(silence), chromedp.WithErrorf(silence))
	t.Cleanup(func() { closeIt(); release() })
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal("Chromium: ", err)
	}
	return &browser{t, ctx}
}

func silence(string, ...any) {}

// tab is one page in a browser. Its methods fail the test.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	console  []string // warnings and errors
	expected []string // what these may contain
}

// open goes to an address in a new tab.
func (b *browser) open(address string) *tab {
	b.t.Helper()
	ctx, closeIt := chromedp.NewContext(b.ctx)
	b.t.Cleanup(closeIt)
	p := &tab{t: b.t, ctx: ctx}
	messages := chromedp.Console(ctx)
	go func() {
		for m, err := range messages {
			if err != nil {
				return // the tab is closed
			}
			if m.Type == chromedp.ConsoleWarning || m.Type == chromedp.ConsoleError || m.IsException() {
				p.mu.Lock()
				p.console = append(p.console, m.String()+" "+m.URL)
				p.mu.Unlock()
			}
		}
	}()
	p.do(chromedp.Navigate(address))
	return p
}

// firstRuns has a script run in each page that the tab comes to, before any of
// the page's own.
func (p *tab) firstRuns(script string) {
	p.t.Helper()
	p.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, devpage.AddScriptToEvaluateOnNewDocument, devpage.AddScriptToEvaluateOnNewDocumentParams{Source: script})
		return err
	}))
}

// leaves answers yes whenever the page asks whether it may be left, and tells.
func (p *tab) leaves() <-chan struct{} {
	asked := make(chan struct{}, 100)
	dialogs := chromedp.Events(p.ctx, devpage.JavascriptDialogOpening)
	go func() {
		for _, err := range dialogs {
			if err != nil {
				return // the tab is closed
			}
			_, _ = chromedp.Call(p.ctx, devpage.HandleJavaScriptDialog, devpage.HandleJavaScriptDialogParams{Accept: true})
			asked <- struct{}{}
		}
	}()
	return asked
}

func (p *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, scene.LongEnough)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		p.t.Fatal("in the browser: ", err)
	}
}

// eval returns what a script in the page says, once its promise is kept.
func eval[T any](p *tab, script string) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, scene.LongEnough)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatalf("in the browser: %v; it shows:\n%s", err, p.shown())
	}
	return v
}

// when waits until a condition holds in the page.
func (p *tab) when(condition string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, scene.LongEnough)
	defer cancel()
	_, err := chromedp.Run(ctx, chromedp.Evaluate[bool](
		`new Promise((done, fail) => {
			const look = () => {
				try { `+condition+` ? done(true) : setTimeout(look, 5); } catch (e) { fail(e); }
			};
			look();
		})`, chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatalf("waiting for %s: %v; the page shows:\n%s", condition, err, p.shown())
	}
}

// shown returns what a failure tells of a page.
func (p *tab) shown() string {
	ctx, cancel := context.WithTimeout(p.ctx, scene.LongEnough)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](
		`JSON.stringify(window.hubbub && {...hubbub, state: hubbub.state, count: hubbub.count, lastSeq: hubbub.lastSeq, kept: hubbub.kept}) + "\n" + document.body.innerText`))
	if err != nil {
		return err.Error()
	}
	return scene.Brief(text)
}

// press types text, and the keys of chromedp/kb, wherever the focus is. As with
// a real keyboard there is no character from a key that the page has taken.
func (p *tab) press(keys string) {
	p.t.Helper()
	p.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		for _, r := range keys {
			var down *devtools.DispatchKeyEventParams
			for _, event := range kb.Encode(r) {
				switch event.Type {
				case kb.KeyDown:
					down = event
					continue
				case kb.KeyChar:
					down.Text, down.UnmodifiedText = event.Text, event.UnmodifiedText
					event = down
				case kb.KeyUp:
					if down.Text == "" {
						if _, err := cdp.Call(ctx, target, devtools.DispatchKeyEvent, *down); err != nil {
							return err
						}
					}
				}
				if _, err := cdp.Call(ctx, target, devtools.DispatchKeyEvent, *event); err != nil {
					return err
				}
			}
		}
		return nil
	}))
}

func (p *tab) click(selector string) {
	p.t.Helper()
	p.do(chromedp.Click(chromedp.CSS(selector)))
}

func (p *tab) text(selector string) string {
	p.t.Helper()
	return eval[string](p, `document.querySelector(`+quote(selector)+`).textContent`)
}

// quote is text as JavaScript writes it.
func quote(text string) string {
	b, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// isLive waits for the page's connection.
func (p *tab) isLive() {
	p.t.Helper()
	p.when(`hubbub.state === "live" && document.querySelector("#state").dataset.state === "live"`)
}

// expects names what the console may complain of.
func (p *tab) expects(complaints ...string) { p.expected = append(p.expected, complaints...) }

// isQuiet says that the browser had nothing to complain of: no error, no
// exception, nothing against the page's own security policy.
func (p *tab) isQuiet() {
	p.t.Helper()
	const last = "that was all"
	eval[bool](p, `console.error(`+quote(last)+`) ?? true`)
	var all []string
	scene.Until(p.t, "the console is there", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		all = p.console
		return len(all) > 0 && strings.Contains(all[len(all)-1], last)
	})
	for _, said := range all[:len(all)-1] {
		if !containsAny(said, p.expected) {
			p.t.Errorf("the browser complains: %s", said)
		}
	}
}

func containsAny(s string, parts []string) bool {
	for _, part := range parts {
		if strings.Contains(s, part) {
			return true
		}
	}
	return false
}

// row is one of the page's.
type row struct {
	Seq                     int
	Class, State, Who, Text string
}

// rows returns all that the page has, from the first to the last. It has elements
// only for what is in sight, so this scrolls through.
func (p *tab) rows() []row {
	p.t.Helper()
	return eval[[]row](p, `(async () => {
		const frame = () => new Promise(requestAnimationFrame);
		const log = document.querySelector("#log");
		const all = [];
		const seen = new Set();
		log.scrollTop = 0;
		for (let last = -1; ; ) {
			for (let i = 0; i < 3; i++) await frame();
			`+readRows+`
			if (log.scrollTop === last) return all;
			last = log.scrollTop;
			log.scrollTop += 0.9 * log.clientHeight;
		}
	})()`)
}

// rowsInSight returns those that have elements.
func (p *tab) rowsInSight() []row {
	p.t.Helper()
	return eval[[]row](p, `(() => { const all = [], seen = new Set(); `+readRows+` return all; })()`)
}

const readRows = `
	for (const r of document.querySelectorAll(".row")) {
		const text = (of) => r.querySelector(of)?.textContent ?? "";
		if (seen.has(r)) continue;
		seen.add(r);
		all.push({ seq: Number(r.dataset.seq ?? 0), class: r.className, state: r.dataset.state ?? "", who: text(".who"), text: text(".text") });
	}
`

// size makes the window so large.
func (p *tab) size(width, height int64) {
	p.t.Helper()
	p.do(chromedp.EmulateViewport(width, height))
}

// prefers is what the person who sits there likes: light or dark.
func (p *tab) prefers(scheme string) {
	p.t.Helper()
	p.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	}))
}

// picture saves what is seen in the folder that HUBBUB_SCREENSHOTS names, for
// somebody to look at.
func (p *tab) picture(name string) {
	p.t.Helper()
	folder := os.Getenv("HUBBUB_SCREENSHOTS")
	if folder == "" {
		return
	}
	eval[bool](p, `new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))`)
	png, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, name+".png"), png, 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// wire carries TCP connections to a server, until it is cut.
type wire struct {
	end

	mu   sync.Mutex
	to   string
	down bool
	ends map[net.Conn]*atomic.Bool // whether what comes from it is lost
}

// wireTo returns a wire to the server at that address.
func wireTo(t *testing.T, address string) *wire {
	t.Helper()
	w := &wire{to: address, ends: map[net.Conn]*atomic.Bool{}}
	t.Cleanup(w.cut)
	w.end = openEnd(t, w.carry)
	return w
}

// end is where a wire begins: a port of its own.
type end struct{ net.Listener }

// openEnd has each connection carried that comes, until the test is over.
func openEnd(t *testing.T, carry func(near net.Conn)) end {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // the test is over
			}
			go carry(c)
		}
	}()
	return end{l}
}

func (e end) address() string { return e.Addr().String() }

func (e end) url() string { return (&url.URL{Scheme: "http", Host: e.address(), Path: "/"}).String() }

func (w *wire) carry(near net.Conn) {
	defer near.Close()
	w.mu.Lock()
	to, down := w.to, w.down
	w.mu.Unlock()
	if down {
		return
	}
	far, err := scene.Connect(to, nil)
	if err != nil {
		return // as from a server that is not there
	}
	defer far.Close()
	lost, up := w.keep(near, far)
	if !up {
		return
	}
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
		both.Go(func() {
			_, _ = io.Copy(hushed{way[0], lost}, way[1])
			if !lost.Load() {
				_ = way[0].(*net.TCPConn).CloseWrite()
			}
		})
	}
	both.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.ends, near)
	delete(w.ends, far)
}

func (w *wire) keep(conns ...net.Conn) (lost *atomic.Bool, up bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	lost = &atomic.Bool{}
	for _, c := range conns {
		w.ends[c] = lost
	}
	return lost, !w.down
}

// hushed writes, until what is written is lost.
type hushed struct {
	net.Conn
	lost *atomic.Bool
}

func (h hushed) Write(p []byte) (int, error) {
	if h.lost.Load() {
		return len(p), nil
	}
	return h.Conn.Write(p)
}

// hush loses all that is sent from now on by the connections that there are,
// as when one side is no longer there to say that it is gone.
func (w *wire) hush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, lost := range w.ends {
		lost.Store(true)
	}
}

// cut resets all connections, and what is under way is lost; new ones end at
// once, until it is mended.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = true
	for c := range w.ends {
		_ = c.(*net.TCPConn).SetLinger(0)
		_ = c.Close()
	}
	clear(w.ends)
}

// mend lets connections through again, to the same server or another.
func (w *wire) mend(to string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.to, w.down = to, false
}

// startForBrowsers starts a server that waits long for a client's first word.
// The default will do, as far_browser_linux_test.go shows; but on a machine that
// runs other tests as well a browser's very first word may take its time.
func startForBrowsers(t *testing.T, args ...string) *program {
	t.Helper()
	return start(t, append([]string{"serve", "--sniff", "1m"}, args...)...)
}

// pageOf returns where a server's page is.
func pageOf(p *program, query string) string {
	p.t.Helper()
	return fmt.Sprintf("http://%s/%s", p.address(), query)
}
