package e2e

import (
	"bufio"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"example.org/sse"
)

// openStreams opens streams, one after the other, until the test ends.
func openStreams(t *testing.T, client *http.Client, url string, n int) (streams []*stream) {
	t.Helper()
	for range n {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { response.Body.Close() })
		if response.StatusCode != http.StatusOK {
			t.Fatalf("got %s", response.Status)
		}
		streams = append(streams, &stream{response, bufio.NewScanner(response.Body)})
	}
	return streams
}

func awaitMembers(t *testing.T, group *sse.Set, want int) {
	t.Helper()
	eventually(t, soon, func() string {
		if n := group.Len(); n != want {
			return fmt.Sprintf("%d members, want %d", n, want)
		}
		return ""
	})
}

// wantEvent reads an event whose data is a number, and returns its id.
func wantEvent(t *testing.T, n int, s *stream, want int) (id string) {
	t.Helper()
	for s.lines.Scan() {
		name, value, _ := strings.Cut(s.lines.Text(), ": ")
		switch {
		case name == "id":
			id = value
		case name == "data" && value != fmt.Sprint(want):
			t.Fatalf("stream %d: got event %s, want %d", n, value, want)
		case name == "" && id != "":
			return id
		}
	}
	t.Fatalf("stream %d: got error %v, want event %d", n, s.lines.Err(), want)
	return ""
}

// wantRetries is wantEnds for streams that were ended by a shutdown.
func wantRetries(t *testing.T, streams []*stream) {
	t.Helper()
	for i, stream := range streams {
		if !stream.sees("retry: ") {
			t.Errorf("stream %d ended without a reconnection time", i)
		}
	}
	wantEnds(t, streams)
}

// wantEnds reads the streams to their ends, which must be clean.
func wantEnds(t *testing.T, streams []*stream) {
	t.Helper()
	for i, stream := range streams {
		for stream.lines.Scan() {
		}
		if err := stream.lines.Err(); err != nil {
			t.Errorf("stream %d: got %v, want a clean end", i, err)
		}
	}
}

// endStalled has a client that reads nothing, which ends its stream and holds up no other
// client. The set must have no members.
func endStalled(t *testing.T, group *sse.Set, client *http.Client, url string) {
	t.Helper()
	opened := openStreams(t, client, url, 2)
	awaitMembers(t, group, 2)
	reads := opened[1]
	for i := 0; group.Len() > 1; i++ {
		if i == 4096 { // 128 MiB are more than is buffered on the way
			t.Fatal("the stream of a client that reads nothing goes on")
		}
		group.Dispatch("filler", strings.Repeat("x", 32<<10))
		group.Dispatch("", fmt.Sprint(i))
		if want := fmt.Sprint("data: ", i); !reads.sees(want) {
			t.Fatalf("event %d: the other stream has ended, error %v", i, reads.lines.Err())
		}
	}
	eventually(t, soon, func() string {
		if stats := sse.ReadStats(); stats.Attached != 1 {
			return fmt.Sprintf("%+v, want 1 attached", stats)
		}
		return ""
	})
	group.CloseAll()
	wantEnds(t, opened[1:])
}
