// Command service is a site that systemd, Docker or another supervisor starts and stops.
package main

import (
	"context"
	"encoding/json"
	"log"
	"net"
	"net/http"
	"os"

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
	if err == nil {
		err = sse.ServeListener(context.Background(), new(http.Server), l)
	}
	if err != nil {
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
