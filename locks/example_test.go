package locks_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"

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

func Example() {
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
