//go:build unix

package hubbub_test

import (
	"bufio"
	"context"
	"fmt"
	"log"
	"net"
	"time"

	"hubbub.example"
)

// A hub in ten lines: what one client says, everybody hears.
func Example() {
	hub, err := hubbub.New(hubbub.Options{})
	if err != nil {
		log.Fatal(err)
	}
	at, err := hub.Listen("127.0.0.1:0") // a program that serves would say ":9000"
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		for e := range hub.Events(context.Background()) {
			if e.Kind == hubbub.Message {
				_ = hub.Broadcast(context.Background(), fmt.Appendf(nil, "%d said %s", e.Client, e.Data))
			}
		}
	}()

	// Anything that can open a connection is a client.
	client, err := net.Dial("tcp", at[0].String())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Fprintln(client, "hello")
	fmt.Println(bufio.NewReader(client).ReadString('\n'))
	client.Close()
	hub.Close()
	// Output: 1 said hello
	//  <nil>
}

// To end without losing anything: everybody gets what there is, and only who
// takes nothing for a second is given up.
func ExampleHub_Drain() {
	hub, err := hubbub.New(hubbub.Options{Inbox: hubbub.InboxNone})
	if err != nil {
		log.Fatal(err)
	}
	_ = hub.Broadcast(context.Background(), []byte("is anybody there?"))
	fmt.Println(hub.Drain(context.Background(), time.Second))
	// Output: not delivered: 1 message, which nobody has heard
}
