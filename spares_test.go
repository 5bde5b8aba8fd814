package sse_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"example.org/sse"
)

// A connection that a browser has opened in reserve does not hold a shutdown up,
// for which net/http alone takes five seconds. What is being answered goes on.
func TestSpareConnection(t *testing.T) {
	address := freeAddress(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	answering := make(chan bool)
	var told atomic.Int32
	srv := &http.Server{
		Addr: address,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			answering <- true
			time.Sleep(1500 * time.Millisecond) // longer than a spare connection lives
			fmt.Fprint(w, "whole")
		}),
		ConnState: func(net.Conn, http.ConnState) { told.Add(1) },
	}
	go func() { ended <- sse.ListenAndServe(ctx, srv) }()
	listening(t, address)
	var conns []net.Conn
	for range 2 {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns = append(conns, c)
	}
	fmt.Fprint(conns[0], "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	<-answering
	start := time.Now()
	cancel()
	response, err := http.ReadResponse(bufio.NewReader(conns[0]), nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(response.Body); string(body) != "whole" || err != nil {
		t.Errorf("answered with %q, %v", body, err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > 4*time.Second {
		t.Errorf("shutting down took %v", took)
	}
	if told.Load() == 0 {
		t.Error("the program's own ConnState was not called")
	}
}
