package codec

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// A connection is unclear for as long as it can become one of several.
func TestDetectAtTheBoundaries(t *testing.T) {
	for _, c := range []struct {
		bytes string
		want  Opening
	}{
		{"", Unclear},
		{"G", Unclear},
		{"GET", Unclear},
		{"GET ", OpensHTTP},
		{"GET / HTTP/1.1\r\n", OpensHTTP},
		{"HEAD ", OpensHTTP},
		{"POST ", OpensHTTP},
		{"PUT ", OpensHTTP},
		{"DELETE ", OpensHTTP},
		{"CONNECT ", OpensHTTP},
		{"OPTIONS ", OpensHTTP},
		{"TRACE ", OpensHTTP},
		{"PATCH ", OpensHTTP},
		{"get ", OpensRaw},
		{"GETS", OpensRaw},
		{"GET\t", OpensRaw},
		{"GET\n", OpensRaw},
		{" GET ", OpensRaw},
		{"\r\nGET ", OpensRaw},
		{"GO", OpensRaw},
		{"\n", OpensRaw},
		{"hello\n", OpensRaw},
		{"\x00", OpensRaw},
		{"P", Unclear},
		{"PR", Unclear},
		{"PRI * HTTP/2.", Unclear},
		{"PRI * HTTP/2.0", OpensHTTP2},
		{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", OpensHTTP2},
		{"PRI * HTTP/2.1", OpensRaw},
		{"PRI ", Unclear},
		{"PRIX", OpensRaw},
		{"\x16", Unclear},
		{"\x16\x03", Unclear},
		{"\x16\x03\x00", OpensTLS},
		{"\x16\x03\x01", OpensTLS},
		{"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", OpensTLS},
		{"\x16\x03\x04", OpensTLS},
		{"\x16\x03\x05", OpensRaw},
		{"\x16\x02", OpensRaw},
		{"\x16\x04\x01", OpensRaw},
		{"\x17\x03\x01", OpensRaw},
		{"\x15\x03\x01", OpensRaw},
	} {
		if got := Detect([]byte(c.bytes)); got != c.want {
			t.Errorf("%q: %d, want %d", c.bytes, got, c.want)
		}
	}
}

// Each beginning of an opening is unclear.
func TestDetectWaitsForEachOpening(t *testing.T) {
	for opening, want := range map[string]Opening{
		"GET ": OpensHTTP, "HEAD ": OpensHTTP, "POST ": OpensHTTP, "PUT ": OpensHTTP, "DELETE ": OpensHTTP,
		"CONNECT ": OpensHTTP, "OPTIONS ": OpensHTTP, "TRACE ": OpensHTTP, "PATCH ": OpensHTTP,
		"PRI * HTTP/2.0": OpensHTTP2, "\x16\x03\x03": OpensTLS,
	} {
		for i := range opening {
			if got := Detect([]byte(opening[:i])); got != Unclear {
				t.Errorf("%q is %d", opening[:i], got)
			}
		}
		if got := Detect([]byte(opening)); got != want {
			t.Errorf("%q is %d, want %d", opening, got, want)
		}
	}
}

// A raw client's first line is judged when it is whole, or too long for one.
func TestRequestLine(t *testing.T) {
	long := strings.Repeat("a", 16<<10)
	for _, c := range []struct {
		bytes string
		want  Answer
	}{
		{"", Perhaps},
		{"GE", Perhaps},
		{"GET ", Perhaps},
		{"GET / HTTP/1.1", Perhaps},
		{"GET / HTTP/1.1\r", Perhaps},
		{"GET / HTTP/1.1\n", Yes},
		{"GET / HTTP/1.1\r\n", Yes},
		{"GET / HTTP/1.1\r\nHost: a\r\n", Yes},
		{"POST /x?y=z HTTP/1.0\r\n", Yes},
		{"OPTIONS * HTTP/1.1\r\n", Yes},
		{"CONNECT a:443 HTTP/1.1\r\n", Yes},
		{"GET http://a/ HTTP/1.1\r\n", Yes},
		{"PATCH /\xff HTTP/9.9\n", Yes},
		{"GET /a b HTTP/1.1\n", Yes}, // no browser's, and nobody's loss
		{"GET me a beer", Perhaps},
		{"GET me a beer\n", No},
		{"GET me a beer\nGET / HTTP/1.1\n", No},
		{"GET / HTTP/1.1 \n", No},
		{"GET / HTTP/1.\n", No},
		{"GET / HTTP/11\n", No},
		{"GET / HTTP/1.x\n", No},
		{"GET / http/1.1\n", No},
		{"GET /HTTP/1.1\n", No},
		{"GET HTTP/1.1\n", No},
		{"GET /\n", No}, // HTTP/0.9, which no browser speaks
		{"GET \n", No},
		{"GET /\r HTTP/1.1\n", No},
		{"GET / HTTP/1.1\r \n", No},
		{"GET /\x00 HTTP/1.1\n", No},
		{"GET /\x00", No}, // no need to wait
		{"GET /\x7f", No},
		{"get / HTTP/1.1\n", No},
		{"hello\n", No},
		{"\x16\x03\x01", No},
		{"PRI * HTTP/2.", Perhaps},
		{"PRI * HTTP/2.0", Yes},
		{"PRI * HTTP/1.1\r\n", No},
		{"GET /" + long[:16<<10-5], Perhaps},
		{"GET /" + long[:16<<10-4], Yes},
		{"GET /" + long + "\n", Yes},
		{"GET /" + long[:16<<10-6] + "\n", No},
		{"GET /" + long[:16<<10-15] + " HTTP/1.1\n", Yes},
		{"GET a" + long[:16<<10-5], Perhaps},
		{"GET a" + long[:16<<10-4], No},
	} {
		if got := RequestLine([]byte(c.bytes)); got != c.want {
			t.Errorf("%.40q of %d: %d, want %d", c.bytes, len(c.bytes), got, c.want)
		}
	}
}

func TestHeaderEnd(t *testing.T) {
	for _, c := range []struct {
		header, behind string
	}{
		{"GET / HTTP/1.1\r\n\r\n", ""},
		{"GET / HTTP/1.1\r\n\r\n", "\r\n\r\n"},
		{"GET / HTTP/1.1\n\n", "\n"},
		{"GET / HTTP/1.1\r\n\n", "body"},
		{"GET / HTTP/1.1\n\r\n", "body"},
		{"GET / HTTP/1.1\r\nHost: a\r\nB: c\n\r\n", "GET / HTTP/1.1\r\n\r\n"},
		{"GET / HTTP/1.1\r\nA: b\r\n \r\n\r\n", ""}, // a line of a space goes on with the one before
		{"GET / HTTP/1.1\r\nA: \r\r\n\r\n", ""},
	} {
		p := c.header + c.behind
		for i := range len(p) + 1 {
			want := 0
			if i >= len(c.header) {
				want = len(c.header)
			}
			if got := HeaderEnd([]byte(p[:i])); got != want {
				t.Errorf("%q: ends at %d, want %d", p[:i], got, want)
			}
		}
	}
}

// More bytes end a doubt and change nothing else; and what net/http takes
// for a request is one.
func FuzzDetect(f *testing.F) {
	for _, s := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\nbody", "GET me a beer\n", "PRI * HTTP/2.0\r\n\r\n", "\x16\x03\x01\x00",
		"POST / HTTP/1.1\nContent-Length: 3\n\nabc", "OPTIONS * HTTP/1.0\r\n\n", "PATCH /\tHTTP/1.1\n", "hello\n",
		"CONNECT a:1 HTTP/1.1\r\nA: b\r\n c\r\n\r\n", "TRACE /\r HTTP/1.1\r\n", "GET  HTTP/1.1\n",
	} {
		f.Add([]byte(s))
	}
	line := regexp.MustCompile(`^(GET|HEAD|POST|PUT|DELETE|CONNECT|OPTIONS|TRACE|PATCH) [^\x00-\x1f\x7f]* HTTP/[0-9]\.[0-9]\r?\n`)
	f.Fuzz(func(t *testing.T, data []byte) {
		opening, request, header := Unclear, Perhaps, 0
		for i := range len(data) + 1 {
			if i > 300 && i < len(data)-3 {
				continue // there are faster ways to try many bytes
			}
			p := data[:i]
			o, r, h := Detect(p), RequestLine(p), HeaderEnd(p)
			if opening != Unclear && o != opening || request != Perhaps && r != request || header != 0 && h != header {
				t.Fatalf("%q: %d, %d, %d; before its last byte %d, %d, %d", p, o, r, h, opening, request, header)
			}
			opening, request, header = o, r, h
		}
		if len(data) >= len(preface) && opening == Unclear {
			t.Errorf("%q is unclear", data)
		}
		if len(data) < longestRequestLine {
			if want := line.Match(data) || opening == OpensHTTP2; want != (request == Yes) {
				t.Errorf("%q is a request: %d, want %v", data, request, want)
			}
		}
		if opening == OpensHTTP {
			checkAsNetHTTP(t, data, request, header)
		}
	})
}

// checkAsNetHTTP compares with what net/http makes of p.
func checkAsNetHTTP(t *testing.T, p []byte, request Answer, header int) {
	t.Helper()
	unread := bytes.NewReader(p)
	r := bufio.NewReader(unread)
	if _, err := http.ReadRequest(r); err != nil {
		return
	}
	if request != Yes {
		t.Errorf("net/http takes %q for a request; RequestLine says %d", p, request)
	}
	if end := len(p) - unread.Len() - r.Buffered(); end != header {
		t.Errorf("net/http ends the header of %q at %d; HeaderEnd says %d", p, end, header)
	}
}

func BenchmarkDetect(b *testing.B) {
	for _, s := range []string{"GET / HTTP/1.1\r\n", "hello, world\n"} {
		b.Run(fmt.Sprintf("%.3s", s), func(b *testing.B) {
			p := []byte(s)
			b.ReportAllocs()
			for b.Loop() {
				Detect(p)
			}
		})
	}
}
