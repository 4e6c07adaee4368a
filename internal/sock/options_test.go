//go:build unix

package sock

import (
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestTableHasEveryOption(t *testing.T) {
	want := "SO_DEBUG SO_REUSEADDR SO_REUSEPORT SO_KEEPALIVE SO_DONTROUTE SO_BROADCAST SO_SNDBUF SO_RCVBUF " +
		"SO_SNDTIMEO SO_RCVTIMEO SO_TYPE SO_ERROR SO_NOSIGPIPE SO_LINGER_SEC SO_LINGER TCP_NODELAY"
	var names []string
	for _, o := range Options() {
		names = append(names, o.Name)
		if o.Meaning == "" {
			t.Errorf("%s has no meaning", o.Name)
		}
		if (o.Missing != "") != (o.number == absent) {
			t.Errorf("%s: number %d, missing %q", o.Name, o.number, o.Missing)
		}
	}
	if got := strings.Join(names, " "); got != want {
		t.Errorf("the table has\n%s\nwant\n%s", got, want)
	}
}

func TestParseReadsWhatIsMeant(t *testing.T) {
	for _, c := range []struct {
		in, out              string
		onListener, onClient bool
	}{
		{"SO_DEBUG=1", "SO_DEBUG=1", true, true},
		{"SO_REUSEADDR=0", "SO_REUSEADDR=0", true, false},
		{"SO_REUSEPORT=1", "SO_REUSEPORT=1", true, false},
		{"SO_KEEPALIVE=0", "SO_KEEPALIVE=0", false, true},
		{"SO_DONTROUTE=1", "SO_DONTROUTE=1", true, true},
		{"SO_BROADCAST=1", "SO_BROADCAST=1", false, true},
		{"SO_SNDBUF=0", "SO_SNDBUF=0", true, true},
		{"SO_RCVBUF=65536", "SO_RCVBUF=65536", true, true},
		{"SO_RCVBUF=64KiB", "SO_RCVBUF=65536", true, true},
		{"SO_RCVBUF=64KB", "SO_RCVBUF=64000", true, true}, // as --backlog 64KB
		{"SO_SNDBUF=2MiB", "SO_SNDBUF=2097152", true, true},
		{"SO_SNDBUF=2147483647", "SO_SNDBUF=2147483647", true, true},
		{"SO_SNDTIMEO=0", "SO_SNDTIMEO=0", false, true},
		{"SO_SNDTIMEO=1ms", "SO_SNDTIMEO=1ms", false, true},
		{"SO_RCVTIMEO=1m30s", "SO_RCVTIMEO=1m30s", false, true},
		{"SO_LINGER=off", "SO_LINGER=off", false, true},
		{"SO_LINGER=0", "SO_LINGER=0", false, true},
		{"SO_LINGER=32767", "SO_LINGER=32767", false, true},
		{"TCP_NODELAY=0", "TCP_NODELAY=0", false, true},
	} {
		s, err := Parse(c.in)
		if err != nil {
			t.Errorf("Parse(%q): %v", c.in, err)
			continue
		}
		if s.String() != c.out || s.OnListener() != c.onListener || s.OnClient() != c.onClient {
			t.Errorf("Parse(%q) = %s, on listener %t, on client %t; want %s, %t, %t",
				c.in, s, s.OnListener(), s.OnClient(), c.out, c.onListener, c.onClient)
		}
	}
}

func TestParseSaysWhatWouldBeRight(t *testing.T) {
	for in, want := range map[string]string{
		"":                       "what can be set is SO_DEBUG, SO_REUSEADDR",
		"=1":                     "what can be set is SO_DEBUG",
		"SO_FROBNICATE=1":        `unknown socket option "SO_FROBNICATE": what can be set is SO_DEBUG`,
		"so_keepalive=1":         "did you mean SO_KEEPALIVE?",
		"nodelay=1":              "did you mean TCP_NODELAY?",
		"SO_TYPE=1":              "SO_TYPE can only be read, not set",
		"SO_ERROR=0":             "SO_ERROR can only be read, not set",
		"SO_KEEPALIVE":           "write SO_KEEPALIVE=VALUE, the value being 0 or 1",
		"SO_KEEPALIVE=":          "the value must be 0 or 1",
		"SO_KEEPALIVE=on":        "the value must be 0 or 1",
		"SO_KEEPALIVE=01":        "the value must be 0 or 1",
		"SO_SNDBUF=-1":           "the value must be a number of bytes, like 65536 or 64KiB",
		"SO_SNDBUF=2147483648":   "the value must be a number of bytes",
		"SO_SNDBUF=2048MiB":      "the value must be a number of bytes",
		"SO_SNDBUF=KiB":          "the value must be a number of bytes",
		"SO_SNDBUF=1KiBMiB":      "the value must be a number of bytes",
		"SO_RCVTIMEO=5":          "like 500ms or 2s",
		"SO_RCVTIMEO=-1s":        "like 500ms or 2s",
		"SO_RCVTIMEO=999us":      "at least 1ms",
		"SO_RCVTIMEO=1000h":      "like 500ms or 2s",
		"SO_LINGER=on":           "off or a number of seconds, 0 to 32767",
		"SO_LINGER=-1":           "off or a number of seconds",
		"SO_LINGER=32768":        "off or a number of seconds",
		"SO_LINGER=1s":           "off or a number of seconds",
		"SO_KEEPALIVE=1=1":       "SO_KEEPALIVE=1=1: the value must be 0 or 1",
		"SO_KEEPALIVE=1,SO_TYPE": "the value must be 0 or 1",
	} {
		s, err := Parse(in)
		if err == nil {
			t.Errorf("Parse(%q) = %s, want an error", in, s)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("Parse(%q):\n%v\nwant in it\n%s", in, err, want)
		}
	}
}

// An option that this system lacks is refused with what replaces it, to set
// and to get; one it has says nothing of a replacement.
func TestMissingOptionNamesItsReplacement(t *testing.T) {
	fd := stream(t, unix.AF_INET)
	for _, o := range Options() {
		if o.Missing == "" {
			continue
		}
		if _, err := Parse(o.Name + "=1"); err == nil || !strings.Contains(err.Error(), o.Missing) {
			t.Errorf("Parse(%s=1): %v, want in it %q", o.Name, err, o.Missing)
		}
		if _, err := o.Get(fd); err == nil || !strings.Contains(err.Error(), o.Missing) {
			t.Errorf("%s.Get: %v, want in it %q", o.Name, err, o.Missing)
		}
	}
}

func TestWhatIsSetIsInForce(t *testing.T) {
	values := map[form][]string{
		formFlag:     {"1", "0"},
		formSize:     {"65536"},
		formDuration: {"2s", "0"},
		formLinger:   {"7", "0", "off"},
	}
	for name, family := range map[string]int{"tcp4": unix.AF_INET, "tcp6": unix.AF_INET6, "unix": unix.AF_UNIX} {
		t.Run(name, func(t *testing.T) {
			fd := stream(t, family)
			for _, o := range Options() {
				if o.GetOnly || o.Missing != "" || o.TCPOnly && family == unix.AF_UNIX {
					continue
				}
				for _, value := range values[o.form] {
					checkSet(t, fd, o, value)
				}
			}
		})
	}
}

func checkSet(t *testing.T, fd int, o Option, value string) {
	t.Helper()
	s, err := Parse(o.Name + "=" + value)
	if err != nil {
		t.Fatal(err)
	}
	err = s.Set(fd)
	if mayRefuse := o.Name == "SO_DEBUG" || o.Name == "SO_REUSEPORT"; mayRefuse && err != nil {
		return // without the privilege; on a Unix socket since Linux 6.13
	}
	if err != nil {
		t.Errorf("%s: %v", s, err)
		return
	}
	got, err := o.Get(fd)
	if o.form == formSize && got == "131072" {
		got = "65536" // Linux doubles
	}
	if err != nil || got != value {
		t.Errorf("after %s it is %q (%v)", s, got, err)
	}
}

func TestGetOnlyOptionsCanBeGot(t *testing.T) {
	fd := stream(t, unix.AF_INET)
	for name, want := range map[string]string{"SO_TYPE": "SOCK_STREAM", "SO_ERROR": "0"} {
		o, err := find(name)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := o.Get(fd); err != nil || got != want {
			t.Errorf("%s is %q (%v), want %q", name, got, err, want)
		}
	}
}

// A pending error is said in the system's words.
func TestSOErrorSaysThePendingError(t *testing.T) {
	dead := stream(t, unix.AF_INET)
	if err := unix.Bind(dead, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	address, err := unix.Getsockname(dead)
	if err != nil {
		t.Fatal(err)
	}
	fd := stream(t, unix.AF_INET)
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	if err := unix.Connect(fd, address); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		t.Fatal(err)
	}
	awaitWritable(t, fd)
	o, _ := find("SO_ERROR")
	if got, err := o.Get(fd); err != nil || got != "connection refused" {
		t.Errorf("SO_ERROR is %q (%v), want connection refused", got, err)
	}
}

func TestSetErrorNamesCallAndOption(t *testing.T) {
	s, err := Parse("SO_KEEPALIVE=1")
	if err != nil {
		t.Fatal(err)
	}
	const none = 1 << 30
	err = s.Set(none)
	if !errors.Is(err, unix.EBADF) || err.Error() != "setsockopt SO_KEEPALIVE=1: bad file descriptor" {
		t.Errorf("Set on no descriptor: %v", err)
	}
	if _, err = s.Option.Get(none); !errors.Is(err, unix.EBADF) || err.Error() != "getsockopt SO_KEEPALIVE: bad file descriptor" {
		t.Errorf("Get on no descriptor: %v", err)
	}
}

// The table says of SO_RCVTIMEO that it does nothing on a nonblocking socket.
func TestTimeoutDoesNothingOnNonblockingSocket(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = unix.Close(pair[0]), unix.Close(pair[1]) }()
	if err := unix.SetNonblock(pair[0], true); err != nil {
		t.Fatal(err)
	}
	s, err := Parse("SO_RCVTIMEO=20s")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Set(pair[0]); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	_, err = unix.Read(pair[0], make([]byte, 1))
	if !errors.Is(err, unix.EAGAIN) || time.Since(began) > 10*time.Second {
		t.Errorf("read: %v after %v, want EAGAIN at once", err, time.Since(began))
	}
}

func FuzzParse(f *testing.F) {
	for _, o := range table {
		f.Add(o.Name + "=1")
	}
	for _, s := range []string{"SO_LINGER=off", "SO_SNDBUF=64KiB", "SO_RCVTIMEO=1.5s", "=", "SO_KEEPALIVE", "SO_RCVBUF=2147483647"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		s, err := Parse(in)
		if err != nil {
			if err.Error() == "" || s != (Setting{}) {
				t.Fatalf("Parse(%q) = %v, %v", in, s, err)
			}
			return
		}
		if s.Option.GetOnly || s.Option.Missing != "" {
			t.Fatalf("Parse(%q) gives an option that cannot be set", in)
		}
		again, err := Parse(s.String())
		if err != nil || again != s {
			t.Fatalf("Parse(%q) = %s, which reads as %s, %v", in, s, again, err)
		}
	})
}

func stream(t *testing.T, family int) int {
	t.Helper()
	fd, err := unix.Socket(family, unix.SOCK_STREAM, 0)
	if family == unix.AF_INET6 && errors.Is(err, unix.EAFNOSUPPORT) {
		t.Skip("no IPv6 on this machine")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return fd
}

func awaitWritable(t *testing.T, fd int) {
	t.Helper()
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	for {
		n, err := unix.Poll(fds, 10_000)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n == 0 {
			t.Fatalf("poll: %d, %v", n, err)
		}
		return
	}
}
