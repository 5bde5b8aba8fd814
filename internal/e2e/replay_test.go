package e2e

import (
	"context"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"example.org/sse"
	"example.org/sse/ssetest"
)

// readReplay reads the text of a set from any of the servers, and loses its connection
// at random: it reloads the page, or resumes. It joins when the text is running.
func readReplay(ctx context.Context, servers []*ssetest.Server, reloads bool) (text string, err error) {
	client := new(sse.Client)
	for {
		server := servers[rand.IntN(len(servers))]
		client.URL, client.HTTPClient = server.URL, server.Client()
		n := 1 + rand.IntN(60)
		for e, err := range client.Events(ctx) {
			if err != nil {
				return text, err
			}
			switch e.Type {
			case "message":
				text += e.Data
			case "gap":
				text = ""
			case "end":
				return text, nil
			}
			if n--; n <= 0 && reloads {
				break
			}
		}
		if reloads = rand.IntN(6) > 0; rand.IntN(2) > 0 {
			client, text = new(sse.Client), ""
		}
	}
}

// Sixty readers join a text that is running on three hubs on a broker, and half of them
// come back to any of them: each has the exact text, with its end.
func TestReplayOnBroker(t *testing.T) {
	skipShort(t)
	b := startBroker(t, 1)
	var hubs []*sse.Hub
	var servers []*ssetest.Server
	for range 3 {
		hub := &sse.Hub{Log: b.log(t, 0, "texts", nil), NewSet: func(_ string, s *sse.Set) { s.Replay = true }}
		defer hub.Close()
		server := ssetest.NewServer(hub.Set("text"))
		defer server.Close()
		hubs, servers = append(hubs, hub), append(servers, server)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	const readers, words = 60, 400
	var want string
	var reading sync.WaitGroup
	texts, errs := make([]string, readers), make([]error, readers)
	for i := range words {
		word := strconv.Itoa(i) + " "
		want += word
		if _, err := hubs[i%3].Set("text").Dispatch("", word); err != nil {
			t.Fatal(err)
		}
		if n := i / 5; i%5 == 0 && n < readers {
			reading.Go(func() { texts[n], errs[n] = readReplay(ctx, servers, n%2 > 0) })
		}
		time.Sleep(time.Millisecond) // so that they join a text that is running
	}
	hubs[0].Set("text").Dispatch("end", "")
	reading.Wait()
	for i, got := range texts {
		if got != want || errs[i] != nil {
			t.Errorf("reader %d: got %d bytes %.60q, error %v; want %d bytes", i, len(got), got, errs[i], len(want))
		}
	}
}
