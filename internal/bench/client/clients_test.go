//go:build linux

package client_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"example.org/sse/internal/bench/client"
)

// The clients report what is wrong with any stream.
func TestClients(t *testing.T) {
	for _, test := range []struct {
		name, body, fault string
	}{
		{"right", body(0, 0, 1, 2, 3), ""},
		{"lost", body(0, 1, 3), "event 3 came when it was 2's turn"},
		{"lost the first", body(0, 2, 3), "event 2 came when it was 1's turn"},
		{"doubled", body(0, 1, 1, 2), "event 1 came when it was 2's turn"},
		{"swapped", body(0, 2, 1, 3), "event 2 came when it was 1's turn"},
		{"greeted late", body(0, 1, 0, 2), "event 0 came when it was 2's turn"},
	} {
		for _, http2 := range []bool{false, true} {
			s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				http.NewResponseController(w).Flush()
				io.WriteString(w, test.body)
			}))
			s.Config.Protocols = new(http.Protocols)
			s.Config.Protocols.SetHTTP1(!http2)
			s.Config.Protocols.SetUnencryptedHTTP2(http2)
			s.Start()
			c, err := client.Open(t.Context(), s.Listener.Addr().String(), client.Options{Streams: 3, HTTP2: http2})
			if err != nil {
				t.Fatal(err)
			}
			var got client.Progress
			err = c.Wait(10*time.Second, func(p client.Progress) bool { got = p; return p.Ended == 3 })
			clean, last := c.Ended()
			c.Close()
			s.Close()
			switch {
			case test.fault != "":
				if err == nil || !strings.Contains(err.Error(), test.fault) {
					t.Errorf("%s, HTTP/2 %t: got error %v, want %q", test.name, http2, err, test.fault)
				}
			case err != nil || got != (client.Progress{Greeted: 3, Complete: 3, Ended: 3}) || clean != 3:
				t.Errorf("%s, HTTP/2 %t: got %+v, %d clean, error %v", test.name, http2, got, clean, err)
			case c.Half(3) > c.Last(3) || c.Last(3) < c.Last(1) || last < c.Last(3):
				t.Errorf("%s, HTTP/2 %t: got times %d, %d, %d, %d out of order", test.name, http2, c.Last(1), c.Half(3), c.Last(3), last)
			}
		}
	}
}
