// Mcp serves the Model Context Protocol over Streamable HTTP. The answer to a call is
// kept in a log: a client that lost it resumes in any process, even a newer one. The server
// is a small one of its own, since that of the official SDK has its sessions in memory: it
// resumes answers only in the process that had the session, and without sessions none.
package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net/http"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"example.org/sse"
	"example.org/sse/backplane"
	"example.org/sse/natslog"
)

func main() {
	addr := flag.String("addr", "localhost:8080", "address to listen on")
	broker := flag.String("nats", "nats://localhost:4222", "URL of a NATS server with JetStream")
	flag.Parse()
	nc, err := nats.Connect(*broker, natslog.ConnOptions()...)
	if err != nil {
		log.Fatal(err)
	}
	events, err := natslog.Open(context.Background(), nc, "mcp", nil)
	if err == nil {
		err = sse.ListenAndServe(context.Background(), &http.Server{Addr: *addr, Handler: newServer(events)})
	}
	if err != nil {
		log.Fatal(err)
	}
}

// A server has a set for each call.
type server struct{ calls sse.Hub }

func newServer(l backplane.Log) *server {
	return &server{sse.Hub{Log: l, NewSet: func(_ string, s *sse.Set) { s.Replay = true }}}
}

type object = map[string]any

type request struct {
	ID     json.RawMessage
	Method string
	Params struct {
		ProtocolVersion string
		Meta            struct{ ProgressToken json.RawMessage } `json:"_meta"`
	}
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var q request
	answer := func(result any) {
		data, _ := sse.JSON(object{"jsonrpc": "2.0", "id": q.ID, "result": result})
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, data)
	}
	if call, _, ok := strings.Cut(r.Header.Get("Last-Event-ID"), "/"); ok && r.Method == http.MethodGet {
		s.serve(w, r, call)
	} else if r.Method != http.MethodPost || json.NewDecoder(r.Body).Decode(&q) != nil {
		w.WriteHeader(http.StatusMethodNotAllowed)
	} else if q.Method == "initialize" {
		answer(object{"protocolVersion": q.Params.ProtocolVersion, "capabilities": object{"tools": object{}}, "serverInfo": object{"name": "example", "version": "1"}})
	} else if q.Method == "tools/list" {
		answer(object{"tools": []object{{"name": "dig", "inputSchema": object{"type": "object"}}}})
	} else if q.Method == "tools/call" {
		call := rand.Text()
		go s.run(call, q)
		s.serve(w, r, call)
	} else {
		w.WriteHeader(http.StatusAccepted) // a notification
	}
}

// serve streams the answer to a call, and ends the stream after the result.
func (s *server) serve(w http.ResponseWriter, r *http.Request, call string) {
	sse.Serve(w, r, nil, func(source *sse.EventSource) {
		s.calls.Set(call).AddFunc(source, func(e sse.Event) (sse.Event, bool) {
			if strings.HasSuffix(e.ID, "/result") {
				go source.Close() // which sends it first
			}
			return e, true
		})
	})
}

// run calls the only tool. The call is found again by the ids of its events.
func (s *server) run(call string, q request) {
	dispatch := func(id string, message object) {
		message["jsonrpc"] = "2.0"
		data, _ := sse.JSON(message) // of strings and numbers
		s.calls.Set(call).DispatchEvent(sse.Event{ID: call + "/" + id, Data: data})
	}
	for i := range 10 {
		dispatch(fmt.Sprint(i), object{"method": "notifications/progress", "params": object{"progressToken": q.Params.Meta.ProgressToken, "progress": i}})
		time.Sleep(time.Second / 5) // it digs
	}
	dispatch("result", object{"id": q.ID, "result": object{"content": []object{{"type": "text", "text": "gold"}}}})
}
