//go:build unix

// Command naive-server is the server of the lesson's last slides: the same
// calls as blocking-server, made nonblocking, so that server and client may
// speak at any time. It works at the desk of whoever wrote it.
//
// "Do you see any problem with your server & client?" There are many. They are
// left in on purpose; the numbers are the headings of docs/problems.md.
//
//	naive-server HOST:PORT
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
		fmt.Fprintln(os.Stderr, "usage: naive-server HOST:PORT")
		os.Exit(2)
	}

	listener := listen(os.Args[1])
	keyboard := bufio.NewReader(os.Stdin)
	for {
		client, _, err := unix.Accept(listener)
		if err != nil {
			// Problem 2: "nobody yet" is asked again at once, and again.
			// Problem 16: so is "no descriptors left", and nobody is told.
			continue
		}
		nonblocking(client) // BSDs hand O_NONBLOCK down from the listener, Linux does not
		fmt.Fprintln(os.Stderr, "a client has come")

		serve(client, keyboard)
	}
}

// serve talks with one client.
func serve(client int, keyboard *bufio.Reader) {
	message := make([]byte, 1024)

	// Problem 1: nothing in this loop leads back to accept.
	// Problem 14: so whoever is first may send for ever, and nobody else is heard.
	// Problem 2: nothing in this loop ever waits.
	for {
		// Problem 3: 0 bytes are the end of file, taken here for "nothing yet".
		// Problem 4: so is every error, not only EAGAIN.
		n, _ := unix.Read(client, message)
		if n > 0 {
			// Problem 12: what one read gives is not what one write gave.
			// Problem 13: if nobody reads our output, this waits, and all wait.
			// Problem 11: if nobody ever will, SIGPIPE ends us without a word.
			// Problem 25: the client's bytes go to our terminal as they are.
			fmt.Printf("client: %s\n", bytes.TrimSuffix(message[:n], []byte("\n")))
		}

		// Problem 6: poll knows nothing of the lines that wait in keyboard.
		stdin := []unix.PollFd{{Fd: 0, Events: unix.POLLIN}}
		ready, _ := unix.Poll(stdin, 0)
		if ready > 0 {
			// Problem 5: poll promised a byte; this waits for a whole line,
			// problem 9: however long it gets.
			line, err := keyboard.ReadString('\n')
			if err != nil {
				// Problem 7: our input ends, and so does everything.
				// Problem 8: a last line without its newline is in line, and lost.
				// Problem 15: what the client sent and we did not read makes
				// this close a reset.
				_ = unix.Close(client)
				os.Exit(0)
			}

			// Problem 10: some of line may have been taken, or nothing.
			// Problem 11: in C this ends the program when the client has left.
			_, _ = unix.Write(client, []byte(line))
		}
	}
}

func listen(address string) int {
	// Problem 19: waits for the name's address, and wants only the old kind.
	host, err := net.ResolveTCPAddr("tcp4", address)
	check("resolve", err)
	var ip [4]byte
	copy(ip[:], host.IP.To4())

	// Problem 23: a child process would inherit this descriptor and all that
	// accept makes.
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	check("socket", err)
	nonblocking(fd)
	check("bind", unix.Bind(fd, &unix.SockaddrInet4{Port: host.Port, Addr: ip}))
	// Problem 20: too late, bind has already said no.
	check("setsockopt SO_REUSEADDR", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
	// Problem 17: two may wait at the door, the third is not even told so.
	check("listen", unix.Listen(fd, 1))
	// Problem 21: SO_KEEPALIVE is not set.
	// Problem 22: TCP_NODELAY is not set.

	name, err := unix.Getsockname(fd)
	check("getsockname", err)
	bound := name.(*unix.SockaddrInet4)
	fmt.Fprintf(os.Stderr, "listening on %s:%d\n", net.IP(bound.Addr[:]), bound.Port)
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
