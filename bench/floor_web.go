//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime/debug"

	"github.com/coder/websocket"
)

// These floors are what one writes with net/http. They are ordinary programs,
// with the collector as it comes.

// floorUpgrade makes each request a WebSocket, and holds it until its client
// ends it.
func floorUpgrade() error {
	return floorHTTP(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = c.CloseNow() }()
		for err == nil {
			_, _, err = c.Read(context.Background())
		}
	})
}

// floorPost writes what is posted to STDOUT.
func floorPost() error {
	return floorHTTP(func(w http.ResponseWriter, r *http.Request) {
		p, err := io.ReadAll(r.Body)
		if err == nil {
			_, err = os.Stdout.Write(p)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

func floorHTTP(answer http.HandlerFunc) error {
	debug.SetGCPercent(100)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "listening on %s\n", listener.Addr())
	server := http.Server{Handler: answer}
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
