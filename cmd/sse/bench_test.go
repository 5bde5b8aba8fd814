package main

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.org/sse"
)

func TestBench(t *testing.T) {
	for _, row := range []struct {
		args     string
		code     int
		out, err string
	}{
		{"-c 3 -d 500ms /ticks", 0, "3 of 3 stayed open, 0 reconnections", "="},
		{"-c 3 -d 500ms /ticks", 0, "p99.9", "="},
		{"-c 3 -d 500ms /ticks", 0, "0 missed, 0 repeated", "="},
		{"-c 1 -d 500ms /ticks", 0, "█", "="},
		{"-c 1 -d 300ms /set", 0, "set --time-field to the field", "="},
		{"-c 2 -d 500ms --time-field sent.at /set", 0, "0 missed, 0 repeated", "="},
		{"-c 2 -d 2s --compressed /both", 0, "compression   zstd, which saves", "="},
		{"-c 2 -d 2s -H Accept-Encoding:gzip /both", 0, "compression   gzip, which saves", "="},
		{"-c 2 -d 500ms --compressed /ticks", 0, "compression   none", "="},
		{"-c 1 -d 200ms /silent", 0, "0 in 0.2 s", "="},
		{"-c 2 -d 1s /next", 0, "reconnections", "="},
		{"-c 2 -d 1s --data x /answer", 0, "2 of 2 worked, 8 responses complete", "="},
		{"-c 2 -d 1s --data x /answer", 0, "first event   p50 100 ms", "="},
		{"-c 2 -d 1s --data x /answer", 0, "18 in 1.0 s", "="},
		{"-c 2 -d 1s --data x /204", 1, "0 of 2 worked", "no more events"},
		{"-c 2 -d 1s --data x /cut", 1, "0 of 2 worked", "the connection was cut"},
		{"-c 2 -d 1s -X POST " + refused(t), 1, "0 of 2 worked", "the stream could not be opened: nothing listens"},
		{"-c 2 -d 5s /404", 1, "0 of 2 stayed open", "2 of 2 streams failed: the server answered with 404"},
		{"-c 2 -d 5s /204", 1, "0 of 2 stayed open", "no more events"},
		{"-c 1 -d 5s /html", 1, "0 of 1 stayed open", "text/html"},
		{"-c 1 -d 5s /huge", 1, "0 of 1 stayed open", "event too large"},
		{"-c 1 -d 5s --response-timeout 200ms /dead", 1, "0 of 1", "could not be opened"},
		{"-c 100 -d 5s " + refused(t), 1, "0 of 100 stayed open", "100 of 100 streams failed: the stream could not be opened"},
	} {
		inFakeTime(t, row.args, func(t *testing.T, server *httptest.Server) {
			args := strings.Fields(row.args)
			if url := &args[len(args)-1]; strings.HasPrefix(*url, "/") {
				*url = server.URL + *url
			}
			command(t, "", append([]string{"bench"}, args...)...).check(t, row.code, row.out, row.err)
		})
	}
}

func TestBenchJSON(t *testing.T) { synctest.Test(t, testBenchJSON) }

func testBenchJSON(t *testing.T) {
	server := newServerOn(t, serveInMemory)
	p := command(t, "", "bench", "--json", "-c", "100", "-d", "1s", "--time-field", "sent.at", server.URL+"/set")
	p.check(t, 0, "", "=")
	var r results
	if err := json.Unmarshal([]byte(p.out.String()), &r); err != nil {
		t.Fatal(err)
	}
	// 20 a second.
	if r.Streams != 100 || r.Failed != 0 || r.Events < 1900 || r.Events > 2100 || r.Missed == nil || *r.Missed != 0 || r.Repeated != 0 {
		t.Errorf("%+v", r)
	}
	if r.Connect.Count != 100 || r.Latency.Count != r.Events || r.Latency.P50 > r.Latency.P99 || r.Latency.P99 > r.Latency.Max || r.Identified != r.Events {
		t.Errorf("%+v, connect %+v, latency %+v", r, r.Connect, r.Latency)
	}
}

func TestBenchInterrupted(t *testing.T) {
	p := start(t, nil, "bench", "-c", "2", "-d", "1h", newServer(t).URL+"/ticks")
	p.interrupt()
	p.wait(t)
	p.check(t, 0, "of 2 stayed open", "=")
}

// TestSequence counts the missed and repeated events in the ids of some streams.
func TestSequence(t *testing.T) {
	now := time.Now().UnixMilli()
	for _, row := range []struct {
		streams          string
		missed, repeated int64 // missed is negative if unknown
	}{
		{"1 2 3", 0, 0},
		{"7 8 8 9", 0, 0}, // the second 8 is an event without an id
		{"1 2 5", 2, 0},
		{"1 2 3 2 3 4", 0, 2},
		{"1 2 3 1 2 3 4", 0, 3},
		{"a-1 a-2 a-5", -1, 0}, // the process also numbers events of other sets
		{"a-1 a-2 a-3", 0, 0},
		{"a-1 a-2 a-5|a-2 a-3 a-5|a-1 a-5", 1 + 0 + 2, 0},
		{"a-y a-z a-10 a-z", 0, 1},
		{"a-1 b-1 b-2 b-3 b-4 a-7", 0, 0},
		{"x y z", -1, 0},
		{"10 20 30 41", -1, 0}, // numbers that are not consecutive
		{"10 20 30 20", -1, 1},
		{"7", -1, 0}, // too few to tell
		{"1600000000123 1600000000234 1600000000235 1600000000301", -1, 0},      // times
		{fmt.Sprintf("%d %d %d %d %d", now, now+1, now+2, now+3, now+9), -1, 0}, // times that look consecutive
		{fmt.Sprintf("%d %d %d %d", now/1000, now/1000+1, now/1000+2, now/1000+4), -1, 0},
		{"1600000000123-0 1600000000125-0 1600000000127-0 1600000000127-1", -1, 0}, // of Redis
	} {
		total, streams := newMetrics(""), strings.Split(row.streams, "|")
		for _, stream := range streams {
			metrics, seq := newMetrics(""), new(sequence)
			for id := range strings.FieldsSeq(stream) {
				metrics.event(sse.Event{ID: id}, seq, time.Now())
			}
			total.merge(metrics)
		}
		missed, known := total.missed(len(streams))
		if !known {
			missed = -1
		}
		if missed != row.missed || total.repeated != row.repeated {
			t.Errorf("%s: %d missed, %d repeated; want %d, %d", row.streams, missed, total.repeated, row.missed, row.repeated)
		}
	}
}

func TestTimes(t *testing.T) {
	now := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	sent := now.Add(-5 * time.Millisecond)
	for _, row := range []struct {
		field, data string
		ok          bool
	}{
		{"", "1782907199995000000", true},
		{"", "1782907199995000", true},
		{"", "1782907199995", true},
		{"", `{"sent":1782907199995}`, true},
		{"", "event 7 at 1782907199995", false}, // 7 is the first number
		{"", "42", false},
		{"", "hello", false},
		{"", "", false},
		{"", "99999999999999999999999999", false},
		{"at", `{"at":1782907199995}`, true},
		{"at", `{"at":"1782907199995"}`, true},
		{"at", `{"at":1782907199.995}`, true},
		{"at", `{"at":"2026-07-01T11:59:59.995Z"}`, true},
		{"at", `{"at":"2026-07-01T13:59:59.995+02:00"}`, true},
		{"a.b", `{"a":{"b":1782907199995}}`, true},
		{"a.b", `{"a":[]}`, false},
		{"at", `{"at":null}`, false},
		{"at", `{"at":1e300}`, false},
		{"at", `hello`, false},
		{"at", `{}`, false},
	} {
		got, ok := newMetrics(row.field).sent(row.data, now)
		if ok != row.ok || ok && got.Sub(sent).Abs() > time.Microsecond {
			t.Errorf("%q of %s: %v, %v", row.field, row.data, got, ok)
		}
	}
}
