package ending

import (
	"io"
	"os"
	"syscall"
	"testing"
	"time"

	"hubbub.example/internal/logger"
	"hubbub.example/internal/proto"
)

func TestReasonsKnowWhatTheyMean(t *testing.T) {
	for _, c := range []struct {
		is    Reason
		kind  proto.Reason
		text  string
		close proto.CloseCode
		cut   bool
	}{
		{Reason{}, proto.ReasonNone, "", 0, false},
		{Done(), proto.ReasonDone, "done", 1000, false},
		{Closed(1000), proto.ReasonDone, "done", 1000, false},
		{Closed(1005), proto.ReasonDone, "done", 1005, false},
		{Closed(4000), proto.ReasonDone, "closed with 4000", 4000, false},
		{Shutdown(), proto.ReasonShutdown, "shutdown", 1001, false},
		{Kicked(""), proto.ReasonKicked, "kicked", 1008, true},
		{Kicked("enough"), proto.ReasonKicked, "kicked: enough", 1008, true},
		{Idle(time.Second), proto.ReasonIdle, "idle for 1s", 1008, true},
		{TooLong(1 << 20), proto.ReasonTooLong, "sent a message longer than 1.0 MiB", 1009, true},
		{Breach(1002, "not masked"), proto.ReasonBreach, "not masked", 1002, true},
		{Breach(1007, "not UTF-8"), proto.ReasonBreach, "not UTF-8", 1007, true},
		{Lost(syscall.ECONNRESET), proto.ReasonReset, "reset", 1006, false},
		{Lost(os.NewSyscallError("send", syscall.EPIPE)), proto.ReasonReset, "reset", 1006, false},
		{Lost(ErrAbrupt), proto.ReasonReset, "the connection ended without a close frame", 1006, false},
		{Lost(os.NewSyscallError("recv", syscall.ETIMEDOUT)), proto.ReasonDead, "recv: connection timed out", 1006, false},
		{Lost(io.ErrUnexpectedEOF), proto.ReasonLost, "unexpected EOF", 1006, false},
	} {
		if c.is.Kind != c.kind || c.is.Text != c.text || c.is.CloseCode() != c.close || c.is.Cut() != c.cut {
			t.Errorf("%+v closes with %d, cut %v; want %s %q, %d, %v", c.is, c.is.CloseCode(), c.is.Cut(), c.kind, c.text, c.close, c.cut)
		}
	}
}

// What is said of many names no client's figures.
func TestEveryKindHasWordsForMany(t *testing.T) {
	for kind := proto.ReasonDone; kind <= proto.ReasonDenied; kind++ {
		a, b := Because(kind, "%d MiB", 1), Because(kind, "%d MiB", 2)
		if a.Grouped().Of == "closed: " || a.Grouped() != b.Grouped() {
			t.Errorf("%s: %+v and %+v", kind, a.Grouped(), b.Grouped())
		}
	}
	if got, want := Because(proto.ReasonLapped, "lapped (1 GiB behind)").Grouped(), (logger.Kind{Of: "closed: lapped", Code: "lapped"}); got != want {
		t.Errorf("it is %+v, want %+v", got, want)
	}
}
