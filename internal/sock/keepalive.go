//go:build unix && !openbsd

package sock

import (
	"os"

	"golang.org/x/sys/unix"
)

// setKeepAlive sets the idle time and the probe interval, both in seconds, and
// the number of probes (tcp(7)).
func setKeepAlive(fd, idle, interval, count int) error {
	for _, option := range []struct {
		name      string
		id, value int
	}{
		{"TCP_KEEPIDLE", keepIdle, idle},
		{"TCP_KEEPINTVL", unix.TCP_KEEPINTVL, interval},
		{"TCP_KEEPCNT", unix.TCP_KEEPCNT, count},
	} {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, option.id, option.value); err != nil {
			return os.NewSyscallError("setsockopt "+option.name, err)
		}
	}
	return nil
}
