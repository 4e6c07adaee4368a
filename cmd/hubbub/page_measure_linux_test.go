package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// This file measures the page where it has most to do, with 100,000 messages:
//
//	HUBBUB_MEASURE=3 go test -count 1 -v -run MeasureThePage ./cmd/hubbub
//
// prints the figures of three fresh browsers. It asserts nothing.

// keepMeasured is how many messages the page keeps here: twice as many as usual.
const keepMeasured = 100_000

func TestMeasureThePage(t *testing.T) {
	t.Parallel()
	runs, err := strconv.Atoi(os.Getenv("HUBBUB_MEASURE"))
	if err != nil {
		t.Skip("measures the page if HUBBUB_MEASURE is set to a number of runs")
	}
	for run := range runs {
		t.Run(strconv.Itoa(run+1), func(t *testing.T) {
			p := startForBrowsers(t, "127.0.0.1:0", "--replay", "all", "--backlog", "1GiB")
			flag := fmt.Sprintf("hubbub-measure-%d-%d", os.Getpid(), run)
			m := measured{browse(t, chromedp.Flag(flag, true)).open("about:blank"), p}
			m.page.firstRuns(watchTasks)
			m.page.size(1280, 800)
			t.Logf("open with 10,000    %s", m.opens(keepingMore(t, p.address())))
			t.Logf("90,000 more         %s", m.fills())
			t.Logf("1,000/s, following  %s", m.follows())
			t.Logf("scrolling back      %s", m.scrollsBack())
			t.Logf("jump to the first   %s", m.untilDrawn(`document.querySelector("#log").scrollTop = 0;`, rowAtTop))
			t.Logf("filter              %s", m.untilDrawn(setFilter("7777"), `document.querySelector("mark")`))
			m.untilDrawn(setFilter(""), `!document.querySelector("mark")`)
			t.Logf("rows in the page    %d", eval[int](m.page, `document.querySelectorAll(".row").length`))
			heap := eval[int64](m.page, `performance.memory.usedJSHeapSize`)
			t.Logf("memory              %d MiB of JavaScript, %d MiB of the renderer", heap>>20, rendererMemory(t, flag)>>20)
			m.page.isQuiet()
		})
	}
}

// measured is a page and its server.
type measured struct {
	page *tab
	p    *program
}

// opens has 10,000 messages wait when the page opens.
func (m measured) opens(address string) string {
	m.p.says(string(numbered(10_000)))
	began := time.Now()
	m.page.do(chromedp.Navigate(address))
	return m.shows(10_000, began)
}

// fills sends 90,000 messages as fast as they go.
func (m measured) fills() string {
	began := time.Now()
	go m.p.stdin.Write(numbered(keepMeasured - 10_000))
	return m.shows(keepMeasured, began)
}

// shows waits until the last message is drawn.
func (m measured) shows(last int, began time.Time) string {
	m.page.when(fmt.Sprintf(`document.querySelector(".block:last-child .row:last-child")?.dataset.seq === "%d"`, last))
	took := time.Since(began).Round(time.Millisecond)
	return fmt.Sprintf("%s, longest task %.0f ms", took, eval[float64](m.page, `Math.max(0, ...tasks.splice(0))`))
}

// follows sends 1,000 messages per second for five seconds.
func (m measured) follows() string {
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		ticks := time.NewTicker(10 * time.Millisecond)
		defer ticks.Stop()
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			case <-ticks.C:
				_, _ = m.p.stdin.Write(bytes.Repeat(appendLine(nil, n), 10))
			}
		}
	}()
	drawn := m.draws(`() => {}`)
	close(stop)
	<-stopped
	return drawn
}

// scrollsBack goes up by almost a window every third frame.
func (m measured) scrollsBack() string {
	m.page.press(kb.Escape) // to the stream
	drawn := m.draws(`(() => {
		const log = document.querySelector("#log");
		let n = 0;
		window.blank = 0;
		return () => {
			if (n++ % 3 === 0) log.scrollTop -= 0.9 * log.clientHeight;
			if (!` + rowAtTop + `) blank++;
		};
	})()`)
	return fmt.Sprintf("%s, %d frames without rows", drawn, eval[int](m.page, `blank`))
}

const rowAtTop = `document.elementFromPoint(300, document.querySelector("#log").getBoundingClientRect().top + 60)?.closest(".row")`

func setFilter(text string) string {
	return `const field = document.querySelector("#filter"); field.value = ` + quote(text) + `; field.dispatchEvent(new Event("input"));`
}

// untilDrawn returns how long it takes from an act to the frame where a condition holds.
func (m measured) untilDrawn(act, condition string) time.Duration {
	ms := eval[float64](m.page, `new Promise((done) => {
		const begin = performance.now();
		`+act+`
		const look = () => `+condition+` ? done(performance.now() - begin) : requestAnimationFrame(look);
		requestAnimationFrame(look);
	})`)
	return (time.Duration(ms*1000) * time.Microsecond).Round(time.Millisecond)
}

// draws counts the frames of five seconds, and acts in each.
func (m measured) draws(act string) string {
	return eval[string](m.page, `new Promise((done) => {
		const act = `+act+`;
		const begin = performance.now();
		let n = 0, worst = 0, last = begin;
		tasks.length = 0;
		const look = () => {
			const now = performance.now();
			worst = Math.max(worst, now - last);
			last = now;
			n++;
			act();
			if (now - begin < 5000) return requestAnimationFrame(look);
			const seconds = (now - begin) / 1000;
			const long = tasks.splice(0).reduce((a, b) => a + b, 0) / seconds;
			done((n / seconds).toFixed(0) + " frames/s, worst gap " + worst.toFixed(0) + " ms, " + long.toFixed(0) + " ms of a second in long tasks");
		};
		requestAnimationFrame(look);
	})`)
}

// watchTasks notes tasks of more than 50 ms.
const watchTasks = `window.tasks = []; new PerformanceObserver((list) => tasks.push(...list.getEntries().map((e) => e.duration))).observe({ type: "longtask" });`

// keepingMore returns the address of the server's page with a store that keeps
// keepMeasured messages.
func keepingMore(t *testing.T, server string) string {
	t.Helper()
	to := &url.URL{Scheme: "http", Host: server}
	keep := regexp.MustCompile(`KEEP = [\d_]+;`)
	proxy := httputil.NewSingleHostReverseProxy(to) // keeps Host, so Origin is right
	proxy.ModifyResponse = func(r *http.Response) error {
		if r.Request.URL.Path != "/store.js" {
			return nil
		}
		body, err := io.ReadAll(r.Body)
		body = keep.ReplaceAll(body, fmt.Appendf(nil, "KEEP = %d;", keepMeasured))
		r.Body = io.NopCloser(bytes.NewReader(body))
		r.ContentLength = int64(len(body))
		r.Header.Set("Content-Length", strconv.Itoa(len(body)))
		return err
	}
	s := httptest.NewServer(proxy)
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return s.URL + "/"
}

// rendererMemory returns the resident memory of the largest renderer below the
// browser that was started with this flag.
func rendererMemory(t *testing.T, flag string) (most int64) {
	t.Helper()
	parent, arguments := map[string]string{}, map[string]string{}
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range all {
		stat, _ := os.ReadFile(dir + "/stat")
		line, _ := os.ReadFile(dir + "/cmdline")
		if _, rest, ok := strings.Cut(string(stat), ") "); ok {
			parent[filepath.Base(dir)] = strings.Fields(rest)[1]
			arguments[filepath.Base(dir)] = string(line)
		}
	}
	for pid := range parent {
		if !strings.Contains(arguments[pid], "--type=renderer") {
			continue
		}
		for above := pid; above != ""; above = parent[above] {
			if strings.Contains(arguments[above], flag) {
				statm, _ := os.ReadFile("/proc/" + pid + "/statm")
				if fields := strings.Fields(string(statm)); len(fields) > 1 {
					pages, _ := strconv.ParseInt(fields[1], 10, 64)
					most = max(most, pages*int64(os.Getpagesize()))
				}
				break
			}
		}
	}
	return most
}
