//go:build linux

package main

import (
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The CPU clock of a process lies between two readings of getrusage, which
// rounds down to microseconds.
func TestCPUClockAgreesWithGetrusage(t *testing.T) {
	used := func() time.Duration {
		var u unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
			t.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := used()
	clock, err := cpuOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if after := used(); clock < before-2*time.Microsecond || clock > after+2*time.Microsecond {
		t.Errorf("%v is not between %v and %v", clock, before, after)
	}
}

func TestResidentMemoryGrowsWithWhatIsTouched(t *testing.T) {
	const size = 32 << 20
	before, err := residentOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	memory, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(memory)
	for i := 0; i < size; i += os.Getpagesize() {
		memory[i] = 1
	}
	after, err := residentOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	// The runtime may give some back meanwhile.
	if grown := after - before; grown < size/2 || grown > 2*size {
		t.Errorf("grew by %d, not by %d", grown, size)
	}
}

// Of what came and went the peak knows.
func TestPeakKnowsWhatIsGone(t *testing.T) {
	const size = 32 << 20
	grown, err := peakOf(os.Getpid(), func() error {
		memory, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
		if err != nil {
			return err
		}
		for i := 0; i < size; i += os.Getpagesize() {
			memory[i] = 1
		}
		return unix.Munmap(memory)
	})
	if err != nil {
		t.Fatal(err)
	}
	if grown < size/2 || grown > 2*size {
		t.Errorf("grew by %d, not by %d", grown, size)
	}
}

func TestDescriptorsAreCounted(t *testing.T) {
	before, err := descriptorsOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
	}
	if after, err := descriptorsOf(os.Getpid()); err != nil || after != before+10 {
		t.Errorf("%d, then %d, %v", before, after, err)
	}
}

// What is sent and not read is held by the sender's socket or the receiver's;
// of two connections, only the one that is asked for counts.
func TestSocketMemoryIsOfOnePort(t *testing.T) {
	var ports []int
	for range 2 {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		client, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		server, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		if len(ports) == 0 {
			// Into the server's socket, which reads nothing.
			if _, err := client.Write(make([]byte, 32<<10)); err != nil {
				t.Fatal(err)
			}
		}
		ports = append(ports, listener.Addr().(*net.TCPAddr).Port)
	}
	full, err := socketMemory(ports[0])
	if err != nil {
		t.Fatal(err)
	}
	empty, err := socketMemory(ports[1])
	if err != nil {
		t.Fatal(err)
	}
	if full < 32<<10 || empty >= 32<<10 {
		t.Errorf("%d with 32 KiB unread, %d with nothing", full, empty)
	}
}

func TestMedianAndQuantiles(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   float64
	}{
		{nil, 0},
		{[]float64{3}, 3},
		{[]float64{4, 1}, 2.5},
		{[]float64{9, 1, 2}, 2},
		{[]float64{9, 1, 2, 4}, 3},
	} {
		if got := median(test.values); got != test.want {
			t.Errorf("median of %v: %v, not %v", test.values, got, test.want)
		}
	}
	hundred := make([]int64, 101)
	for i := range hundred {
		hundred[i] = int64(i)
	}
	if q := quantile(hundred, 0.99); q != 99 {
		t.Errorf("p99 of 0..100 is %d", q)
	}
}

// A line counts when its last byte has come, and not again.
func TestStopwatchTimesWholeLines(t *testing.T) {
	s := newStopwatch(100, 10, 3, 1)
	due := time.Now().Add(-time.Hour)
	for range 3 {
		s.sent(due)
	}
	for _, step := range []struct {
		from, to int64
		lines    int
	}{{100, 109, 0}, {109, 110, 1}, {110, 115, 1}, {115, 130, 3}} {
		s.arrived(step.from, step.to)
		if len(s.late) != step.lines {
			t.Errorf("after byte %d: %d lines, not %d", step.to, len(s.late), step.lines)
		}
	}
	if p := s.p99(); p < time.Hour || p > time.Hour+time.Minute {
		t.Errorf("an hour late is %v", p)
	}
}

// What disturbs one round shifts floor and hub, but not what they come to.
func TestRoundsAreComparedOneByOne(t *testing.T) {
	f := figure{"CPU", "µs", ratio, 1.1}
	r := f.of([]float64{1, 10, 2}, []float64{1.1, 11, 2.2})
	if r.times < 1.0999 || r.times > 1.1001 {
		t.Errorf("ratio %v", r.times)
	}
	if r.base != 2 || r.test != 2.2 {
		t.Errorf("medians %v and %v", r.base, r.test)
	}
}

func TestWhatIsMissed(t *testing.T) {
	for _, test := range []struct {
		r    result
		want bool
	}{
		{result{figure: figure{want: ratio, most: 1.1}, times: 1.1}, false},
		{result{figure: figure{want: ratio, most: 1.1}, times: 1.2}, true},
		{result{figure: figure{want: limit, most: 0}, test: 0}, false},
		{result{figure: figure{want: limit, most: 0}, test: 1}, true},
		{result{figure: figure{want: shown}, test: 1e9, times: 9}, false},
	} {
		if got := test.r.missed(); got != test.want {
			t.Errorf("%+v: missed %v", test.r, got)
		}
	}
}
