package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"example.org/sse"
)

// strict are options with everything in them that a client can take for an event.
var strict = &sse.AcceptOptions{Retry: 100 * time.Millisecond, KeepAlive: 20 * time.Millisecond}

// marshal returns JSON of something that has some.
func marshal(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(data)
}

// A completion streams events, and between those before and after a shutdown waits
// for it if the request says so.
func completion(events ...sse.Event) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		source, err := sse.Accept(w, r, strict)
		if err != nil {
			return
		}
		defer source.Close()
		for i, e := range events {
			if i == len(events)/2 && strings.Contains(string(body), "hang") {
				<-source.Done()
			}
			if source.DispatchEvent(e) != nil {
				return
			}
		}
	})
}

func openaiChunk(text string) sse.Event {
	return sse.Event{Data: marshal(map[string]any{
		"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "test",
		"choices": []any{map[string]any{"index": 0, "delta": map[string]any{"content": text}, "finish_reason": nil}},
	})}
}

func anthropicEvent(typ string, fields map[string]any) sse.Event {
	fields["type"] = typ
	return sse.Event{Type: typ, Data: marshal(fields)}
}

func anthropicText(text string) sse.Event {
	return anthropicEvent("content_block_delta", map[string]any{
		"index": 0, "delta": map[string]any{"type": "text_delta", "text": text},
	})
}

// A client of a language model gets all of an answer, and of one that a shutdown ends
// what was sent before: no comment and no reconnection time is an event, and the end is
// no error.
func TestModelClients(t *testing.T) {
	tests := []struct {
		script string
		events []sse.Event
		want   []string
	}{
		{"openai.mjs", []sse.Event{openaiChunk("a"), openaiChunk("c"), openaiChunk("d"), {Data: "[DONE]"}}, []string{"text a", "text c", "text d"}},
		{"anthropic.mjs", []sse.Event{
			anthropicEvent("message_start", map[string]any{"message": map[string]any{"id": "1", "type": "message", "role": "assistant", "content": []any{}, "model": "test"}}),
			anthropicText("a"), anthropicText("b"),
			anthropicEvent("message_stop", map[string]any{}),
		}, []string{"message_start", "text a", "text b", "message_stop"}},
	}
	for _, test := range tests {
		t.Run(test.script, func(t *testing.T) {
			t.Parallel()
			site := startRestartable(t, completion(test.events...), false)
			client := runScript(t, test.script, "http://"+site.addr)
			whole := append(test.want, "end")
			client.say("answer")
			client.want(whole...)

			client.say("hang")
			client.want(test.want[:len(test.events)/2]...)
			time.Sleep(5 * strict.KeepAlive) // so that comments are sent
			site.shutdown()
			client.want("end")

			site.start()
			client.say("answer")
			client.want(whole...)
		})
	}
}

// An EventSource reconnects after a shutdown, and resumes.
func TestEventSourceClient(t *testing.T) {
	group := sse.Set{AcceptOptions: strict}
	site := startRestartable(t, &group, false)
	client := runScript(t, "eventsource.mjs", "http://"+site.addr)
	awaitMember(t, &group)
	group.Dispatch("", "one")
	client.want("data one")
	site.shutdown()
	group.Dispatch("", "two")
	site.start()
	client.want("data two")
	group.Dispatch("", "three")
	client.want("data three")
	site.wantResumed(1)
}

// awaitMember waits until a client is there.
func awaitMember(t *testing.T, group *sse.Set) {
	t.Helper()
	eventually(t, patience, func() string {
		if got := group.Len(); got != 1 {
			return fmt.Sprintf("%d members, want 1", got)
		}
		return ""
	})
}
