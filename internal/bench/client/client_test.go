//go:build linux

package client_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"example.org/sse/internal/bench/client"
	"example.org/sse/internal/bench/control"
)

// What goes wrong with one of its streams, the client must say.
func TestClientReports(t *testing.T) {
	for _, test := range []struct {
		name, body string
		want       control.ClientReport
		fault      string
	}{
		{"right", body(0, 1, 2, 3), control.ClientReport{Clean: 3}, ""},
		{"lost", body(0, 1, 3), control.ClientReport{Clean: 3, Lost: 3}, "event 3 came out of order to client"},
		{"doubled", body(0, 1, 1, 2), control.ClientReport{Clean: 3, Doubled: 3}, "event 1 came out of order to client"},
		{"swapped", body(0, 2, 1, 3), control.ClientReport{Clean: 3, Swapped: 3}, "event 2 came out of order to client"},
	} {
		for _, http2 := range []bool{false, true} {
			progress, report := run(t, test.body, http2)
			report.Lasts, report.LastEnd = nil, 0
			if fmt.Sprint(report) != fmt.Sprint(test.want) || !strings.HasPrefix(progress.Fault, test.fault) || (test.fault == "") != (progress.Fault == "") {
				t.Errorf("%s, HTTP/2 %t: got %+v and %q", test.name, http2, report, progress.Fault)
			}
		}
	}
}

// run plays three clients of a server that answers with the body.
func run(t *testing.T, body string, http2 bool) (last control.Progress, report control.ClientReport) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.NewResponseController(w).Flush()
		io.WriteString(w, body)
	}))
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetHTTP1(!http2)
	s.Config.Protocols.SetUnencryptedHTTP2(http2)
	s.Start()
	defer s.Close()

	requests, in := net.Pipe()
	out, replies := net.Pipe()
	done := make(chan error, 1)
	go func() { done <- client.Run(t.Context(), requests, replies) }()
	w, answers := control.NewWriter(in), json.NewDecoder(out)
	w.Write(control.Request{Op: control.Open, Addr: s.Listener.Addr().String(), HTTP2: http2, Streams: 3})
	for asked := false; ; {
		var r control.Reply
		if err := answers.Decode(&r); err != nil {
			t.Fatal(err)
		}
		if r.Progress != nil {
			last = *r.Progress
		}
		if r.Report != nil {
			report = *r.Report
			break
		}
		if last.Ended == 3 && !asked {
			asked = true
			go w.Write(control.Request{Op: control.Report})
		}
	}
	in.Close()
	out.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
	return last, report
}
