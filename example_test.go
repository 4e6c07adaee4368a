//go:build unix

package hubbub_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"hubbub.example"
)

// What one client sends, everyone sees.
func Example() {
	ctx := context.Background()
	hub, err := hubbub.New(hubbub.Options{})
	if err != nil {
		log.Fatal(err)
	}
	at, err := hub.Listen("127.0.0.1:0") // a real server would use ":9000"
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		for e := range hub.Events(ctx) {
			if e.Kind == hubbub.Message {
				hub.Broadcast(ctx, fmt.Appendf(nil, "%d said %s", e.Client, e.Data))
			}
		}
	}()

	client := dialHub(at[0])
	fmt.Fprintln(client, "hello")
	fmt.Println(client.line())
	hub.Close()
	// Output: 1 said hello
}

// A server that ends on ^C or SIGTERM without losing anything: every client
// gets what was broadcast, and only one that takes nothing for five seconds is
// given up.
func Example_server() {
	hub, err := hubbub.New(hubbub.Options{Inbox: hubbub.InboxNone})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := hub.Listen(":9000"); err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := hub.BroadcastFrom(ctx, os.Stdin); err != nil && !errors.Is(err, context.Canceled) {
		log.Print(err)
	}
	<-ctx.Done()
	if err := hub.Drain(context.Background(), 5*time.Second); err != nil {
		log.Print(err) // how much could not be delivered
	}
}

// Joins, messages and leaves, in order.
func ExampleHub_Events() {
	hub, at := openHub(hubbub.Options{})
	client := dialHub(at)
	fmt.Fprintln(client, "hello")
	client.Close()

	for e := range hub.Events(context.Background()) {
		switch e.Kind {
		case hubbub.Join:
			fmt.Println(e.Client, "joined by", e.Protocol)
		case hubbub.Message:
			fmt.Printf("%d said %s\n", e.Client, e.Data)
		case hubbub.Leave:
			fmt.Println(e.Client, "left:", e.Code)
			hub.Close()
		}
	}
	// Output: 1 joined by raw
	// 1 said hello
	// 1 left: done
}

// A message for some clients keeps its place among the broadcasts.
func ExampleHub_Send() {
	hub, at := openHub(hubbub.Options{Inbox: hubbub.InboxNone})
	defer hub.Close()
	client := dialHub(at)
	hub.WaitForClients(context.Background(), 1)

	hub.Broadcast(context.Background(), []byte("to everyone"))
	hub.Send([]byte("to you alone"), 1)
	fmt.Println(client.line())
	fmt.Println(client.line())
	var unknown *hubbub.UnknownError
	if err := hub.Send([]byte("to whom?"), 1, 99); errors.As(err, &unknown) {
		fmt.Println("not connected:", unknown.IDs)
	}
	// Output: to everyone
	// to you alone
	// not connected: [99]
}

// A client is told why where its protocol can say so, and the leave event says
// it in any case.
func ExampleHub_Kick() {
	hub, at := openHub(hubbub.Options{})
	dialHub(at)
	hub.WaitForClients(context.Background(), 1)
	hub.Kick(1, "spam")

	for e := range hub.Events(context.Background()) {
		if e.Kind == hubbub.Leave {
			fmt.Println(e.Code == hubbub.LeaveKicked, e.Reason)
			hub.Close()
		}
	}
	// Output: true kicked: spam
}

// Everything that a pipe delivers goes to all clients, and everything that
// clients send comes out of another: what the command `hubbub serve` does with
// STDIN and STDOUT.
func ExampleHub_DeliverTo() {
	hub, at := openHub(hubbub.Options{Inbox: hubbub.InboxMessages})
	client := dialHub(at)
	hub.WaitForClients(context.Background(), 1)

	in, source, _ := os.Pipe()
	sink, out, _ := os.Pipe()
	fmt.Fprintln(source, "from the pipe")
	source.Close()
	go hub.DeliverTo(context.Background(), out)
	if err := hub.BroadcastFrom(context.Background(), in); err != nil {
		log.Fatal(err)
	}
	fmt.Println(client.line())
	fmt.Fprintln(client, "from the client")
	fmt.Println(bufio.NewReader(sink).ReadString('\n'))
	hub.Close()
	// Output: from the pipe
	// from the client
	//  <nil>
}

// Nobody was there to receive it.
func ExampleHub_Drain() {
	hub, err := hubbub.New(hubbub.Options{Inbox: hubbub.InboxNone})
	if err != nil {
		log.Fatal(err)
	}
	hub.Broadcast(context.Background(), []byte("is anybody there?"))
	fmt.Println(hub.Drain(context.Background(), time.Second))
	// Output: not delivered: 1 message, which nobody has heard
}

// A hub beside other handlers of an HTTP server.
func ExampleHub_ServeHTTP() {
	hub, err := hubbub.New(hubbub.Options{Inbox: hubbub.InboxNone})
	if err != nil {
		log.Fatal(err)
	}
	http.Handle("/live/", http.StripPrefix("/live", hub))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go http.Serve(l, nil)

	hub.Broadcast(context.Background(), []byte("hello"))
	answer, err := http.Get("http://" + l.Addr().String() + "/live/?last=1")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(bufio.NewReader(answer.Body).ReadString('\n'))
	hub.Close()
	// Output: hello
	//  <nil>
}

// openHub returns a hub for raw clients, and where it listens.
func openHub(o hubbub.Options) (*hubbub.Hub, hubbub.Address) {
	hub, err := hubbub.New(o)
	if err != nil {
		log.Fatal(err)
	}
	at, err := hub.Listen("tcp://127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	return hub, at[0]
}

// rawClient is a client that sends and reads lines.
type rawClient struct {
	net.Conn
	r *bufio.Reader
}

func dialHub(at hubbub.Address) *rawClient {
	c, err := net.Dial("tcp", at.String())
	if err != nil {
		log.Fatal(err)
	}
	return &rawClient{c, bufio.NewReader(c)}
}

// line returns the next line that the hub sends.
func (c *rawClient) line() string {
	line, err := c.r.ReadString('\n')
	if err != nil && err != io.EOF {
		log.Fatal(err)
	}
	return line[:max(0, len(line)-1)]
}
