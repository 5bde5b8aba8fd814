package e2e

import (
	"encoding/json"
	"net/http"
	"testing"

	"example.org/sse"
)

// A toolServer is a server of the Model Context Protocol, with Streamable HTTP: each
// call's answer is a stream, which the client resumes with GET. It has one call at a
// time.
type toolServer struct {
	answer sse.Set
	calls  chan toolCall
}

type toolCall struct {
	ID     json.RawMessage
	Method string
	Params struct {
		ProtocolVersion string
		Name            string
		Meta            struct{ ProgressToken json.RawMessage } `json:"_meta"`
	}
}

func (s *toolServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet && r.Header.Get("Last-Event-ID") == "" {
		w.Header().Set("Allow", "POST") // there is no stream without a call
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	if r.Method == http.MethodGet {
		s.answer.ServeHTTP(w, r)
		return
	}
	var call toolCall
	if err := json.NewDecoder(r.Body).Decode(&call); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	switch call.Method {
	case "initialize":
		w.Header().Set("Content-Type", "application/json")
		w.Write([]byte(marshal(map[string]any{"jsonrpc": "2.0", "id": call.ID, "result": map[string]any{
			"protocolVersion": call.Params.ProtocolVersion,
			"serverInfo":      map[string]any{"name": "test", "version": "1"},
			"capabilities":    map[string]any{"tools": map[string]any{}},
		}})))
	case "tools/call":
		s.calls <- call
		s.answer.ServeHTTP(w, r)
	default: // a notification
		w.WriteHeader(http.StatusAccepted)
	}
}

// progress sends how far a call is.
func (s *toolServer) progress(c toolCall, n int) {
	s.answer.Dispatch("", marshal(map[string]any{
		"jsonrpc": "2.0", "method": "notifications/progress",
		"params": map[string]any{"progressToken": c.Params.Meta.ProgressToken, "progress": n},
	}))
}

// result sends a call's answer.
func (s *toolServer) result(c toolCall, text string) {
	s.answer.Dispatch("", marshal(map[string]any{
		"jsonrpc": "2.0", "id": c.ID,
		"result": map[string]any{"content": []any{map[string]any{"type": "text", "text": text}}},
	}))
}

// A call to a tool gets its answer although its stream ends, or is cut, in the middle:
// the client resumes after the last event.
func TestToolCall(t *testing.T) {
	tests := []struct {
		name      string
		interrupt func(*restartable, *toolServer)
		resumed   int
		notes     []string // what the client prints about it
	}{
		{"whole", func(*restartable, *toolServer) {}, 0, nil},
		{"end", func(_ *restartable, s *toolServer) { s.answer.CloseAll() }, 1, nil},
		{"cut", func(site *restartable, _ *toolServer) { site.cut() }, 1, []string{"error Error: SSE stream disconnected: TypeError: terminated"}},
		{"restart", func(site *restartable, _ *toolServer) { site.shutdown(); site.start() }, 1, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := &toolServer{answer: sse.Set{AcceptOptions: strict}, calls: make(chan toolCall, 1)}
			site := startRestartable(t, server, true)
			client := runScript(t, "mcp.mjs", "http://"+site.addr)
			client.say("dig")
			call := <-server.calls
			awaitMember(t, &server.answer)
			server.progress(call, 1)
			client.want("progress 1")
			test.interrupt(site, server)
			if test.resumed > 0 {
				server.progress(call, 2) // for which the client comes back
			}
			client.want(test.notes...)
			if test.resumed > 0 {
				client.want("progress 2")
			}
			server.result(call, "gold")
			client.want("result gold")
			server.answer.CloseAll()
			site.wantResumed(test.resumed)
		})
	}
}
