package main

import (
	"net/http"
	"time"

	"example.org/sse"
)

func main() {
	var group sse.Set
	go func() {
		for now := range time.Tick(time.Second) {
			group.Dispatch("", now.Format("<b>15:04:05</b>"))
		}
	}()
	http.Handle("GET /events", &group)
	http.ListenAndServe("localhost:8080", nil)
}
