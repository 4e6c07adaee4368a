//go:build unix

// Command naive-client is the client of the lesson's last slides: everything
// nonblocking, standard input too, and a loop that asks each in turn.
//
// Its problems are left in on purpose; the numbers are the headings of
// docs/problems.md.
//
//	naive-client HOST:PORT
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: naive-client HOST:PORT")
		os.Exit(2)
	}

	server := connect(os.Args[1])
	nonblocking(server)
	nonblocking(0) // Problem 24: whoever shares our standard input shares this
	keyboard := bufio.NewReader(os.Stdin)
	message := make([]byte, 1024)

	// Problem 2: nothing in this loop ever waits.
	for {
		// Problem 3: 0 bytes are the end of file, taken here for "nothing yet".
		n, _ := unix.Read(server, message)
		if n > 0 {
			// Problem 12: what one read gives is not what one write gave.
			// Problem 25: the server's bytes go to our terminal as they are.
			fmt.Printf("server: %s\n", bytes.TrimSuffix(message[:n], []byte("\n")))
		}

		// Problem 7: a pipe that ends says POLLHUP, not POLLIN.
		stdin := []unix.PollFd{{Fd: 0, Events: unix.POLLIN}}
		_, _ = unix.Poll(stdin, 0)
		if stdin[0].Revents&unix.POLLIN != 0 {
			// Problem 5: half a line and then EAGAIN is an error too, and
			// the half is lost.
			line, err := keyboard.ReadString('\n')
			if err != nil {
				continue
			}

			// Problem 4: EAGAIN is not the end, but here it is.
			// Problem 10: and half a line taken counts as a line.
			_, err = unix.Write(server, []byte(line))
			check("write", err)
		}
	}
}

func connect(address string) int {
	// Problem 19: waits for the name's address, wants only the old kind, and
	// tries only the first.
	host, err := net.ResolveTCPAddr("tcp4", address)
	check("resolve", err)
	var ip [4]byte
	copy(ip[:], host.IP.To4())

	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	check("socket", err)
	fmt.Fprintf(os.Stderr, "connecting to %s\n", host)
	// Problem 18: still a blocking socket, and this may wait for minutes.
	check("connect", unix.Connect(fd, &unix.SockaddrInet4{Port: host.Port, Addr: ip}))
	fmt.Fprintf(os.Stderr, "connected to %s\n", host)
	return fd
}

// nonblocking makes every call on fd return at once, EAGAIN meaning "later".
func nonblocking(fd int) {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	check("fcntl F_GETFL", err)
	_, err = unix.FcntlInt(uintptr(fd), unix.F_SETFL, flags|unix.O_NONBLOCK)
	check("fcntl F_SETFL", err)
}

// check ends the program if call failed.
func check(call string, err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", call, err)
		os.Exit(1)
	}
}
