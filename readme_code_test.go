package sse_test

import (
	"context"
	"fmt"
	"html/template"
	"io"
	"iter"
	"net"
	"net/http"
	"testing"
	"time"

	"example.org/sse"
	"example.org/sse/backplane"
	"example.org/sse/browser"
	"example.org/sse/locks"
	"example.org/sse/presence"
	"example.org/sse/ssetest"
)

// The README's code, compiled. TestReadme checks that both are equal.

func broadcast() {
	group := sse.Set{Snapshot: func(*sse.EventSource) ([]sse.Event, error) {
		return []sse.Event{{Data: render(board)}}, nil
	}}
	http.Handle("GET /board", &group)
}

func compressed(group *sse.Set) {
	group.AcceptOptions = &sse.AcceptOptions{Compress: []sse.Coding{sse.Gzip()}}
}

func answer(w http.ResponseWriter, r *http.Request) {
	source, err := sse.Accept(w, r, nil)
	if err != nil {
		return // the request has been answered
	}
	defer source.Close()
	for token := range tokens(source.Context()) {
		if source.Dispatch("token", token) != nil {
			return // the client disconnected
		}
	}
}

func detached(l net.Listener, group *sse.Set) *http.Server {
	http.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) {
		sse.Serve(w, r, nil, func(source *sse.EventSource) { group.Add(source) })
	})
	srv := &http.Server{}
	go srv.Serve(sse.Listener(l))
	return srv
}

func module() {
	http.Handle("GET /eventsource.js", browser.Handler())
}

func viewPerClient() {
	users.DispatchFunc(func(s *sse.EventSource, user string) (sse.Event, bool) {
		return sse.Event{Type: "greeting", Data: "hello, " + user}, user != ""
	})
}

func lockSite(key []byte, user string) (string, presence.Session) {
	people := &presence.Tracker{Key: key, User: currentUser} // currentUser func(*http.Request) string
	cards := &locks.Table[int]{Presence: people}
	http.Handle("/page.js", people)                      // the page's script, and its messages
	http.Handle("GET /locks", cards)                     // a stream of the page: JSON of all locks
	http.Handle("POST /locks", cards.Handler(cardID))    // take, queue, steal, release, renew
	http.Handle("POST /save", cards.Guard(cardID, save)) // refused unless the page has the lock

	token, session := people.Token(user) // for the page, which says Cache-Control: no-store
	return token, session
}

func currentUser(*http.Request) string                         { return "" }
func cardID(*http.Request) (int, error)                        { return 0, nil }
func save(http.ResponseWriter, *http.Request, locks.Lock[int]) {}

func shared(log backplane.Log) *sse.Set {
	hub := sse.Hub{Log: log} // from natslog.Open(ctx, nc, "cards", nil), redislog.Open or pglog.Open
	return hub.Set("board")
}

func rendered(ctx context.Context, templates *template.Template, component interface {
	Render(ctx context.Context, w io.Writer) error
}, card any) (string, error) {
	data, err := sse.HTML(templates, "card", card) // html/template
	data, err = sse.Component(ctx, component)      // templ
	data, err = sse.JSON(card)
	return data, err
}

func read(ctx context.Context) error {
	client := sse.Client{URL: "https://example.org/events", IdleTimeout: time.Minute}
	for event, err := range client.Events(ctx) {
		if err != nil {
			return err // a 404, an HTML page, a canceled context, ...
		}
		fmt.Println(event.Type, event.Data)
	}
	return nil
}

func shutDown(ctx context.Context, srv *http.Server) error {
	err := srv.Shutdown(ctx)
	return err
}

func TestMissedEvents(t *testing.T) {
	var group sse.Set
	server := ssetest.NewServer(&group) // or any other handler
	defer server.Close()

	page := server.Open(t, "/events")
	ssetest.AwaitLen(t, &group, 1)
	group.Dispatch("", "one")
	if e := page.Next(); e.Data != "one" {
		t.Errorf("got %+v", e)
	}

	page.Close()
	group.Dispatch("", "two")
	page.Reconnect()
	if e := page.Next(); e.Data != "two" {
		t.Errorf("got %+v", e)
	}
}

var (
	_ = []any{broadcast, compressed, answer, detached, module, viewPerClient, lockSite, shared, rendered, read, shutDown}

	board  any
	users  sse.Map[string]
	render func(any) string
	tokens func(context.Context) iter.Seq[string]
)
