package main

import (
	"io"
	"net/http"
	"testing"
	"testing/synctest"
)

// The doctor takes for an event stream what Chromium does.
func TestDoctorContentType(t *testing.T) {
	for _, row := range []struct {
		value string
		level level
		text  string
	}{
		{"text/event-stream; charset=ISO-8859-1", broken, "a charset except utf-8"},
		{"text/event-stream, text/html", broken, "text/event-stream, text/html"},
		{"text/event-stream; charset", fine, "text/event-stream"},
		{"text/html, text/event-stream", fine, "text/html, text/event-stream"},
	} {
		synctest.Test(t, func(t *testing.T) {
			server := serveInMemory(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", row.value)
				io.WriteString(w, "id: 1\ndata: a\n\n")
			}))
			defer server.Close()
			findings, _ := examine(t, server.URL, "1s")
			has(t, findings, "answer", row.level, row.text)
		})
	}
}
