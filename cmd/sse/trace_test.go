package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestVerbose checks the heads that -v prints, and that no secret is among them.
func TestVerbose(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Set-Cookie", "session=secret; Path=/")
		mirror(w, r)
	})
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://me:secret@"+r.Host+"/ok", http.StatusFound)
	})
	plain := httptest.NewServer(mux)
	defer plain.Close()
	h2 := httptest.NewUnstartedServer(mux)
	h2.EnableHTTP2 = true
	h2.StartTLS()
	defer h2.Close()
	for _, row := range []struct{ args, want string }{
		{"tail -v -n 1 -u me:secret " + plain.URL + "/ok", "> GET /ok HTTP/1.1\n> Host: 127.0.0.1:"},
		{"tail -v -n 1 -u me:secret " + plain.URL + "/ok", "\n> Authorization: Basic xxxxx\n"},
		{"tail -v -n 1 -u me:secret " + plain.URL + "/ok", "\n> Accept: text/event-stream\n"},
		{"tail -v -n 1 -u me:secret " + plain.URL + "/ok", "\n< HTTP/1.1 200 OK\n"},
		{"tail -v -n 1 -u me:secret " + plain.URL + "/ok", "\n< Set-Cookie: xxxxx\n"},
		{"tail -v -n 1 -H Cookie:a=secret " + plain.URL + "/ok", "\n> Cookie: xxxxx\n"},
		{"tail -v -n 1 -H X-Api-Key:secret " + plain.URL + "/ok", "\n> X-Api-Key: xxxxx\n"},
		{"tail -v -n 1 -H Authorization:secret " + plain.URL + "/ok", "\n> Authorization: xxxxx\n"},
		{"tail -v -n 1 " + plain.URL + "/moved", "\n< Location: http://me:xxxxx@127.0.0.1"},
		{"tail -v -n 1 " + plain.URL + "/moved", "\n> GET /ok HTTP/1.1\n"},
		{"tail -v -k -n 1 -u me:secret " + h2.URL + "/ok", "> GET /ok HTTP/2\n> Host: 127.0.0.1:"},
		{"tail -v -k -n 1 -u me:secret " + h2.URL + "/ok", "\n< HTTP/2.0 200 OK\n"},
		{"doctor -v --wait 1 -u me:secret " + plain.URL + "/ok", "> OPTIONS /ok HTTP/1.1\n"},
		{"bench -v -c 3 -d 1ms -u me:secret " + plain.URL + "/ok", "> GET /ok HTTP/1.1\n"},
		{"bench -v -c 3 -d 1ms -u me:secret " + refused(t), ""},
	} {
		p := command(t, "", strings.Fields(row.args)...)
		got := p.err.String()
		if strings.Contains(got, "secret") || !strings.Contains(strings.ReplaceAll(got, "\r", ""), row.want) {
			t.Errorf("%s: got %s\nwant %s and no secret", row.args, got, row.want)
		}
		if strings.HasPrefix(row.args, "bench") && strings.Count(got, "> GET") > 1 {
			t.Errorf("%s: more than the first request: %s", row.args, got)
		}
		if strings.HasPrefix(row.args, "bench") && strings.Contains(got, "Accept-Encoding") {
			t.Errorf("%s: asks for compression without --compressed: %s", row.args, got)
		}
	}
}
