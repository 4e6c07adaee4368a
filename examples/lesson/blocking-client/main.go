//go:build unix

// Command blocking-client is the lesson's first client: say one line, hear one
// message, say one line, hear one message, ...
//
// The two must take turns. Whoever has just spoken waits for the other, and
// hears nothing that comes between.
//
//	blocking-client HOST:PORT
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
		fmt.Fprintln(os.Stderr, "usage: blocking-client HOST:PORT")
		os.Exit(2)
	}

	server := connect(os.Args[1])
	keyboard := bufio.NewReader(os.Stdin)
	message := make([]byte, 1024)
	for {
		line, err := keyboard.ReadString('\n') // waits for us to type
		if err != nil {                        // the end of our input: leave
			break
		}

		_, err = unix.Write(server, []byte(line)) // waits until all of it is taken
		check("write", err)

		n, err := unix.Read(server, message) // waits for the server, which may be with somebody else
		check("read", err)
		if n == 0 {
			fmt.Fprintln(os.Stderr, "the server has left")
			break
		}
		fmt.Printf("server: %s\n", bytes.TrimSuffix(message[:n], []byte("\n")))
	}
	check("close", unix.Close(server))
}

// connect returns the two calls that every client begins with.
func connect(address string) int {
	host, err := net.ResolveTCPAddr("tcp4", address)
	check("resolve", err)
	var ip [4]byte
	copy(ip[:], host.IP.To4())

	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	check("socket", err)
	check("connect", unix.Connect(fd, &unix.SockaddrInet4{Port: host.Port, Addr: ip})) // waits for the server's answer

	// The kernel has answered for the server, which may not even have
	// called accept.
	fmt.Fprintf(os.Stderr, "connected to %s\n", host)
	return fd
}

// check ends the program if call failed.
func check(call string, err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", call, err)
		os.Exit(1)
	}
}
