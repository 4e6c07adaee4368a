package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"hubbub.example/internal/scene"
)

// This file is the page, as a person with a real browser has it.

// The page shows messages of the server, and the server prints what is typed
// there, with the sender. Markup in a message is text.
func TestThePageTalksBothWays(t *testing.T) {
	t.Parallel()
	p := startForBrowsers(t, "127.0.0.1:0", "--out", "json")
	page := browse(t).open(pageOf(p, "?name=ann"))
	page.isLive()
	p.says("good morning\n")
	page.when(`document.querySelector(".row[data-seq='1'] .text")?.textContent === "good morning"`)

	page.click("#line")
	page.press("and to you")
	page.click("#send")
	page.when(`document.querySelector(".row.mine[data-state=sent] .text")?.textContent === "and to you"`)
	if said := p.stdout.Until(t, `"text":"and to you"`); !strings.Contains(said, `"name":"ann"`) {
		t.Errorf("STDOUT says %s", said)
	}

	strange := []string{
		`<script>document.title = "taken over"</script><img src="x" onerror="document.title = 'taken over'">`,
		"a\x1b[31mred\x1b[0m\u202etxet", "", "  two  spaces ", "ümläut 漢字 🚀", strings.Repeat("x", 5000),
	}
	for _, line := range strange {
		p.says(line + "\n")
	}
	page.when(fmt.Sprint("hubbub.lastSeq === ", 1+len(strange)))
	page.press(strange[0] + kb.Enter) // the focus is there still
	if said := p.stdout.Until(t, "taken over"); !strings.Contains(said, quoteGo(strange[0])) {
		t.Errorf("STDOUT says %s", said)
	}
	want := []string{
		strange[0], `a\x1b[31mred\x1b[0m\u202etxet`, "", strange[3], strange[4], strange[5][:2000],
	}
	page.when(`document.querySelectorAll(".row.mine").length === 2`)
	var got []string
	for _, r := range page.rows() {
		if r.Seq > 1 {
			got = append(got, r.Text)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("the page shows %q, want %q", got, want)
	}
	if title := eval[string](page, `document.title`); !strings.HasPrefix(title, p.address()) {
		t.Errorf("the page's title is %q: a line was obeyed", title)
	}
	if n := eval[int](page, `document.querySelectorAll("#log script, #log img, #log a").length`); n > 0 {
		t.Errorf("%d of what lines said became elements", n)
	}
	page.isQuiet()
}

// quoteGo is text as --out json writes it.
func quoteGo(text string) string {
	var b strings.Builder
	b.WriteString(`"text":`)
	q := quote(text)
	b.WriteString(strings.NewReplacer(`\u003c`, "<", `\u003e`, ">").Replace(q))
	return b.String()
}

// However often the connection breaks, and whatever is in flight: after the
// reconnect no message is missing or doubled in the page, and lines typed
// meanwhile are printed once, in order.
func TestThePageLosesNothingWhenItsConnectionBreaks(t *testing.T) {
	t.Parallel()
	const cuts, each = 4, 60
	p := startForBrowsers(t, "127.0.0.1:0")
	w := wireTo(t, p.address())
	page := browse(t).open(w.url())
	page.expects("WebSocket connection to", "/icon.svg", "/favicon.ico") // which may be on its way when it is cut
	page.isLive()
	heard, said := 0, 0
	hear := func() {
		for range each {
			heard++
			p.says(fmt.Sprintf("heard %d\n", heard))
		}
	}
	say := func() {
		for range 3 {
			said++
			page.press(fmt.Sprintf("said %d", said) + kb.Enter)
		}
	}
	for range cuts {
		hear()
		say()
		w.cut() // in the middle of all that, perhaps
		page.when(`document.querySelector("#state").dataset.state === "waiting"`)
		hear()
		say()
		page.when(`/^[3-6] lines will be sent/.test(document.querySelector("#hint").textContent)`) // some of before, perhaps
		page.picture("waiting")
		w.mend(p.address())
		eval[bool](page, `document.querySelector("#now").click() ?? true`) // if it does not try just now by itself
		page.isLive()
		say()
		hear()
		page.when(fmt.Sprintf(`hubbub.lastSeq === %d && !document.querySelector(".row.mine[data-state=pending]")`, heard))
	}
	var want strings.Builder
	for n := range said {
		fmt.Fprintf(&want, "said %d\n", n+1)
	}
	p.stdout.Is(t, want.String())
	seq, mine := 0, 0
	for _, r := range page.rows() {
		switch {
		case r.Seq > 0:
			seq++
			if r.Seq != seq || r.Text != fmt.Sprintf("heard %d", seq) {
				t.Fatalf("message %d of the page is number %d, %q", seq, r.Seq, r.Text)
			}
		case strings.Contains(r.Class, "mine"):
			mine++
			if r.State != "sent" || r.Text != fmt.Sprintf("said %d", mine) {
				t.Fatalf("line %d of the page's own is %s, %q", mine, r.State, r.Text)
			}
		default:
			t.Errorf("the page notes %q", r.Text)
		}
	}
	if seq != heard || mine != said {
		t.Errorf("the page shows %d of %d messages, and %d of %d lines of its own", seq, heard, mine, said)
	}
	page.isQuiet()
}

// The page shows its own lines once, and does not count them as received: with
// --relay too, and when the connection breaks before `passed` arrives.
func TestThePageShowsWhatOneSaysOnce(t *testing.T) {
	t.Parallel()
	p := startForBrowsers(t, "127.0.0.1:0", "--relay")
	w := wireTo(t, p.address())
	page := browse(t).open(w.url() + "?name=ann")
	page.expects("WebSocket connection to", "/icon.svg", "/favicon.ico") // which may be on its way when it is cut
	page.isLive()
	page.press("first" + kb.Enter)
	p.says("one\n")
	p.stdout.Is(t, "first\n")
	page.when(`hubbub.count === 1 && document.querySelectorAll(".row.mine[data-state=sent]").length === 1`)
	eval[bool](page, deafTo("passed"))
	page.press("second" + kb.Enter)
	p.stdout.Is(t, "first\nsecond\n")
	w.cut()
	w.mend(p.address())
	page.isLive()
	page.when(`hubbub.lastSeq === 3`)
	page.press("third" + kb.Enter)
	p.stdout.Is(t, "first\nsecond\nthird\n")
	page.click("#name") // another name is another connection, too
	page.press("e")
	page.click("#line")
	page.when(`hubbub.lastSeq === 4`)
	bob := p.client()
	bob.Says("hello\n")
	p.says("last\n")
	page.when(`hubbub.count === 3 && document.querySelectorAll(".row.mine[data-state=sent]").length === 3`)
	page.picture("mine")
	var got []string
	for _, r := range page.rows() {
		got = append(got, strings.TrimSpace(r.Who+" "+r.Text))
	}
	slices.Sort(got)
	want := []string{"client", "last", "one", "you first", "you second", "you third"}
	if len(got) != len(want) || !strings.HasPrefix(got[0], "client ") || !slices.Equal(got[1:], want[1:]) {
		t.Errorf("the page shows %q", got)
	}
	page.isQuiet()
}

// deafTo has the page not hear what is of that type.
func deafTo(what string) string {
	return `(() => {
		const parse = JSON.parse;
		JSON.parse = (text) => {
			const message = parse(text);
			return message.type === "` + what + `" ? {} : message;
		};
		return true;
	})()`
}

// When the server is killed and restarted, the page reports a new server, shows
// its messages from the first, and sends it the lines typed meanwhile.
func TestThePageGoesOnWithAServerThatIsStartedAnew(t *testing.T) {
	t.Parallel()
	first := startForBrowsers(t, "127.0.0.1:0", "--replay", "all")
	w := wireTo(t, first.address())
	page := browse(t).open(w.url())
	page.expects("WebSocket connection to", "/icon.svg", "/favicon.ico") // which may be on its way when it is cut
	page.isLive()
	first.says("one\ntwo\n")
	page.press("before" + kb.Enter)
	first.stdout.Is(t, "before\n")
	page.when(`hubbub.lastSeq === 2 && document.querySelector(".row.mine[data-state=sent]")`)
	w.cut()
	first.kill()
	page.press("meanwhile" + kb.Enter)
	second := startForBrowsers(t, "127.0.0.1:0", "--replay", "all")
	second.says("another one\n")
	w.mend(second.address())
	page.isLive() // by itself
	second.stdout.Is(t, "meanwhile\n")
	page.when(`hubbub.lastSeq === 1 && !document.querySelector(".row.mine[data-state=pending]")`)
	var got []string
	for _, r := range page.rows() {
		got = append(got, r.Text)
	}
	slices.Sort(got)
	want := []string{"another one", "before", "meanwhile", "one", "the server was restarted: its numbers begin again", "two"}
	if !slices.Equal(got, want) {
		t.Errorf("the page shows %q, want %q", got, want)
	}
	page.isQuiet()
}

// If a restarted server no longer accepts a waiting line, because it is too long
// now or no record, the page sends all others, and says which line it did not
// send, and why.
func TestThePageGoesOnWithoutALineThatTheServerNoLongerTakes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		before, after []string
		lines         []string // typed before and after the restart is noticed
		arrive        string
		refused, why  string
	}{
		"a smaller limit": {
			after: []string{"--max-line", "10"},
			lines: []string{"much too long now", "short", "after"}, arrive: "short\nafter\n",
			refused: "much too long now", why: "not sent: the line has 17 bytes; this server takes up to 10",
		},
		"records": {
			after: []string{"--frame", "5", "--out", "tagged"},
			lines: []string{"no", "short", "after"}, arrive: "shortafter",
			refused: "no", why: "not sent: the server closed the connection: ",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first := startForBrowsers(t, append([]string{"127.0.0.1:0"}, test.before...)...)
			w := wireTo(t, first.address())
			page := browse(t).open(w.url())
			page.expects("WebSocket connection to", "/icon.svg", "/favicon.ico")
			page.isLive()
			w.hush() // what is sent is numbered, and does not arrive
			for _, line := range test.lines[:2] {
				page.press(line + kb.Enter)
			}
			page.when(`document.querySelectorAll(".row.mine[data-state=pending]").length === 2`)
			w.cut()
			first.kill()
			second := startForBrowsers(t, append([]string{"127.0.0.1:0"}, test.after...)...)
			w.mend(second.address())
			page.when(`document.querySelectorAll(".row.mine[data-state=sent]").length === 1`)
			page.press(test.lines[2] + kb.Enter)
			page.when(`document.querySelectorAll(".row.mine[data-state=sent]").length === 2`)
			page.picture("refused-" + strings.ReplaceAll(name, " ", "-"))
			for _, r := range page.rows() {
				if strings.Contains(r.Class, "mine") && (r.State == "refused") != (r.Text == test.refused) {
					t.Errorf("%q is %s", r.Text, r.State)
				}
			}
			if text := page.text("#rows"); !strings.Contains(text, test.why) {
				t.Errorf("it shows %q, want %q in it", text, test.why)
			}
			if said := second.stdout.Until(t, test.lines[2]); !strings.Contains(strings.ReplaceAll(said, "\t", ""), test.lines[1]) {
				t.Errorf("STDOUT says %q", said)
			}
			page.isQuiet()
		})
	}
}

// After ten thousand messages at once the page has all of them. It shows the last,
// has elements only for visible ones, and scrolls back.
func TestThePageTakesABurst(t *testing.T) {
	t.Parallel()
	const burst = 10_000
	p := startForBrowsers(t, "127.0.0.1:0", "--replay", "all")
	page := browse(t).open(pageOf(p, ""))
	page.isLive()
	go p.stdin.Write(numbered(burst))
	page.when(`document.querySelector("#count").textContent === "10,000"`)
	page.when(`document.querySelector(".block:last-child .row:last-child")?.dataset.seq === "10000"`)
	if n := eval[int](page, `document.querySelectorAll(".row").length`); n > 500 {
		t.Errorf("%d rows have elements", n)
	}
	if n := eval[int](page, `hubbub.kept`); n != burst {
		t.Errorf("%d messages are kept", n)
	}
	page.press(kb.Escape + kb.Home) // to the stream, and to its beginning
	page.when(`document.querySelector(".row").dataset.seq === "1"`)
	page.picture("burst")
	for i, r := range page.rowsInSight() {
		if r.Seq != i+1 || r.Text+"\n" != string(appendLine(nil, i)) {
			t.Fatalf("row %d is number %d, %q", i+1, r.Seq, r.Text)
		}
	}
	page.isQuiet()
}

// "To the newest" works, and the page stays there, even if it is pressed during a
// smooth scroll, which nothing stops.
func TestThePageGoesToTheNewestAtOnce(t *testing.T) {
	t.Parallel()
	p := startForBrowsers(t, "127.0.0.1:0", "--replay", "all")
	page := browse(t).open(pageOf(p, ""))
	page.isLive()
	p.says(string(numbered(500)))
	page.when(`hubbub.count === 500`)
	page.press(kb.Escape)
	for range 3 {
		page.when(`document.querySelector("#follow").hidden`)
		eval[bool](page, pressesFollowOnTheWay)
		page.press(kb.PageUp + kb.PageUp + kb.PageUp)
		page.when(`stillFrames > 30`)
		if !eval[bool](page, `document.querySelector("#follow").hidden && atEnd()`) {
			t.Fatal("it is not at the newest")
		}
	}
	page.isQuiet()
}

// pressesFollowOnTheWay presses the button as soon as it is there, and then counts
// the frames without scrolling.
const pressesFollowOnTheWay = `(() => {
	const log = document.querySelector("#log"), follow = document.querySelector("#follow");
	let pressed = false, last = -1;
	window.atEnd = () => log.scrollHeight - log.clientHeight - log.scrollTop < 1.5;
	window.stillFrames = 0;
	const look = () => {
		if (pressed) stillFrames = log.scrollTop === last ? stillFrames + 1 : 0;
		else if (!follow.hidden) pressed = follow.click() ?? true;
		last = log.scrollTop;
		requestAnimationFrame(look);
	};
	return look() ?? true;
})()`

// The page opens with the focus in its input, and Escape gives the keys to the
// page. An on-screen keyboard stays away until it is asked for.
func TestThePageIsReadyToWriteIn(t *testing.T) {
	t.Parallel()
	p := startForBrowsers(t, "127.0.0.1:0")
	browser := browse(t)
	page := browser.open(pageOf(p, ""))
	page.isLive()
	page.press("?" + kb.Enter)
	p.stdout.Is(t, "?\n")
	page.press(kb.Escape + "?")
	page.when(`document.querySelector("#help").open`)

	phone := browser.open("about:blank")
	phone.do(chromedp.EmulateViewport(360, 740, chromedp.EmulateMobile, chromedp.EmulateTouch))
	phone.do(chromedp.Navigate(pageOf(p, "")))
	phone.isLive()
	phone.when(`matchMedia("(pointer: coarse)").matches`)
	if focus := eval[string](phone, `document.activeElement.tagName`); focus != "BODY" {
		t.Errorf("on a phone the focus is on a %s", focus)
	}
	phone.click("#line")
	phone.press("!" + kb.Enter)
	p.stdout.Is(t, "?\n!\n")

	// Held sideways, with a keyboard open, it has room for these two alone.
	phone.do(chromedp.EmulateViewport(740, 180, chromedp.EmulateMobile, chromedp.EmulateTouch))
	phone.when(`innerHeight === 180 && document.querySelector("#log").clientHeight > 80`)
	phone.when(`document.querySelector("#line").getBoundingClientRect().bottom <= 180`)
	phone.picture("sideways")
	page.isQuiet()
	phone.isQuiet()
}

// Right-to-left text, and characters that change the direction, affect only their
// own part: in every row time, sender, size and text keep their order, and
// controls read from left to right.
func TestThePageKeepsTextWhereItBelongs(t *testing.T) {
	t.Parallel()
	p := startForBrowsers(t, "127.0.0.1:0", "--replay", "all")
	const hebrew = "שלום"
	texts := []string{
		hebrew, hebrew + " 12", "12 " + hebrew, "\u202e" + hebrew, hebrew + " \u202e\x1b[31m " + hebrew, "\u2067abc", "\u2066" + hebrew + "\u200f",
		"abc \u202e\u2067\u202edef", hebrew + "\xff",
	}
	page := browse(t).open("about:blank")
	page.firstRuns(named)
	page.do(chromedp.Navigate(pageOf(p, "")))
	page.isLive()
	for _, text := range texts {
		p.says(text + "\n")
	}
	page.press(hebrew + kb.Enter)
	page.when(fmt.Sprintf(`document.querySelectorAll(".row .who").length === %d && document.querySelector(".row.mine[data-state=sent]")`, len(texts)+1))
	page.picture("bidi")
	if wrong := eval[[]string](page, turnedAround); len(wrong) > 0 {
		t.Errorf("turned around: %q", wrong)
	}
	page.isQuiet()
}

// named gives each message a sender whose name runs from right to left, as
// hubs that relay will.
const named = `window.WebSocket = class extends WebSocket {
	set onmessage(hear) {
		super.onmessage = ({ data }) => {
			const message = JSON.parse(data);
			if (message.type === "message") Object.assign(message, { id: 4711, name: "מנחם (1)" });
			hear({ data: JSON.stringify(message) });
		};
	}
}`

// turnedAround is the text of rows whose parts stand in another order, and of
// the controls whose characters do.
const turnedAround = `(() => {
	const leftOf = (a, b) => a.getBoundingClientRect().right <= b.getBoundingClientRect().left + 1;
	const inOrder = (parts) => parts.slice(1).every((part, i) => leftOf(parts[i], part));
	const characters = (e) => Array.from(e.textContent, (_, i) => {
		const range = document.createRange();
		range.setStart(e.firstChild, i);
		range.setEnd(e.firstChild, i + 1);
		return range;
	});
	const rows = [...document.querySelectorAll(".row")].filter((row) => !inOrder([...row.querySelectorAll("time, .who, .bytes, .text, .fate")]));
	const controls = [...document.querySelectorAll(".control")].filter((control) => !inOrder(characters(control)));
	return [...rows, ...controls].map((e) => e.textContent);
})()`

// An empty page says why it is empty: while it is paused too, and beside a notice.
func TestThePageSaysWhyItIsEmpty(t *testing.T) {
	t.Parallel()
	p := startForBrowsers(t, "127.0.0.1:0", "--max-line", "10")
	browser := browse(t)
	page := browser.open(pageOf(p, ""))
	page.isLive()
	says := func(why string) {
		t.Helper()
		page.when(`document.querySelector("#empty").textContent === ` + quote(why))
		page.picture("empty-" + strings.ReplaceAll(why, " ", "-"))
	}
	says("No messages yet.")
	page.press(kb.Escape + "p")
	says("Paused before the first message.")
	p.says("apple\npear\n")
	page.when(`document.querySelector("#follow").textContent === "2 new below"`)
	says("Paused before the first message.")
	page.press(kb.End)
	says("")
	page.press("/plum")
	says("None of 2 matches the filter.")
	page.press(kb.Escape + kb.Escape + "p")
	says("Paused: no earlier message matches the filter.")
	p.says("plum\n")
	page.when(`document.querySelector("#follow").textContent === "1 new below"`)
	says("Paused: no earlier message matches the filter.")
	page.press("p")
	says("")

	page.press(kb.Escape + "much too long" + kb.Enter)
	page.when(`document.querySelector(".row.notice") && document.querySelector("#matches").textContent === "1 of 4"`)
	page.press(kb.Escape + "/" + "berry")
	page.when(`document.querySelector(".row.notice")`)
	says("None of 4 matches the filter.")

	late := browser.open(pageOf(p, "?last=0"))
	late.isLive()
	late.when(`document.querySelector("#empty").textContent === "No messages since this page was opened."`)
	page.isQuiet()
}

// A page whose client is kicked says why and does not reconnect by itself. A
// person may.
func TestThePageThatIsKickedStaysAway(t *testing.T) {
	t.Parallel()
	p := startForBrowsers(t, "127.0.0.1:0", "--in", "json", "--out", "json")
	page := browse(t).open(pageOf(p, ""))
	page.isLive()
	p.says(`{"kick":1,"reason":"enough"}` + "\n")
	page.when(`hubbub.state === "ended" && document.querySelector(".row.notice")`)
	if text := page.text(".row.notice"); text != "the server closed the connection: kicked: enough" {
		t.Errorf("it says %q", text)
	}
	page.picture("kicked")
	page.click("#now")
	page.isLive()
	page.isQuiet()
}

// If a module cannot be loaded or parsed, the page says what it needs. Only
// main.js removes these words.
func TestThePageThatCannotStartSaysWhy(t *testing.T) {
	t.Parallel()
	p := startForBrowsers(t, "127.0.0.1:0")
	browser := browse(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: p.address()})
	broken := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/link.js" {
			http.NotFound(w, r)
			return
		}
		proxy.ServeHTTP(w, r)
	})}
	go func() { _ = broken.Serve(l) }()
	t.Cleanup(func() { _ = broken.Close() })
	stuck := browser.open("http://" + l.Addr().String() + "/")
	stuck.when(`document.querySelector("#unstarted").checkVisibility({ visibilityProperty: true })`)
	stuck.picture("without-a-module")

	page := browser.open(pageOf(p, ""))
	page.isLive()
	if eval[bool](page, `document.querySelector("#unstarted") !== null`) {
		t.Error("a page that works says that it does not")
	}
}

// A reload, or leaving the page and coming back, loses no unacknowledged line, and
// doubles none, even if the hub already had it.
func TestThePageKeepsItsLinesThroughAReload(t *testing.T) {
	t.Parallel()
	p := startForBrowsers(t, "127.0.0.1:0")
	page := browse(t).open(pageOf(p, ""))
	page.expects("Page entered Back-Forward Cache")
	asked := page.leaves()
	var want strings.Builder
	say := func(line string) {
		page.press(line + kb.Enter)
		want.WriteString(line + "\n")
	}
	page.isLive()
	say("one")
	page.when(`document.querySelector(".row.mine[data-state=sent]")`)
	for _, leave := range []chromedp.Action[chromedp.Void]{chromedp.Reload(), chromedp.Navigate(pageOf(p, "healthz"))} {
		eval[bool](page, deafTo("ack"))
		say("taken")
		p.stdout.Is(t, want.String())
		eval[bool](page, `(WebSocket.prototype.send = () => {}, true)`)
		say("on its way")
		page.when(`document.querySelectorAll(".row.mine[data-state=pending]").length === 2`)
		page.do(leave)
		select {
		case <-asked:
		case <-time.After(scene.LongEnough):
			t.Fatal("it does not warn that there are lines to lose")
		}
		if eval[bool](page, `!window.hubbub`) {
			page.do(chromedp.NavigateBack())
		}
		page.isLive()
		say("after")
		p.stdout.Is(t, want.String())
		page.when(`document.querySelectorAll(".row.mine[data-state=sent]").length === 3`)
	}

	page.do(chromedp.Reload())
	page.isLive()
	if n := eval[int](page, `hubbub.kept + sessionStorage.length`); n > 0 {
		t.Errorf("%d lines that have arrived are kept", n)
	}
	page.isQuiet()
}

// A new name counts from the next line on, and the change loses neither a message
// nor a line.
func TestThePageChangesItsName(t *testing.T) {
	t.Parallel()
	p := startForBrowsers(t, "127.0.0.1:0", "--out", "json")
	page := browse(t).open(pageOf(p, "?name=ann"))
	page.isLive()
	names := []string{"ann", "bea", "cyd"}
	for i, name := range names {
		if i > 0 {
			page.click("#name")
			page.press(kb.Backspace + kb.Backspace + kb.Backspace + name)
			p.says(fmt.Sprintf("before %s\n", name))
			page.click("#line") // or Enter, or Tab
			p.says(fmt.Sprintf("after %s\n", name))
		}
		page.press("I am " + name + kb.Enter)
		said := p.stdout.Until(t, "I am "+name)
		if line := said[strings.LastIndex(said, "{"):]; !strings.Contains(line, fmt.Sprintf(`"name":%q`, name)) {
			t.Errorf("STDOUT says %s", line)
		}
	}
	page.when(`hubbub.lastSeq === 4 && document.querySelectorAll(".row.mine[data-state=sent]").length === 3`)
	if n := eval[int](page, `hubbub.count`); n != 4 {
		t.Errorf("it heard %d messages", n)
	}
	for _, r := range page.rows() {
		if strings.Contains(r.Class, "notice") {
			t.Errorf("the page notes %q", r.Text)
		}
	}
	if said := p.stdout.Text(); strings.Count(said, "I am ") != 3 {
		t.Errorf("STDOUT says %s", said)
	}
	page.isQuiet()
}

// After a sleep the machine has lost its connections, and only the wall clock has
// gone on. The page reconnects at once, gets what it missed, and loses no line
// typed then.
func TestThePageComesBackAfterASleep(t *testing.T) {
	t.Parallel()
	p := startForBrowsers(t, "127.0.0.1:0")
	w := wireTo(t, p.address())
	page := browse(t).open(w.url())
	page.isLive()
	p.says("before\n")
	page.when(`hubbub.lastSeq === 1`)
	w.hush()
	begin := time.Now()
	p.says("meanwhile\n")
	eval[bool](page, `(() => {
		const now = Date.now;
		Date.now = () => now() + 60_000;
		return true;
	})()`)
	page.when(`hubbub.lastSeq === 2`)
	if took := time.Since(begin); took > 40*time.Second {
		t.Errorf("it took %v, as without a sleep", took) // two heartbeats: 50 s
	}
	page.press("awake" + kb.Enter)
	p.stdout.Is(t, "awake\n")
	page.isQuiet()
}

// fasterClock is twenty times as fast. No more than a minute of it may pass
// without a message: then the page gives its connection up.
const fasterClock = `(() => {
	const now = performance.now.bind(performance);
	const timer = setTimeout;
	performance.now = () => 20 * now();
	window.setTimeout = (act, ms) => timer(act, ms / 20);
})();`

// A screen reader reads a few messages, and soon the page's own notices. Of a long
// stream it reads the number, more and more rarely. The page's clock runs at
// twenty times its speed here.
func TestThePageDoesNotFloodAScreenReader(t *testing.T) {
	t.Parallel()
	p := startForBrowsers(t, "127.0.0.1:0")
	page := browse(t).open("about:blank")
	page.firstRuns(fasterClock + `
		window.said = [];
		document.addEventListener("DOMContentLoaded", () => {
			const region = document.querySelector("#said");
			new MutationObserver(() => said.push({ text: region.textContent, at: performance.now() })).observe(region, { childList: true });
		});
	`)
	page.do(chromedp.Navigate(pageOf(p, "")))
	page.isLive()
	page.when(`said.some(({ text }) => text.includes("live"))`)
	p.says("one\n")
	page.when(`said.some(({ text }) => text.includes("one"))`)

	eval[bool](page, `said.length = 0, window.begin = performance.now(), true`)
	const messages = 600 // each 5 ms, which are 100 of the page's: a minute
	for range messages {
		<-time.After(5 * time.Millisecond) // a source that is steady, not a wait
		p.says("again\n")
	}
	page.when(fmt.Sprint("hubbub.count === ", 1+messages))
	page.when(`said.length > 1`)
	type speech struct {
		Text string
		At   float64 // ms
	}
	said := eval[[]speech](page, `said.map(({ text, at }) => ({ text, at: at - begin }))`)
	if most := 12 + int(said[len(said)-1].At/30_000); len(said) > most {
		t.Errorf("it says %v: more than %d things", said, most)
	}
	page.press(kb.Escape + "/again")
	page.when(`said.some(({ text }) => text.includes("600 matches"))`)
	page.isQuiet()
}

// Everything can be done with keys: filter, pause, to the newest, earlier lines,
// help.
func TestThePageNeedsNoMouse(t *testing.T) {
	t.Parallel()
	p := startForBrowsers(t, "127.0.0.1:0", "--replay", "all")
	for n := range 200 {
		p.says(fmt.Sprintf("line %d is %s\n", n+1, []string{"even", "odd"}[(n+1)%2]))
	}
	page := browse(t).open(pageOf(p, "?last=150"))
	page.isLive()
	page.when(`hubbub.count === 150 && hubbub.lastSeq === 200`)
	if first := page.rows()[0]; first.Seq != 51 {
		t.Errorf("with last=150 the first is %d", first.Seq)
	}
	page.press("hello" + kb.Enter)
	p.stdout.Is(t, "hello\n")
	page.press(kb.ArrowUp + " again" + kb.Enter)
	p.stdout.Is(t, "hello\nhello again\n")
	page.when(`document.querySelectorAll(".row.mine[data-state=sent]").length === 2`)

	page.press(kb.Escape + "/" + "ODD")
	page.when(`document.querySelector("#matches").textContent === "75 of 152"`)
	for _, r := range page.rows() {
		if !strings.Contains(r.Text, "odd") {
			t.Errorf("filtered for ODD it shows %q", r.Text)
		}
	}
	page.press(kb.Escape + kb.Escape + "/" + "/ (9.|100) is/")
	page.when(`document.querySelector("#matches").textContent === "11 of 152"`)
	page.picture("filtered")
	page.press(kb.Escape + kb.Escape + "/" + kb.Backspace)
	page.when(`document.querySelector("#matches").textContent === ""`)

	page.press(kb.Escape + kb.Escape + "p") // from the filter to the line, to the stream
	page.when(`document.querySelector("#pause").getAttribute("aria-pressed") === "true"`)
	p.says("while it was paused\n")
	page.when(`hubbub.count === 151 && document.querySelector("#follow").textContent === "1 new below"`)
	page.picture("paused")
	if strings.Contains(page.text("#rows"), "while it was paused") {
		t.Error("paused, it shows what is new")
	}
	page.press(kb.End)
	page.when(`document.querySelector("#rows").textContent.includes("while it was paused")`)
	page.when(`document.querySelector("#pause").getAttribute("aria-pressed") === "false" && document.querySelector("#follow").hidden`)

	page.press("?")
	page.when(`document.querySelector("#help").open`)
	page.picture("help")
	page.press(kb.Escape)
	page.when(`!document.querySelector("#help").open`)
	page.when(`document.activeElement.id === "log"`)
	reached := map[string]bool{}
	for range 12 {
		page.press(kb.Tab)
		reached[eval[string](page, `document.activeElement.id`)] = true
		if ring := eval[bool](page, `document.activeElement === document.body || getComputedStyle(document.activeElement).outlineStyle !== "none"`); !ring {
			t.Errorf("nothing shows that the focus is on #%s", eval[string](page, `document.activeElement.id`))
		}
	}
	for _, id := range []string{"filter", "pause", "theme", "keys", "log", "name", "line", "send"} {
		if !reached[id] {
			t.Errorf("Tab does not lead to #%s", id)
		}
	}

	// What is pressed may go away; the focus then stays with the stream.
	page.press(kb.Escape)
	page.when(`document.activeElement.id === "line"`)
	page.press(kb.Escape + kb.Home)
	page.when(`document.querySelector("#log").scrollTop === 0`)
	for _, button := range []string{"#follow", ".more"} {
		page.when(`document.querySelector("` + button + `")?.checkVisibility()`)
		eval[bool](page, `document.querySelector("`+button+`").focus() ?? true`)
		page.press(kb.Enter)
		page.when(`!document.querySelector("` + button + `")?.checkVisibility()`)
		page.when(`document.activeElement.id === "log"`)
		p.says(strings.Repeat("long ", 500) + "\n")
	}
	page.isQuiet()
}

// On the narrowest screen, with the longest words, nothing lies beyond the edge;
// nor on a wide one.
func TestThePageFitsAnyWidth(t *testing.T) {
	t.Parallel()
	p := startForBrowsers(t, "127.0.0.1:0", "--replay", "all", "--max-line", "2MB")
	lines := scenery()
	p.says(strings.Join(lines, "\n") + "\n")
	w := wireTo(t, p.address())
	page := browse(t).open(w.url() + "?name=" + strings.Repeat("W", 64))
	page.expects("WebSocket connection to")
	page.isLive()
	page.when(fmt.Sprint("hubbub.count === ", len(lines)))
	page.press("this is mine" + kb.Enter)
	page.when(`document.querySelector(".row.mine[data-state=sent]")`)
	for _, size := range [][2]int64{{1280, 800}, {768, 1024}, {360, 740}, {320, 568}} {
		page.size(size[0], size[1])
		for _, scheme := range []string{"light", "dark"} {
			page.prefers(scheme)
			page.when(fmt.Sprintf(`innerWidth === %d && matchMedia("(prefers-color-scheme: %s)").matches`, size[0], scheme))
			page.when(`document.querySelector(".row.mine")`) // it follows still
			if over := eval[[]string](page, beyond); len(over) > 0 {
				t.Errorf("%d px wide, beyond the edge are %q", size[0], over)
			}
			page.picture(fmt.Sprintf("%dx%d-%s", size[0], size[1], scheme))
		}
	}
	page.press(kb.Escape + kb.Home) // to the stream, and to its beginning
	page.when(`document.querySelector("#log").scrollTop === 0`)
	page.picture("scenery-narrow")
	page.size(1280, 800)
	page.when(`innerWidth === 1280`)
	page.picture("scenery-wide")

	w.cut()
	for _, filter := range []string{"", "sensor"} {
		eval[bool](page, fmt.Sprintf(`(() => {
			const filter = document.querySelector("#filter");
			filter.value = %s;
			return filter.dispatchEvent(new Event("input"));
		})()`, quote(filter)))
		for width := int64(320); width <= 1400; width += 20 {
			page.size(width, 800)
			if wrong := eval[[]string](page, fmt.Sprintf(squeezed, width)); len(wrong) > 0 {
				t.Errorf("%d px wide, reconnecting, filtered for %q: %q", width, filter, wrong)
			}
			if width == 320 || width == 400 || width == 680 || width == 1040 {
				page.picture(fmt.Sprintf("reconnecting-%d-%s", width, filter))
			}
		}
	}
	page.isQuiet()
}

// squeezed is what is wrong with the header when it has most to say.
const squeezed = `new Promise((done) => {
	const $ = (id) => document.getElementById(id);
	const look = () => {
		if (innerWidth !== %d || $("now").hidden) return setTimeout(look, 5);
		$("state").textContent = "reconnecting in 30 s";
		$("count").textContent = "12,345,678";
		$("rate").textContent = "12,345";
		if ($("filter").value) $("matches").textContent = "49,999 of 50,000";
		const shown = ["state", "now", "count", "rate", "filter", "matches", "pause", "theme", "keys"].filter((id) => $(id).checkVisibility() && $(id).textContent !== "" || id === "filter");
		const box = (id) => $(id).getBoundingClientRect();
		const meet = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
		const pairs = shown.flatMap((a, i) => shown.slice(i + 1).map((b) => [a, b]));
		const wrong = pairs.filter(([a, b]) => a + b !== "filtermatches" && meet(box(a), box(b))).map((pair) => pair.join(" meets "));
		const { paddingLeft, paddingRight } = getComputedStyle($("filter"));
		const room = $("filter").clientWidth - parseFloat(paddingLeft) - parseFloat(paddingRight);
		if (box("filter").width < 120 || room < 60) wrong.push("a filter of " + box("filter").width + " px, " + room + " of them to write in");
		done([...wrong, ...` + beyond + `]);
	};
	look();
})`

// beyond is what can be scrolled sideways, or ends right of the window.
const beyond = `(() => {
	const all = [...document.querySelectorAll("body, body *")].filter((e) => e.checkVisibility());
	const name = (e) => e.tagName.toLowerCase() + (e.id && "#" + e.id) + (e.className && "." + e.className);
	const scrolls = (e) => e.scrollWidth > e.clientWidth + 1 && ["auto", "scroll"].includes(getComputedStyle(e).overflowX);
	const over = all.filter((e) => e.getBoundingClientRect().right > innerWidth + 1 || scrolls(e)).map(name);
	return document.documentElement.scrollWidth > innerWidth ? ["the page", ...over] : over;
})()`

// scenery is lines of every kind.
func scenery() []string {
	lines := []string{
		"a word too long: " + strings.Repeat("x", 300),
		"an address: https://example.com/" + strings.Repeat("path/", 60),
		`<script>alert("as text")</script> & <b>bold</b>`,
		"漢字は改行できる。" + strings.Repeat("漢字", 60),
		"שלום עולם and مرحبا together",
		"bytes: \xff\xfe\x00\x01",
		"controls: \x1b[31mred\x1b[0m \u202e reversed",
		"a very long one: " + strings.Repeat("lorem ipsum dolor sit amet ", 200),
		"",
	}
	for n := range 12 {
		lines = append(lines, fmt.Sprintf("%02d sensor=%d temperature=21.%d humidity=0.%d state=ok", n, n%3, n, 40+n))
	}
	return lines
}
