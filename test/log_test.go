//go:build unix

package hubbub_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"hubbub.example"
)

// Who logs beside the hub does not wait for a log that takes nothing; what there
// is no room for is counted, and what there is room for is there in the end, with
// its attributes, and so is what is said when the hub has gone.
func TestLoggerNeverWaits(t *testing.T) {
	const lines = 5000
	log := &stuckLog{free: make(chan struct{})}
	h, err := hubbub.New(hubbub.Options{Logger: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	beside := h.Logger().With("by", "a test").WithGroup("its")
	for n := range lines {
		beside.Warn("much", "number", n)
	}
	dropped := h.Stats().LogsDropped
	if dropped == 0 || dropped >= lines {
		t.Errorf("of %d lines %d were dropped", lines, dropped)
	}
	close(log.free)
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	beside.Warn("the end")
	text := log.text()
	if n := strings.Count(text, `msg=much by="a test" its.number=`); n != lines-int(dropped) {
		t.Errorf("%d lines are there, of %d, of which %d were dropped", n, lines, dropped)
	}
	if !strings.HasSuffix(text, "msg=\"the end\" by=\"a test\"\n") {
		t.Errorf("the log ends with %q", text[max(0, len(text)-200):])
	}
}

// stuckLog is a writer that takes nothing until it is free.
type stuckLog struct {
	free chan struct{}
	mu   sync.Mutex
	buf  bytes.Buffer
}

func (l *stuckLog) Write(p []byte) (int, error) {
	<-l.free
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *stuckLog) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
