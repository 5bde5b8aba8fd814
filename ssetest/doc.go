// Package ssetest provides utilities for testing event streams: a [Server] that
// can be closed while streams are open, on a socket or in memory; a [Stream],
// which opens one and records its events; and a [Recorder] for events that are
// read in another way.
//
// # A test
//
// The server takes any handler. Closing the server ends its streams.
//
//	server := ssetest.NewServer(handler)
//	defer server.Close()
//
//	page := server.Open(t, "/events")
//	if e := page.Next(); e.Data != "hello" {
//		t.Errorf("got %+v", e)
//	}
//
// Open may return just before the handler has added the stream to a [sse.Set]. A
// test that dispatches to the set first waits until the stream is a member:
//
//	ssetest.AwaitLen(t, &group, 1)
//	group.Dispatch("", "hello")
//
// # Fake time
//
// In a [testing/synctest] bubble use a server in memory, since the bubble's time
// does not advance while a goroutine waits for the network. There an hour takes
// no time, so that keep-alives, timeouts and expiring histories can be tested.
// [testing/synctest.Wait] waits until all goroutines are idle; afterwards
// [Recorder.Events] returns all events.
//
//	synctest.Test(t, func(t *testing.T) {
//		server := ssetest.NewMemoryServer(handler)
//		defer server.Close()
//		page := server.Open(t, "/events")
//		time.Sleep(time.Hour)
//		...
//
// Create and close the server in the bubble. Both kinds of server speak HTTP/1.1
// and HTTP/2, and both can detach streams from their handlers; see [sse.Serve].
//
// # Bad clients
//
// [Stream.Stall] stops reading, like a client whose laptop is asleep: a test can
// check that other clients do not wait for it, and how it is disconnected.
// [Stream.Close] disconnects, and [Stream.Reconnect] reconnects and asks for the
// events that were missed. [Record] records the events of an [sse.Client], which
// reconnects by itself.
package ssetest
