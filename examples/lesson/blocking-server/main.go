//go:build unix

// Command blocking-server is the lesson's first server. Every call waits until
// it has something to say, so the program reads like a conversation: listen,
// answer the door, hear one message, say one line, hear one message, ...
//
// It is correct, and it is of no use to a second client: while this one is
// out to lunch, the server waits in read(2) and answers no door.
//
//	blocking-server HOST:PORT
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
		fmt.Fprintln(os.Stderr, "usage: blocking-server HOST:PORT")
		os.Exit(2)
	}

	listener := listen(os.Args[1])
	keyboard := bufio.NewReader(os.Stdin)
	for {
		client, _, err := unix.Accept(listener) // waits for somebody to come
		check("accept", err)
		fmt.Fprintln(os.Stderr, "a client has come")

		talk(client, keyboard)

		check("close", unix.Close(client))
		fmt.Fprintln(os.Stderr, "the client has left")
	}
}

// talk takes turns with one client until it leaves.
func talk(client int, keyboard *bufio.Reader) {
	message := make([]byte, 1024)
	for {
		n, err := unix.Read(client, message) // waits for the client: its lunch is everybody's
		if err != nil || n == 0 {            // 0 is the end of file: nothing will ever come again
			return
		}
		fmt.Printf("client: %s\n", bytes.TrimSuffix(message[:n], []byte("\n")))

		line, err := keyboard.ReadString('\n') // waits for us to type
		check("read a line of standard input", err)

		if _, err := unix.Write(client, []byte(line)); err != nil { // waits until all of it is taken
			return
		}
	}
}

// listen returns the four calls that every server begins with.
func listen(address string) int {
	host, err := net.ResolveTCPAddr("tcp4", address)
	check("resolve", err)
	var ip [4]byte
	copy(ip[:], host.IP.To4())

	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	check("socket", err)

	// Before bind, which is what it is for: to take a port that the last
	// server's connections still linger on.
	check("setsockopt SO_REUSEADDR", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
	check("bind", unix.Bind(fd, &unix.SockaddrInet4{Port: host.Port, Addr: ip}))
	check("listen", unix.Listen(fd, 128))

	name, err := unix.Getsockname(fd) // port 0 has become a real one
	check("getsockname", err)
	bound := name.(*unix.SockaddrInet4)
	fmt.Fprintf(os.Stderr, "listening on %s:%d\n", net.IP(bound.Addr[:]), bound.Port)
	return fd
}

// check ends the program if call failed.
func check(call string, err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", call, err)
		os.Exit(1)
	}
}
