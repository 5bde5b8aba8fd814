package sse_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"example.org/sse"
)

// At most two streams for a user, who is known by a middleware of the program.
func ExampleLimit() {
	perUser := &sse.Limit{Max: 2, Key: func(r *http.Request) string { return r.Header.Get("User") }}
	options := &sse.AcceptOptions{Limits: []*sse.Limit{perUser}}
	for range 3 {
		r := httptest.NewRequest("GET", "/events", nil)
		r.Header.Set("User", "ann")
		source, err := sse.Accept(httptest.NewRecorder(), r, options)
		if err == nil {
			defer source.Close()
		}
		fmt.Println(perUser.Len("ann"), errors.Is(err, sse.ErrLimited))
	}
	// Output:
	// 1 false
	// 2 false
	// 2 true
}

// A stream that ends with the session that it belongs to.
func ExampleAcceptOptions_expires() {
	r, w := httptest.NewRequest("GET", "/events", nil), httptest.NewRecorder()
	source, err := sse.Accept(w, r, &sse.AcceptOptions{
		Expires:      time.Now().Add(time.Millisecond), // of the session
		ExpiredEvent: sse.Event{Type: "expired"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(source.Wait())
	// Output: sse: stream expired
}

// A logout ends the streams of a user, with an event at which pages close them.
func ExampleSet_CloseAllWith() {
	var hub sse.Hub // with a Log, in all processes
	r, w := httptest.NewRequest("GET", "/events", nil), httptest.NewRecorder()
	source, err := sse.Accept(w, r, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	user := hub.Set("user:42")
	user.Add(source)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err = user.CloseAllWith(ctx, sse.Event{Type: "logout"})
	source.Wait()
	fmt.Printf("%v %v\n%s", err, source.Err(), w.Body)
	// Output:
	// <nil> sse: closed
	// :
	// event: logout
	// data:
}
