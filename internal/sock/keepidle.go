//go:build dragonfly || freebsd || linux || netbsd

package sock

import "golang.org/x/sys/unix"

const keepIdle = unix.TCP_KEEPIDLE
