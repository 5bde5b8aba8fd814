package locks_test

import (
	"context"
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"

	"example.org/sse"
	"example.org/sse/locks"
	"example.org/sse/presence"
)

// open opens a page's stream and returns its session, and its token.
func open(people *presence.Tracker, user string) (one presence.Session, token string) {
	token, one = people.Token(user)
	r := httptest.NewRequest("GET", "/events?page="+token, nil)
	source, _ := sse.Accept(httptest.NewRecorder(), r, nil)
	people.Connect(source, one)
	return one, token
}

func session(people *presence.Tracker, user string) presence.Session {
	one, _ := open(people, user)
	return one
}

// Pages lock a card while they edit it. Each page has a token, and the script:
//
//	<script type="module" src="/page.js" data-page="{{.Token}}"></script>
//	<script type="module">
//	  import { connect } from "/page.js"
//
//	  const locks = connect("/locks")
//	  locks.addEventListener("locks", event => …)	// JSON of all locks
//	  locks.addEventListener("lock", event => …)	// JSON of one, after each change
//	</script>
func Example() {
	currentUser := func(r *http.Request) string { return r.Header.Get("User") } // or of a cookie
	cardID := func(r *http.Request) (int, error) { return strconv.Atoi(r.FormValue("card")) }
	save := func(w http.ResponseWriter, r *http.Request, lock locks.Lock[int]) {
		fmt.Printf("%s saves card %d: %s\n", lock.Holder.User, lock.Key, r.FormValue("text"))
	}
	mux := http.NewServeMux()

	people := &presence.Tracker{Key: []byte("32 random bytes, which are kept."), User: currentUser}
	cards := &locks.Table[int]{Presence: people}
	defer cards.Close()
	mux.Handle("/page.js", people)                      // the script, and its messages
	mux.Handle("GET /locks", cards)                     // a stream of the page
	mux.Handle("POST /locks", cards.Handler(cardID))    // take, queue, steal, release, renew
	mux.Handle("POST /save", cards.Guard(cardID, save)) // refused unless the page has the lock
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		token, _ := people.Token(currentUser(r))
		w.Header().Set("Cache-Control", "no-store") // two pages must not have one token
		pageHTML.Execute(w, token)
	})

	browse(mux)
	// Output:
	// Ann gets locks: []
	// Ann takes card 7: 200, held by Ann
	// Bob takes card 7: 409 held, held by Ann
	// Bob queues for card 7: 200, held by Ann
	// Ann saves card 7: better
	// Ann releases card 7: 200, held by Bob
	// Ann saves card 7: 409
	// Ann gets taken queued released
}

// A session that waits gets the lock when its holder is gone.
func ExampleTable_Queue() {
	var people presence.Tracker
	cards := locks.Table[int]{
		Presence: &people,
		Changed: func(c locks.Change[int]) {
			fmt.Printf("card %d: %s, now %q, from %q, %d wait\n", c.Key, c.Cause, c.Holder.User, c.From.User, len(c.Queue))
		},
	}
	defer cards.Close()
	ctx := context.Background()

	ann, bob := session(&people, "Ann"), session(&people, "Bob")
	cards.Take(ctx, ann, 7)
	if lock, err := cards.Take(ctx, bob, 7); errors.Is(err, locks.ErrHeld) {
		fmt.Println(lock.Holder.User, "edits this card")
	}
	cards.Queue(ctx, bob, 7)
	people.Leave(ann) // her page says goodbye
	// Output:
	// card 7: taken, now "Ann", from "", 0 wait
	// Ann edits this card
	// card 7: queued, now "Ann", from "", 1 wait
	// card 7: left, now "Bob", from "Ann", 0 wait
}

func ExampleTable_Steal() {
	var people presence.Tracker
	cards := locks.Table[int]{
		Presence: &people,
		Changed: func(c locks.Change[int]) {
			if c.Cause == locks.Stolen {
				fmt.Printf("To %s: %s has taken over: %s\n", c.From.User, c.Holder.User, c.Reason)
			}
		},
	}
	defer cards.Close()
	ann, bob := session(&people, "Ann"), session(&people, "Bob")
	cards.Take(context.Background(), ann, 7)
	cards.Steal(context.Background(), bob, 7, "you have been at lunch for an hour")
	// Output: To Ann: Bob has taken over: you have been at lunch for an hour
}

// A save is refused once the lock is lost.
func ExampleTable_Guard() {
	var people presence.Tracker
	cards := locks.Table[int]{Presence: &people}
	defer cards.Close()
	save := cards.Guard(func(r *http.Request) (int, error) {
		return strconv.Atoi(r.FormValue("card"))
	}, func(w http.ResponseWriter, r *http.Request, lock locks.Lock[int]) {
		fmt.Fprintf(w, "saved for %s", lock.Holder.User)
	})

	ann, token := open(&people, "Ann")
	lock, _ := cards.Take(context.Background(), ann, 7)
	post := func() {
		url := fmt.Sprintf("/save?page=%s&card=7&fence=%d", token, lock.Fence)
		w := httptest.NewRecorder()
		save.ServeHTTP(w, httptest.NewRequest("POST", url, nil))
		fmt.Println(w.Code, w.Body)
	}
	post()
	cards.Steal(context.Background(), session(&people, "Bob"), 7, "in a hurry")
	post()
	// Output:
	// 200 saved for Ann
	// 409 You no longer hold the lock. Nothing was saved.
}

// A program that sends more than the locks over a page's stream opens the stream itself,
// and renders the locks.
func ExampleTable_Add() {
	var people presence.Tracker
	cards := locks.Table[int]{
		Presence:      &people,
		ChangeEvent:   func(c locks.Change[int]) sse.Event { return icon(c.Lock) },
		SnapshotEvent: func(all []locks.Lock[int]) sse.Event { return icon(all...) },
	}
	defer cards.Close()
	var board sse.Set
	http.HandleFunc("GET /board", func(w http.ResponseWriter, r *http.Request) {
		session, err := people.Session(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		sse.Serve(w, r, nil, func(source *sse.EventSource) {
			people.Connect(source, session, "board")
			people.Watch(source, "board") // who is here
			cards.Add(source)             // who edits what
			board.Add(source)             // and the rest
		})
	})
}

// icon renders locks as HTML.
func icon(all ...locks.Lock[int]) sse.Event {
	var b strings.Builder
	for _, l := range all {
		fmt.Fprintf(&b, "<hx-partial hx-target='#card-%d .lock'>%s</hx-partial>", l.Key, html.EscapeString(l.Holder.User))
	}
	return sse.Event{Data: b.String()}
}
