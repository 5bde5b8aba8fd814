// Command service is a site that systemd, Docker or another supervisor starts and stops.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"example.org/sse"
)

func main() {
	var board sse.Set
	http.Handle("GET /events", &board)
	http.HandleFunc("POST /say", func(_ http.ResponseWriter, r *http.Request) {
		board.Dispatch("", r.FormValue("text"))
	})
	http.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) {
		if err := json.NewEncoder(w).Encode(sse.ReadStats()); err != nil {
			log.Print(err)
		}
	})

	l, err := listen()
	if err != nil {
		log.Fatal(err)
	}
	leaving, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	srv := new(http.Server)
	go func() {
		if err := srv.Serve(sse.Listener(l)); !errors.Is(err, http.ErrServerClosed) {
			log.Fatal(err)
		}
	}()
	<-leaving.Done()
	grace, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := srv.Shutdown(grace); err != nil {
		log.Fatal(err)
	}
}

// listen takes the socket that systemd has opened, if there is one.
func listen() (net.Listener, error) {
	if os.Getenv("LISTEN_FDS") == "" {
		return net.Listen("tcp", os.Getenv("ADDR"))
	}
	return net.FileListener(os.NewFile(3, "site.socket"))
}
