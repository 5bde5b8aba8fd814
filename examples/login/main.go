// Login notifies users behind a login: in all of their tabs, until they log out.
package main

import (
	"cmp"
	"context"
	"crypto/rand"
	_ "embed"
	"flag"
	"io"
	"log"
	"net/http"
	"sync"
	"time"

	"example.org/sse"
	"example.org/sse/tickets"
)

//go:embed page.html
var page string

func main() {
	addr := flag.String("addr", "localhost:8080", "where to listen")
	age := flag.Duration("session", 30*time.Minute, "how long a session is valid")
	flag.Parse()
	if err := sse.ListenAndServe(context.Background(), &http.Server{Addr: *addr, Handler: routes(*age)}); err != nil {
		log.Fatal(err)
	}
}

type session struct {
	id, user string
	expires  time.Time
}

func routes(age time.Duration) http.Handler {
	var sessions sync.Map     // by id; for several processes a database,
	var hub sse.Hub           // with a Log,
	var issuer tickets.Issuer // with a Key and a Store
	user := func(r *http.Request) string { return r.PathValue("user") }
	limits := []*sse.Limit{{Max: 3, Key: user, Event: sse.Event{Type: "full"}}, {Max: 10_000}}
	sameOrigin, logout := http.NewCrossOriginProtection(), sse.Event{Type: "logout"}
	require := func(h func(http.ResponseWriter, *http.Request, session)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			c, _ := r.Cookie("session")
			v, _ := sessions.Load(cmp.Or(c, new(http.Cookie)).Value)
			s, _ := v.(session)
			if !time.Now().Before(s.expires) {
				http.Error(w, "please log in", http.StatusUnauthorized)
				return
			}
			r.SetPathValue("user", s.user)
			h(w, r, s)
		}
	}
	events := require(func(w http.ResponseWriter, r *http.Request, s session) {
		o := &sse.AcceptOptions{Limits: limits, CrossOrigin: sameOrigin, Expires: s.expires, ExpiredEvent: logout}
		sse.Serve(w, r, o, func(source *sse.EventSource) {
			hub.Add(source, "user:"+s.user)
			if _, ok := sessions.Load(s.id); !ok {
				source.Close() // the user has just logged out; the page reconnects, and gets the 401
			}
		})
	})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, page) })
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		s := session{rand.Text(), r.FormValue("user"), time.Now().Add(age)} // check a password before
		sessions.Store(s.id, s)
		http.SetCookie(w, &http.Cookie{Name: "session", Value: s.id, HttpOnly: true, SameSite: http.SameSiteLaxMode})
		http.Redirect(w, r, "/", http.StatusSeeOther)
	})
	mux.HandleFunc("POST /logout", require(func(w http.ResponseWriter, r *http.Request, s session) {
		for id, v := range sessions.Range {
			if v.(session).user == s.user {
				sessions.Delete(id)
			}
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), time.Minute)
		defer cancel()
		if err := hub.Set("user:"+s.user).CloseAllWith(ctx, logout); err != nil {
			http.Error(w, "please try again", http.StatusServiceUnavailable) // the log is away
		}
	}))
	mux.HandleFunc("POST /notify", require(func(_ http.ResponseWriter, r *http.Request, _ session) {
		hub.Set("user:"+r.FormValue("to")).Dispatch("", r.FormValue("text"))
	}))
	mux.Handle("GET /events", events)
	mux.HandleFunc("POST /ticket", require(func(w http.ResponseWriter, _ *http.Request, s session) {
		io.WriteString(w, issuer.Issue(s.id, "/ticketed"))
	}))
	mux.HandleFunc("GET /ticketed", func(w http.ResponseWriter, r *http.Request) {
		id, _ := issuer.Redeem(r)
		r.Header.Set("Cookie", "session="+id)
		events(w, r)
	})
	return sameOrigin.Handler(mux)
}
